"""Tasks: each knows its samples, how they are decoded, and what is measured on what comes back."""
