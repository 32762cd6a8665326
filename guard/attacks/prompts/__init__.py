"""Attacks on generators: a harmful request in, prompts that carry it past the model and its guard out."""
