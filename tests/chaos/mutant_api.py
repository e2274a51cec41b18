"""What gunicorn serves in place of `api.wsgi` where a mutant changes the API."""

import os

from tests.chaos.mutants import MUTANTS
from tests.chaos.worker import MUTANT

__all__ = ["app"]

MUTANTS[os.environ[MUTANT]].apply()

from api.wsgi import app  # noqa: E402 - it builds at import
