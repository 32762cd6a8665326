"""Hardening of a filter as a user runs it: rows in, a hardened folder, figures before and after, and a verdict."""
