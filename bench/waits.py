"""Thousands of open waits on one API process: how soon each is answered after its commit.

python -m bench.waits [--waits 2000] [--seconds 15]
"""

import argparse
from dataclasses import dataclass, replace

from bench.designs import drybeans
from bench.parts import Service
from bench.samples import Samples, read_samples
from bench.servers import kinds, place
from bench.tables import markdown, milliseconds
from bench.usage import CpuClock, memory_mb
from bench.waits_load import Plan, Report, run_waits

_SETTINGS = {
    # Jobs of two rows go to a queue that no worker serves: whoever waits for one waits on.
    "DRYBEANS_INTERACTIVE_MAX_ROWS": "1",
    "DRYBEANS_QUEUES": "interactive",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: what the clients saw, and what the API process spent meanwhile."""

    plan: Plan
    report: Report
    cpu: float
    memory: float


def take(service: Service, plan: Plan) -> Run:
    """Run `plan` and measure the API beside it."""
    api = {"api": service.roots["api"]}
    clock = CpuClock(api)
    report = run_waits(plan)
    return Run(
        plan=plan,
        report=report,
        cpu=clock.read()["api"] / clock.wall,
        memory=memory_mb(api)["api"],
    )


def table(runs: list[Run]) -> str:
    """Write a line for each run."""
    head = (
        "way", "open waits", "answers/s", "commit→answer p50 / p99 ms", "API's share of a core",
        "API memory MB",
    )  # fmt: skip
    lines = [
        (
            run.plan.way, f"{run.report.open:,}",
            f"{len(run.report.delays) / run.report.wall:.0f}", milliseconds(run.report.delays),
            f"{run.cpu:.2f}", f"{run.memory:.0f}",
        )
        for run in runs
    ]  # fmt: skip
    return markdown(head, lines)


def plan_of(options: argparse.Namespace, port: int, samples: Samples, way: str, waits: int) -> Plan:
    """Plan one run of `waits` open waits."""
    return Plan(
        port=port,
        way=way,
        waits=waits,
        clients=options.clients,
        seconds=options.seconds,
        rows=samples.rows[:2],
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("sqlite", "mysql"), default=kinds()[-1])
    parser.add_argument("--ways", default="wait,events")
    parser.add_argument("--waits", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    samples = read_samples()
    with place(options.kind) as where, drybeans(where, workers=1, settings=_SETTINGS) as service:
        service.start()
        take(service, replace(plan_of(options, service.port, samples, "wait", 0), clients=1))
        runs = [
            take(service, plan_of(options, service.port, samples, way, waits))
            for way in options.ways.split(",")
            for waits in (0, options.waits)
        ]
    print(table(runs))


if __name__ == "__main__":
    main()
