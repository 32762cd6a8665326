"""``assay finetune filter`` and ``next``: a category of your own from tables, measured, and what to label next."""
