"""Models by family, assembled from parts; one paper, one file."""
