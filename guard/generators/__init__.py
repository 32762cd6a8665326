"""Generators: prompts in, content out."""
