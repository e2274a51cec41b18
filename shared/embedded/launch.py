"""Starts the parts in order, says where they answer, and watches over them."""

import json
import os
import secrets
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.domain.errors import DryBeansError
from shared.embedded import parts
from shared.embedded.checks import (
    free_port,
    make_writable,
    only_one,
    reachable,
    require_free_port,
)
from shared.embedded.failure import LaunchFailed
from shared.embedded.running import PLACES_NAME
from shared.embedded.supervisor import Part, Supervisor
from shared.models.registry import ModelRegistry
from shared.settings import Settings, read_settings

_GRACE: Final = 10.0
_PLACES: Final = ("DRYBEANS_DATABASE_URL", "DRYBEANS_REDIS_URL")
_LAST_PORT: Final = 65535


def launch(var: Path) -> int:
    """Run drybeans with its files in `var` until a signal comes or a part dies.

    Returns the exit code: 0 when a signal ended it, 1 with a sentence on standard error when
    something went wrong.
    """
    try:
        given = set(os.environ)
        set_defaults(var)
        settings = read_settings()
        banner = _banner(settings)
        make_writable(var)
        with only_one(var):
            for port in _ports(settings):
                require_free_port(settings.host, port)
            table = _table(settings, var)
            with _told(var, given):
                run(*_with_flower(table, banner))
    except (LaunchFailed, DryBeansError) as error:
        print(f"drybeans: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _told(var: Path, given: set[str]) -> Iterator[None]:
    """Write where our own database and Redis are, for operators' commands, as long as they run.

    Nothing of what was `given`: whoever gave it knows it, and it may hold a password.
    """
    ours = {name: os.environ[name] for name in _PLACES if name in os.environ.keys() - given}
    file = var / PLACES_NAME
    file.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in ours.items()))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def run(table: list[Part], banner: str, *, grace: float = _GRACE) -> None:
    """Start the parts of `table`, print `banner`, and watch until a signal comes.

    Raises LaunchFailed, with everything stopped, when a part dies.
    """
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    with Supervisor(sys.stdout, grace=grace, colour=colour) as supervisor:
        for part in table:
            supervisor.start(part)
        if not supervisor.told_to_stop():
            print(banner, flush=True)
        supervisor.wait()


def set_defaults(var: Path) -> None:
    """Return the parts, which inherit our environment, what suits one machine where nothing is set.

    Raises SettingsInvalid when a setting is wrong.
    """
    for short, name in (("PORT", "DRYBEANS_PORT"), ("WORKERS", "DRYBEANS_WORKERS")):
        if os.environ.get(short):
            os.environ[name] = os.environ[short]
    if "database_url" not in read_settings().model_fields_set:
        os.environ["DRYBEANS_DATABASE_URL"] = f"sqlite:///{var}/drybeans.db"


def _metrics_ports(settings: Settings) -> list[int]:
    """Return the ports of API, worker and sweeper, which share this machine: one after another."""
    first = settings.metrics_port
    return [] if first is None else [first, first + 1, first + 2]


def _ports(settings: Settings) -> list[int]:
    return [settings.port, *_metrics_ports(settings), *filter(None, [_flower_port()])]


def _flower_port() -> int | None:
    given = os.environ.get("FLOWER_PORT") or ("5555" if os.environ.get("FLOWER") else None)
    if given is not None and not (given.isdecimal() and 0 < int(given) <= _LAST_PORT):
        raise LaunchFailed("FLOWER_PORT must be a port, such as 5555.")
    return None if given is None else int(given)


def _with_flower(table: list[Part], banner: str) -> tuple[list[Part], str]:
    """Add Flower where FLOWER or FLOWER_PORT asks for it, and say how to get in."""
    port = _flower_port()
    if port is None:
        return table, banner
    password = os.environ.get("FLOWER_PASSWORD") or secrets.token_urlsafe(12)
    shown = "FLOWER_PASSWORD" if os.environ.get("FLOWER_PASSWORD") else password
    told = f"\nFlower answers at http://127.0.0.1:{port} (user operator, password {shown}).\n"
    return [*table, parts.flower(port, password)], banner + told


def _table(settings: Settings, var: Path) -> list[Part]:
    _, worker_port, sweeper_port = _metrics_ports(settings) or (None, None, None)
    services = [
        parts.migrate(),
        parts.worker(worker_port),
        parts.sweeper(sweeper_port),
        parts.api(reachable(settings.host), settings.port),
    ]
    if "redis_url" in settings.model_fields_set:
        return services
    port = free_port()
    os.environ["DRYBEANS_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    return [parts.redis(port, var), *services]


def _banner(settings: Settings) -> str:
    """Return where the service answers, with three calls to try on a row of the model's sample."""
    url = f"http://{reachable(settings.host)}:{settings.port}"
    row = list(ModelRegistry.read(settings.model_root).resolve(settings.default_model).sample[0])
    job = json.dumps({"instances": [row]})
    walkthrough = json.dumps({"data": json.dumps([row])})
    kind = "-H 'Content-Type: application/json'"
    return (
        f"\ndrybeans answers at {url} (Ctrl-C stops everything). Try:\n\n"
        f"  curl -s {url}/predict {kind} -d '{walkthrough}'\n"
        f"  curl -s {url}/jobs {kind} -d '{job}'\n"
        f"  curl -s {url}/jobs/ID/results    # the ID that the second call answered\n"
    )
