"""Training: fine-tuning of filters and generators."""
