"""Hardening: filters trained against what attackers do, on a leash to what they were."""
