"""Attacks: a text to variants that a victim reads otherwise; one search engine over many texts at once."""
