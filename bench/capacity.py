"""Measures what each stage costs, predicts other loads from it, and checks one prediction.

    python -m bench.capacity [--kind mysql] [--seconds 8]

The stages are measured by themselves, on the real database; a run with one client gives what lies
between them. From these the simulation in `bench.queueing` predicts 16 and 64 clients, and real
runs say how well. Then it predicts loads that this machine cannot carry.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import psutil

from api.bootstrap import new_job_id
from api.jobs.submit_rows import SubmitLimits, SubmitRows
from api.schemas.job_options import ReadOptions
from bench.jobs import CLOSED, Bench, Run, bench
from bench.parts import MODELS
from bench.queueing import Model, Prediction, Simulation, Stage
from bench.servers import kinds
from bench.tables import markdown
from bench.usage import listener
from shared.db.engine import Database, open_database
from shared.db.jobs.claim import Claimant, claim
from shared.db.jobs.complete import complete
from shared.db.jobs.submit import store_group
from shared.domain.chunks import DispatchPolicy, Submission
from shared.models.registry import ModelRegistry
from worker.batch.predict import predict_chunks
from worker.models.loader import ModelLoader

_SIZES: Final = (1, 8, 32, 128)
_REPEATS: Final = 15
_OUTBOX: Final = DispatchPolicy(window=4, republish_after=timedelta(hours=1))
_WAITED: Final = CLOSED[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of the clock and of all processors that a group took."""

    wall: float
    cpu: float


class Stages:
    """The two transactions of a job's life, run by themselves."""

    def __init__(self, database: Database, server: psutil.Process | None) -> None:
        """Work on `database`, whose server is `server` when it is a process of its own."""
        self._database = database
        self._server = server
        self._models = ModelLoader(MODELS)
        catalog = ModelRegistry.read(MODELS)
        self._taken: list[Submission] = []
        day = timedelta(days=1)
        self._submit = SubmitRows(
            ReadOptions(resolve=catalog.resolve, default_model="drybeans", max_retention=day),
            self._taken.append,
            SubmitLimits(instances=1, chunk_rows=1, interactive_rows=1, deadline=day),
            lambda: datetime.now(UTC),
            lambda: new_job_id(datetime.now(UTC)),
            lambda _: None,
        )

    def measure(self, row: Sequence[float], size: int) -> tuple[Cost, Cost]:
        """Commit, then claim, predict and finish a group of `size` one-row jobs."""
        self._taken.clear()
        for _ in range(size):
            self._submit({"instances": [row]})
        group = list(self._taken)
        dispatches: list[Any] = []
        commit = self._time(lambda: dispatches.extend(store_group(self._database, group, _OUTBOX)))
        refs = [dispatch.ref for dispatch in dispatches]
        return commit, self._time(lambda: self._run(refs))

    def _run(self, refs: list[Any]) -> None:
        claimant = Claimant(token=uuid4().hex, lease=timedelta(seconds=15))
        claimed = self._database.write(lambda c: claim(c, refs, claimant))
        outcomes = predict_chunks(self._models(claimed[0].model), claimed)
        self._database.write(lambda c: complete(c, outcomes, _OUTBOX))

    def _time(self, work: Callable[[], object]) -> Cost:
        wall, cpu = time.perf_counter(), self._cpu()
        work()
        return Cost(wall=time.perf_counter() - wall, cpu=self._cpu() - cpu)

    def _cpu(self) -> float:
        own = time.process_time()
        return own + (sum(self._server.cpu_times()[:2]) if self._server else 0.0)


def fit(points: Sequence[tuple[int, float]]) -> Stage:
    """Fit fixed + n × per_job through `points` by least squares, neither below zero."""
    count = len(points)
    mean_n = sum(n for n, _ in points) / count
    mean_t = sum(t for _, t in points) / count
    spread = sum((n - mean_n) ** 2 for n, _ in points)
    slope = max(sum((n - mean_n) * (t - mean_t) for n, t in points) / spread, 0.0)
    return Stage(fixed=max(mean_t - slope * mean_n, 0.0), per_job=slope)


def calibrate(ready: Bench, seconds: float) -> Model:
    """Measure the stages and a run with one client."""
    database = open_database(ready.services["drybeans"].database_url, connections=1)
    port = ready.place.database_port
    server = listener(port) if port else None
    stages = Stages(database, server)
    row = ready.samples.rows[0]
    stages.measure(row, 1)
    measured = [(n, *stages.measure(row, n)) for _ in range(_REPEATS) for n in _SIZES]
    database.close()
    commit = fit([(n, first.wall) for n, first, _ in measured])
    batch = fit([(n, second.wall) for n, _, second in measured])
    cpu = fit([(n, first.cpu + second.cpu) for n, first, second in measured])
    alone = ready.take(_WAITED, 1, seconds)
    return _between(alone, commit, batch, cpu)


def _between(alone: Run, commit: Stage, batch: Stage, cpu: Stage) -> Model:
    """Put what one client saw beside the stages: the rest is request, message and notice."""
    whole = sorted(alone.report.finished)[len(alone.report.finished) // 2]
    rest = max(whole - commit.seconds(1) - batch.seconds(1), 0.001)
    # Of the processors' time for a lone job, what the stages do not explain comes with each job.
    other = max(alone.cost / 1000 - cpu.seconds(1), 0.0)
    return Model(
        request=other / 2,
        commit=commit,
        message=rest / 2,
        batch=batch,
        notice=max(rest / 2 - other / 2, 0.0),
        cpu=replace(cpu, fixed=cpu.fixed + other / 2, per_job=cpu.per_job + other / 2),
    )


def report(kind: str, seconds: float) -> str:
    """Calibrate, check 16 and 64 clients against real runs, and look further."""
    with bench(kind, 2.0) as ready:
        model = calibrate(ready, seconds)
        checks = [(n, ready.take(_WAITED, n, seconds)) for n in (1, 16, 64)]
    lines = [_check_line(n, run, Simulation(model, n).run(30)) for n, run in checks]
    head = ("clients", "predicted jobs/s", "measured", "predicted p50 ms", "measured", "group")
    return "\n\n".join((_stage_table(model), markdown(head, lines), _further(model)))


def _check_line(clients: int, run: Run, said: Prediction) -> tuple[str, ...]:
    seen = sorted(run.report.finished)
    return (
        str(clients),
        f"{said.rate:,.0f}",
        f"{len(seen) / run.report.wall:,.0f}",
        f"{1000 * said.p50:.1f}",
        f"{1000 * seen[len(seen) // 2]:.1f}",
        f"{said.group:.1f}",
    )


def _stage_table(model: Model) -> str:
    stages = {"commit": model.commit, "batch": model.batch, "processor time, all": model.cpu}
    lines = [
        (name, f"{1000 * stage.fixed:.2f}", f"{1000 * stage.per_job:.3f}")
        for name, stage in stages.items()
    ]
    lines.append(("request", f"{1000 * model.request:.2f}", "0"))
    return markdown(("stage", "ms for a group", "ms for a job"), lines)


def _further(model: Model) -> str:
    lines = []
    for apis, workers, clients in ((1, 2, 256), (2, 4, 512), (8, 16, 2048)):
        # One core for each process and two for the database: the cores that such a cluster has.
        larger = replace(model, apis=apis, workers=workers, cores=apis + workers + 2.0)
        said = Simulation(larger, clients).run(10)
        row = (apis, workers, clients, round(said.rate), round(1000 * said.p50))
        lines.append(tuple(f"{value:,}" for value in row))
    head = ("API processes", "worker processes", "clients", "predicted jobs/s", "p50 ms")
    return markdown(head, lines)


def main() -> None:
    """Measure, predict and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=__doc__)
    parser.add_argument("--kind", default=kinds()[-1], choices=("sqlite", "mysql"))
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    print(report(options.kind, options.seconds))


if __name__ == "__main__":
    main()
