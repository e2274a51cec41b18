"""Measures one-row jobs against the stock design, in interleaved runs on the same servers.

    python -m bench.jobs [--kind mysql] [--clients 1,16,64] [--seconds 10] [--rounds 5]

In each round and for each number of clients every way takes its turn for so many seconds. A
figure in the table is the median of its runs. Both designs keep running; the one that is not
measured is idle.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import create_engine, text

from bench.designs import drybeans, server_roots, stock
from bench.load import Plan, Report, run_clients
from bench.parts import Service
from bench.samples import Samples, read_samples
from bench.servers import Place, kinds, place
from bench.tables import markdown, middle, milliseconds
from bench.usage import CpuClock, MemoryWatch

_DRAIN_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A design, and how its clients learn that a job is done."""

    name: str
    design: str
    way: str
    pause: float = 0.01


CLOSED: Final = (
    Way(name="stock, polled every 10 ms", design="stock", way="poll"),
    Way(name="drybeans, polled every 10 ms", design="drybeans", way="poll"),
    Way(name="stock, polled every 50 ms", design="stock", way="poll", pause=0.05),
    Way(name="drybeans, `Prefer: wait`", design="drybeans", way="wait"),
)
OPEN: Final = (
    Way(name="stock", design="stock", way="accept"),
    Way(name="drybeans", design="drybeans", way="accept"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One turn of one way; `drained` is the seconds from its first job to its last result."""

    way: Way
    clients: int
    report: Report
    cpu: dict[str, float]
    memory: float
    drained: float

    @property
    def cost(self) -> float:
        """CPU seconds of all processes but the clients, per 1,000 jobs."""
        return 1000 * sum(self.cpu.values()) / self.report.jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Both designs, running."""

    place: Place
    services: dict[str, Service]
    waiting: dict[str, Callable[[], int]]
    samples: Samples

    def take(self, way: Way, clients: int, seconds: float) -> Run:
        """Run `way` once."""
        service = self.services[way.design]
        roots = service.roots | server_roots(self.place)
        plan = Plan(
            port=service.port, way=way.way, pause=way.pause, clients=clients, seconds=seconds,
            rows=self.samples.rows, labels=self.samples.labels,
        )  # fmt: skip
        own = {name: root for name, root in roots.items() if name != self.place.kind}
        with MemoryWatch(own) as memory:
            clock = CpuClock(roots)
            report = run_clients(plan)
            late = time.monotonic()
            _await_empty(self.waiting[way.design])
            drained = report.wall + time.monotonic() - late
        return Run(
            way=way, clients=clients, report=report, cpu=clock.read(),
            memory=memory.peak_sum, drained=drained,
        )  # fmt: skip


@contextmanager
def bench(kind: str, warm_seconds: float) -> Iterator[Bench]:
    """Start both designs on a database of `kind` and warm them up."""
    with ExitStack() as stack:
        where = stack.enter_context(place(kind))
        services = {
            "stock": stack.enter_context(stock(where)),
            "drybeans": stack.enter_context(drybeans(where)),
        }
        waiting = {
            "stock": _counter(
                services["stock"], "SELECT COUNT(*) FROM jobs WHERE state = 'queued'"
            ),
            "drybeans": _counter(
                services["drybeans"],
                "SELECT COUNT(*) FROM chunks WHERE state IN ('pending', 'running')",
            ),
        }
        for service in services.values():
            service.start()
        ready = Bench(place=where, services=services, waiting=waiting, samples=read_samples())
        for way in CLOSED[:2]:
            ready.take(way, clients=8, seconds=warm_seconds)
        yield ready


def _counter(service: Service, query: str) -> Callable[[], int]:
    engine = create_engine(service.database_url)

    def count() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(text(query)) or 0)

    return count


def _await_empty(waiting: Callable[[], int]) -> None:
    until = time.monotonic() + _DRAIN_SECONDS
    while waiting():
        assert time.monotonic() < until, "jobs are left over"
        time.sleep(0.05)


def measure(kind: str, clients: Sequence[int], seconds: float, rounds: int) -> str:
    """Run all and give the tables."""
    runs = []
    with bench(kind, min(2, seconds)) as ready:
        for _ in range(rounds):
            for count in clients:
                runs += [ready.take(way, count, seconds) for way in (*CLOSED, *OPEN)]
    return "\n\n".join((_closed_table(runs, clients), _open_table(runs, clients), _cpu_table(runs)))


def _closed_table(runs: Sequence[Run], clients: Sequence[int]) -> str:
    head = (
        "clients", "design", "finished/s", "ratio", "submit→accepted p50 / p99 ms",
        "submit→result p50 / p99 ms", "CPU s per 1,000 jobs", "memory MB", "503s",
    )  # fmt: skip
    lines = []
    for count in clients:
        base = _speed(_of(runs, CLOSED[0], count))
        for way in CLOSED:
            turns = _of(runs, way, count)
            speed = _speed(turns)
            lines.append(
                (
                    str(count), way.name, f"{speed:,.0f}", f"{speed / base:.1f}",
                    milliseconds([t for run in turns for t in run.report.accepted]),
                    milliseconds([t for run in turns for t in run.report.finished]),
                    f"{middle(run.cost for run in turns):.2f}",
                    f"{max(run.memory for run in turns):.0f}",
                    str(sum(run.report.refused for run in turns)),
                )
            )  # fmt: skip
    return markdown(head, lines)


def _open_table(runs: Sequence[Run], clients: Sequence[int]) -> str:
    head = (
        "clients", "design", "accepted/s", "ratio", "submit→accepted p50 / p99 ms",
        "accepted and finished/s", "CPU s per 1,000 jobs",
    )  # fmt: skip
    lines = []
    for count in clients:
        base = _speed(_of(runs, OPEN[0], count))
        for way in OPEN:
            turns = _of(runs, way, count)
            speed = _speed(turns)
            lines.append(
                (
                    str(count), way.name, f"{speed:,.0f}", f"{speed / base:.1f}",
                    milliseconds([t for run in turns for t in run.report.accepted]),
                    f"{middle(run.report.jobs / run.drained for run in turns):,.0f}",
                    f"{middle(run.cost for run in turns):.2f}",
                )
            )  # fmt: skip
    return markdown(head, lines)


def _cpu_table(runs: Sequence[Run]) -> str:
    """Return where the CPU seconds per 1,000 jobs go."""
    names = sorted({name for run in runs for name in run.cpu})
    lines = []
    for way, count in dict.fromkeys((run.way, run.clients) for run in runs):
        turns = _of(runs, way, count)
        each = [
            middle(1000 * run.cpu.get(name, 0) / run.report.jobs for run in turns) for name in names
        ]
        client = middle(1000 * run.report.cpu / run.report.jobs for run in turns)
        figures = [f"{seconds:.2f}" for seconds in (*each, client)]
        lines.append((f"{way.name} ({way.way})", str(count), *figures))
    return markdown(("design", "clients", *names, "client itself"), lines)


def _of(runs: Sequence[Run], way: Way, clients: int) -> list[Run]:
    return [run for run in runs if run.way == way and run.clients == clients]


def _speed(runs: Sequence[Run]) -> float:
    return middle(run.report.jobs / run.report.wall for run in runs)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("sqlite", "mysql"), default=kinds()[-1])
    parser.add_argument("--clients", default="1,16,64")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    clients = [int(count) for count in options.clients.split(",")]
    print(measure(options.kind, clients, options.seconds, options.rounds))


if __name__ == "__main__":
    main()
