"""Training of generators: examples, terms, updates, checkpoints; what fine-tuning and hardening share."""
