"""The HTTP API: accepts jobs, commits them and reports on them. It reads models' manifests only."""
