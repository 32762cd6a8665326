"""Scorers: what was released in, one number a sample out."""
