"""Do API, workers and sweepers report, and is every queue read?"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from shared.admin.checks.finding import CheckResult, ok, warning, wrong
from shared.admin.command import Stage, format_error
from shared.broker.heartbeats import SILENT_SECONDS, Heartbeat, ProcessKind
from shared.domain.errors import QueueDown
from shared.domain.jobs import Queue
from shared.observability.worker_status import read_status

_ABOUT: Final = "processes"
_NAMES: Final = {
    ProcessKind.API: "API process",
    ProcessKind.WORKER: "worker",
    ProcessKind.SWEEPER: "sweeper",
}
_PLURALS: Final = {
    ProcessKind.API: "API processes",
    ProcessKind.WORKER: "Workers",
    ProcessKind.SWEEPER: "Sweepers",
}
_START: Final = {
    ProcessKind.API: "Start it: make up, or gunicorn -c api/gunicorn_conf.py api.wsgi:app.",
    ProcessKind.WORKER: "Start one: python -m worker.main.",
    ProcessKind.SWEEPER: "Start one: python -m worker.sweep.",
}


def check_processes(stage: Stage) -> Iterator[CheckResult]:
    """Check that each kind of process reports; nothing where Redis does not answer."""
    try:
        heartbeats = stage.heartbeats.read()
    except QueueDown:
        return
    yield from judge(heartbeats)


def judge(heartbeats: Sequence[Heartbeat]) -> Iterator[CheckResult]:
    """Judge the last heartbeats of all processes."""
    for kind in ProcessKind:
        reports = sorted((h for h in heartbeats if h.kind is kind), key=lambda h: h.name)
        yield from _judge_kind(kind, reports)


def _judge_kind(kind: ProcessKind, heartbeats: Sequence[Heartbeat]) -> Iterator[CheckResult]:
    current = [h for h in heartbeats if h.age < SILENT_SECONDS]
    silent = [h for h in heartbeats if h.age >= SILENT_SECONDS]
    if current:
        yield ok(_ABOUT, f"{_PLURALS[kind]} that report: {_listed(current)}.")
    else:
        yield wrong(
            _ABOUT, f"No {_NAMES[kind]} reported in the last {SILENT_SECONDS:.0f} s.", _START[kind]
        )
    if kind is ProcessKind.WORKER and current:
        yield from _judge_queues([worker for worker in current if _works(worker)])
        for worker in current:
            yield from _judge_pool(worker)
    if silent:
        yield warning(
            _ABOUT, f"{_PLURALS[kind]} that died or hang: {_listed(silent)}.",
            "See their logs and memory limits; they are forgotten 15 minutes after their last "
            "report.",
        )  # fmt: skip


def _works(worker: Heartbeat) -> bool:
    status = read_status(worker.details)
    # A worker of an earlier release reports only that it takes messages.
    return status is None or status.running > 0


def _judge_pool(worker: Heartbeat) -> Iterator[CheckResult]:
    """Judge what a worker reports of its pool's processes, and of the models they can load."""
    status = read_status(worker.details)
    if status is None:
        return
    if status.running < status.processes:
        judge_ = warning if status.running else wrong
        yield judge_(
            _ABOUT,
            f"{worker.name}: {status.running} of {status.processes} processes can take work.",
            "It may have just started. If not, its processes die: see its log and memory limit.",
        )
    for id_, reason in sorted(status.refused.items()):
        yield wrong(
            _ABOUT, f"{worker.name} cannot load {id_}: {reason}",
            "Install there what the other workers have; until then they run these jobs.",
        )  # fmt: skip


def _judge_queues(workers: Sequence[Heartbeat]) -> Iterator[CheckResult]:
    read = {
        name.strip() for worker in workers for name in str(worker.details.get("queues")).split(",")
    }
    for queue in Queue:
        if queue.value not in read:
            yield wrong(
                _ABOUT, f"No worker reads the queue {queue}.",
                "Start one: python -m worker.main, with DRYBEANS_QUEUES.",
            )  # fmt: skip


def _listed(heartbeats: Sequence[Heartbeat]) -> str:
    return ", ".join(_described(heartbeat) for heartbeat in heartbeats)


def _described(heartbeat: Heartbeat) -> str:
    queues = heartbeat.details.get("queues")
    reported = f"{format_error(timedelta(seconds=max(heartbeat.age, 0)))} ago"
    return f"{heartbeat.name} ({f'{queues}, ' if queues else ''}{reported})"
