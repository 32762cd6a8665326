"""Fine-tuning with ethics in its objective, held against plain fine-tuning on the same rows; its weights searched."""
