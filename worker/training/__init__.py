"""Training, measuring and publishing models; the worker itself never imports this."""
