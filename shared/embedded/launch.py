"""Starts the parts in order, says where they answer, and watches over them."""

import json
import os
import sys
from pathlib import Path
from typing import Final

from shared.catalog import Catalog
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
from shared.embedded.supervisor import Part, Supervisor
from shared.settings import Settings, read_settings

_GRACE: Final = 10.0


def launch(var: Path) -> int:
    """Run drybeans with its files in `var` until a signal comes or a part dies.

    Returns the exit code: 0 when a signal ended it, 1 with a sentence on standard error when
    something went wrong.
    """
    try:
        set_defaults(var)
        settings = read_settings()
        banner = _banner(settings)
        make_writable(var)
        with only_one(var):
            require_free_port(settings.host, settings.port)
            run(_table(settings, var), banner)
    except (LaunchFailed, DryBeansError) as error:
        print(f"drybeans: {error}", file=sys.stderr)
        return 1
    return 0


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
    """Give the parts, which inherit our environment, what suits one machine where nothing is set.

    Raises SettingsInvalid when a setting is wrong.
    """
    for short, name in (("PORT", "DRYBEANS_PORT"), ("WORKERS", "DRYBEANS_WORKERS")):
        if os.environ.get(short):
            os.environ[name] = os.environ[short]
    if "database_url" not in read_settings().model_fields_set:
        os.environ["DRYBEANS_DATABASE_URL"] = f"sqlite:///{var}/drybeans.db"


def _table(settings: Settings, var: Path) -> list[Part]:
    services = [
        parts.migrate(),
        parts.worker(),
        parts.sweeper(),
        parts.api(reachable(settings.host), settings.port),
    ]
    if "redis_url" in settings.model_fields_set:
        return services
    port = free_port()
    os.environ["DRYBEANS_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    return [parts.redis(port, var), *services]


def _banner(settings: Settings) -> str:
    """Say where the service answers, with three calls to try on a row of the model's sample."""
    url = f"http://{reachable(settings.host)}:{settings.port}"
    row = list(Catalog.read(settings.model_root).resolve(settings.default_model).sample[0])
    job = json.dumps({"instances": [row]})
    walkthrough = json.dumps({"data": json.dumps([row])})
    kind = "-H 'Content-Type: application/json'"
    return (
        f"\ndrybeans answers at {url} (Ctrl-C stops everything). Try:\n\n"
        f"  curl -s {url}/predict {kind} -d '{walkthrough}'\n"
        f"  curl -s {url}/jobs {kind} -d '{job}'\n"
        f"  curl -s {url}/jobs/ID/results    # the ID that the second call answered\n"
    )
