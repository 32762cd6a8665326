"""Which words of a prompt an answer came from, and the least edit of the prompt that turns a verdict."""
