"""The HTTP side: takes jobs, commits them, tells of them. Knows nothing of models but manifests."""
