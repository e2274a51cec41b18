"""gunicorn's settings; see docs/adr/0004 for what was measured."""

from shared.settings import read_settings

_settings = read_settings()

bind = f"{_settings.host}:{_settings.port}"
workers = _settings.api_processes
worker_class = "gevent"
worker_connections = 4000
# Longer than any request but a wait; gevent keeps answering meanwhile.
timeout = 60
graceful_timeout = 30
keepalive = 75
# Threads and connections belong to the process that uses them.
preload_app = False
accesslog = None
errorlog = "-"
loglevel = "warning"
# Its file would need a writable home.
control_socket_disable = True
