"""Hardening of a causal language model: low-rank updates that refuse attacked requests and keep everything else."""
