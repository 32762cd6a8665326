"""Hardening a generator from end to end: its data, the attacks on it, and what is measured before and after."""
