"""What the API and the worker both stand on: domain, settings, database, queue, logs."""
