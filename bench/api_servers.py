"""Which gunicorn worker serves the API: `python -m bench.api_servers` measures gevent and threads.

The same application, one process, accepts one-row jobs; no worker runs. The two take turns, each
turn on an empty database, so that whatever else the machine does meets both. See docs/adr/0004.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.load import Plan, Report, run_clients
from bench.parts import MODELS, Service
from bench.servers import Place, kinds, place
from bench.tables import markdown, middle, percentile
from bench.usage import CpuClock
from shared.models.registry import ModelRegistry
from tests.servers import free_port
from tests.servers.schema import migrate

_SERVERS: Final = {"gevent": ("gevent",), "64 threads": ("gthread", "--threads=64")}
_CLIENTS: Final = (1, 16, 64)
_WARM_UP_JOBS: Final = 200


@contextmanager
def _serving(place_: Place, name: str) -> Iterator[Service]:
    """Run the API with one kind of gunicorn worker, on an empty database."""
    port = free_port()
    with place_.database("apiservers") as url:
        migrate(url)
        options = ("-c", "api/gunicorn_conf.py", "--worker-class", *_SERVERS[name])
        service = Service(
            name="api",
            folder=place_.folder,
            port=port,
            database_url=url,
            environment={
                "DRYBEANS_DATABASE_URL": url,
                "DRYBEANS_REDIS_URL": place_.redis_url(0),
                "DRYBEANS_MODEL_ROOT": str(MODELS),
                "DRYBEANS_PORT": str(port),
            },
            commands={"api": ("-m", "gunicorn", *options, "api.wsgi:app")},
        )
        with service:
            service.start()
            yield service


def _measure(place_: Place, name: str, seconds: float) -> dict[int, tuple[Report, float]]:
    """Give, for each number of clients, what they saw and the API's CPU seconds."""
    rows = [list(row) for row in ModelRegistry.read(MODELS).resolve("drybeans").sample]
    found = {}
    with _serving(place_, name) as service:
        given = {"port": service.port, "way": "accept", "rows": rows, "labels": [""] * len(rows)}
        run_clients(Plan(**given, clients=16, jobs=_WARM_UP_JOBS))  # type: ignore[arg-type]
        for clients in _CLIENTS:
            clock = CpuClock(service.roots)
            report = run_clients(Plan(**given, clients=clients, seconds=seconds))  # type: ignore[arg-type]
            found[clients] = (report, sum(clock.read().values()))
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.api_servers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    arguments = parser.parse_args()
    figures = defaultdict(list)
    with place(kinds()[-1]) as place_:
        for turn in range(arguments.rounds):
            for name in list(_SERVERS)[:: 1 if turn % 2 else -1]:
                for clients, found in _measure(place_, name, arguments.seconds).items():
                    figures[clients, name].append(found)
                    print(turn, name, clients, *_cells([found]), file=sys.stderr)
    head = ("clients, server", "accepted/s", "p50 ms", "p99 ms", "API CPU s per 1,000")
    lines = [
        [f"{clients}, {name}", *_cells(figures[clients, name])]
        for clients in _CLIENTS
        for name in _SERVERS
    ]
    print(markdown(head, lines))


def _cells(turns: list[tuple[Report, float]]) -> list[str]:
    """Write the medians over `turns`."""
    rate = middle(report.jobs / report.wall for report, _ in turns)
    half, most = (
        1000 * middle(percentile(report.accepted, share) for report, _ in turns)
        for share in (0.5, 0.99)
    )
    cpu = middle(1000 * seconds / report.jobs for report, seconds in turns)
    return [f"{rate:.0f}", f"{half:.1f}", f"{most:.1f}", f"{cpu:.2f}"]


if __name__ == "__main__":
    main()
