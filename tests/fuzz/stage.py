"""The whole service with API keys on, to be fuzzed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.service import Service


@contextmanager
def guarded_service(folder: Path) -> Iterator[tuple[Service, str]]:
    """Start all parts on a database in `folder`, and give them with a key that opens them."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {"DRYBEANS_DATABASE_URL": f"sqlite:///{folder / 'drybeans.db'}"}
    _run(given, "shared.db.migrate")
    key = _run(given, "shared.admin", "keys", "create", "--name", "fuzz").splitlines()[0]
    service = Service(folder, given | {"DRYBEANS_API_KEYS": "true"}, key=key)
    service.start()
    try:
        yield service, key
    finally:
        service.stop()


def memory_of_api(service: Service) -> int:
    """Return how many bytes the API's processes hold."""
    api = service.part("gunicorn")
    return sum(part.memory_info().rss for part in (api, *api.children(recursive=True)))


def _run(given: dict[str, str], module: str, *words: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRYBEANS_", "MYSQL_"))}
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, env=kept | given, capture_output=True, text=True, check=True)
    return done.stdout
