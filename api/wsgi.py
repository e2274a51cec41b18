"""The WSGI application that gunicorn serves; its threads start in the process that loads it."""

import atexit

from api.app import create_app
from api.bootstrap import build_services
from shared.malloc import freeze_objects
from shared.observability.logs import start_logging
from shared.settings import read_settings

_settings = read_settings()
start_logging(_settings.log_level, _settings.log_format)
_services = build_services(_settings)
_services.start()
atexit.register(_services.stop)
app = create_app(_services)
freeze_objects()
