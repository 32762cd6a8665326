"""Filters: content in, one score a category out."""
