"""The stock design: Flask, a Celery task per job, a commit per job and per result."""
