"""Parts of a comparison of two runs: its sides, its effects, what changed sample by sample, and allowed drops."""
