"""``assay explain``: which words a score or an answer came from, and how far that can be trusted."""
