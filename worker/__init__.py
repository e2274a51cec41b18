"""The side that predicts: Celery tasks, the batch run, the sweep, inference and training."""
