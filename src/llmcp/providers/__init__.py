"""Provider dialects: pure, one file each, and the catalog that says who speaks which."""
