"""Which parts of a text a score or an answer came from, and how far such an explanation can be trusted."""
