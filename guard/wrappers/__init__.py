"""What people already use, guarded in one line: an OpenAI client, a Transformers pipeline."""
