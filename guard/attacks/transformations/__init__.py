"""Transformations: a text under attack to candidates that differ from it in a word."""
