"""Redis: Celery messages, queues, notifications."""
