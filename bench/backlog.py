"""Measures whether 100,000 queued one-row jobs make the next one dearer.

    python -m bench.backlog [--kind mysql] [--jobs 100000] [--clients 16]

All jobs are submitted while no worker runs, then the worker starts. Each tenth of the jobs makes
a line, so that the first can be compared with the last.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import create_engine, text

from bench.designs import drybeans, server_roots
from bench.load import Plan, run_clients
from bench.parts import Service
from bench.samples import Samples, read_samples
from bench.servers import Place, kinds, place
from bench.tables import markdown, milliseconds
from bench.usage import CpuClock, memory_mb

_STEPS = 10
_PAUSE = 0.1
_FINISHED = "SELECT COUNT(*) FROM chunks WHERE state = 'done'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A tenth of the jobs: `cpu` is in seconds, `memory` is the API's in MB at its end."""

    jobs: int
    seconds: float
    cpu: dict[str, float]
    memory: float
    accepted: list[float]

    def cost(self, *names: str) -> str:
        """Write the CPU seconds that the processes `names` used per 1,000 jobs."""
        return f"{1000 * sum(self.cpu.get(name, 0) for name in names) / self.jobs:.2f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The service, and how many jobs its clients send in a step."""

    place: Place
    service: Service
    samples: Samples
    clients: int
    step: int

    def submit(self) -> Step:
        """Submit one step's jobs."""
        plan = Plan(
            port=self.service.port, way="accept", clients=self.clients, jobs=self.step,
            rows=self.samples.rows, labels=self.samples.labels,
        )  # fmt: skip
        clock = self._clock()
        report = run_clients(plan)
        return self._step(clock, report.wall, report.accepted)

    def finish(self, count: Callable[[], int]) -> Iterator[Step]:
        """Wait for the workers, step by step; `count` tells how many jobs are done."""
        for step in range(1, _STEPS + 1):
            clock = self._clock()
            while count() < step * self.step:
                time.sleep(_PAUSE)
            yield self._step(clock, clock.wall, [])

    def _clock(self) -> CpuClock:
        return CpuClock(self.service.roots | server_roots(self.place))

    def _step(self, clock: CpuClock, seconds: float, accepted: list[float]) -> Step:
        api = {"api": self.service.roots["api"]}
        return Step(
            jobs=self.step, seconds=seconds, cpu=clock.read(),
            memory=memory_mb(api)["api"], accepted=accepted,
        )  # fmt: skip


def measure(kind: str, jobs: int, clients: int) -> str:
    """Submit, then finish, and give both tables."""
    with place(kind) as where, drybeans(where) as service:
        service.start("api", "sweeper")
        backlog = Backlog(
            place=where, service=service, samples=read_samples(), clients=clients,
            step=jobs // _STEPS,
        )  # fmt: skip
        submitted = [backlog.submit() for _ in range(_STEPS)]
        service.start("worker")
        finished = list(backlog.finish(_counter(service)))
    return f"{_submit_table(submitted, kind)}\n\n{_finish_table(finished, kind)}"


def _counter(service: Service) -> Callable[[], int]:
    engine = create_engine(service.database_url)

    def count() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(text(_FINISHED)) or 0)

    return count


def _submit_table(steps: list[Step], kind: str) -> str:
    head = (
        "jobs submitted", "submitted/s", "submit→accepted p50 / p99 ms",
        "API CPU s per 1,000", "database CPU s per 1,000", "API memory MB",
    )  # fmt: skip
    return markdown(
        head,
        [
            (
                f"{number * step.jobs:,}", f"{step.jobs / step.seconds:,.0f}",
                milliseconds(step.accepted), step.cost("api"), step.cost(kind),
                f"{step.memory:.0f}",
            )
            for number, step in enumerate(steps, start=1)
        ],
    )  # fmt: skip


def _finish_table(steps: list[Step], kind: str) -> str:
    head = (
        "jobs finished", "finished/s", "worker CPU s per 1,000",
        "database CPU s per 1,000", "sweeper CPU s per 1,000",
    )  # fmt: skip
    return markdown(
        head,
        [
            (
                f"{number * step.jobs:,}", f"{step.jobs / step.seconds:,.0f}",
                step.cost("worker"), step.cost(kind), step.cost("sweeper"),
            )
            for number, step in enumerate(steps, start=1)
        ],
    )  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("sqlite", "mysql"), default=kinds()[-1])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    print(measure(options.kind, options.jobs, options.clients))


if __name__ == "__main__":
    main()
