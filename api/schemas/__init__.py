"""The documents of the HTTP contract: jobs, models, results and options."""
