"""Searches: in which order changes are tried, and which are kept."""
