"""What ``assay attack`` does: a request to a plan, attempts to figures, figures to files."""
