"""Thousands of open waits on one API process: how soon each is answered after its commit.

python -m bench.waits [--waits 2000] [--seconds 15]
"""

import argparse
from dataclasses import dataclass, replace

from bench.designs import drybeans, server_roots
from bench.parts import Service
from bench.samples import Samples, read_samples
from bench.servers import Place, kinds, place
from bench.tables import markdown, milliseconds
from bench.usage import memory_mb
from bench.waits_load import Plan, Report, run_waits

_SETTINGS = {
    # Jobs of two rows go to a queue that no worker serves: whoever waits for one waits on.
    "DRYBEANS_INTERACTIVE_MAX_ROWS": "1",
    "DRYBEANS_QUEUES": "interactive",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: what the clients saw, and the API's memory at its end."""

    plan: Plan
    report: Report
    memory: float


def take(service: Service, plan: Plan) -> Run:
    """Run `plan` against `service`."""
    report = run_waits(plan)
    return Run(plan=plan, report=report, memory=memory_mb({"api": service.roots["api"]})["api"])


def table(runs: list[Run]) -> str:
    """Write a line for each run; parts of a core are CPU seconds in each second."""
    parts = list(runs[0].report.cpu)
    head = (
        "way", "open waits", "answers/s", "commit→answer p50 / p99 ms", "statements/s",
        *(f"core: {part}" for part in parts), "API MB",
    )  # fmt: skip
    return markdown(head, [_line(run, parts) for run in runs])


def _line(run: Run, parts: list[str]) -> list[str]:
    report = run.report
    asked = "–" if report.statements is None else f"{report.statements / report.wall:.0f}"
    return [
        run.plan.way,
        f"{report.open:,}",
        f"{len(report.delays) / report.wall:.0f}",
        milliseconds(report.delays),
        asked,
        *(f"{report.cpu[part] / report.wall:.2f}" for part in parts),
        f"{run.memory:.0f}",
    ]


def plan_of(options: argparse.Namespace, service: Service, where: Place, samples: Samples) -> Plan:
    """Plan a run without open waits."""
    roots = service.roots | server_roots(where)
    return Plan(
        port=service.port,
        way="poll",
        waits=0,
        clients=options.clients,
        seconds=options.seconds,
        rows=samples.rows[:2],
        pids={name: root.pid for name, root in roots.items()},
        server=where.server,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("sqlite", "mysql"), default=kinds()[-1])
    parser.add_argument("--ways", default="wait,poll,events")
    parser.add_argument("--waits", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    samples = read_samples()
    with place(options.kind) as where, drybeans(where, workers=1, settings=_SETTINGS) as service:
        service.start()
        plan = plan_of(options, service, where, samples)
        take(service, replace(plan, clients=1, seconds=2))
        runs = [
            take(service, replace(plan, way=way, waits=waits))
            for way in options.ways.split(",")
            for waits in (0, options.waits)
        ]
        # Before the API is stopped: it lets open waits run out.
        print(table(runs), flush=True)


if __name__ == "__main__":
    main()
