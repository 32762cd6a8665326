"""Training of filters on a person's own labels: few labels, unlabelled text, and which rows to label next."""
