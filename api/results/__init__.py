"""Results as clients read them: JSON pages, NDJSON and CSV, one chunk in memory at a time."""
