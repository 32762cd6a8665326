"""Fine-tuning from a table to a model: data checked, trained, tracked, measured before and after, and written."""
