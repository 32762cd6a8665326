"""Constraints: which words may change, and which candidates may stay."""
