"""The documents of the HTTP contract: job, model, result, options."""
