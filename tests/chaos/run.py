"""One run: a seed, a stage, clients, a schedule of faults, and the count at the end."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.domain.errors import DatabaseDown
from tests.chaos.beans import Beans
from tests.chaos.clients import Client, Record
from tests.chaos.faults import FAULTS, Strike, deal
from tests.chaos.mutants import MUTANTS
from tests.chaos.stage import Stage, a_stage
from tests.chaos.verdict import Verdict, judge, judge_given_up, open_work
from tests.servers import MariaDBServer, MySQLServer

_GRACE: Final = 1.5
"""Seconds between two faults, at most; many faults last longer than that by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does.

    `quiet` is for how long no job may end before the parts count as stuck, after the last fault.

    `hold` is the longest that a fault lasts which lasts as long as it is let.
    """

    seed: int
    seconds: float
    clients: int = 6
    pause: float = 0.06
    poison: int = 2
    quiet: float = 60.0
    hold: float | None = None
    mutant: str = ""
    faults: Sequence[str] = tuple(FAULTS)


def mutant_plan(name: str, seed: int) -> Plan:
    """Plan a run of a mutant: slower batches, so that each fault strikes one, and less load."""
    return Plan(
        seed=seed,
        seconds=15,
        clients=2,
        pause=0.25,
        poison=0,
        quiet=20,
        mutant=name,
        faults=MUTANTS[name].faults,
    )


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run came to; `settled` is how long it took to finish all after the last fault."""

    plan: Plan
    verdict: Verdict
    struck: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    restarts: int = 0
    harmed: int = 0
    settled: float = 0.0
    slowest: float = 0.0
    logs: Path | None = None


def run(plan: Plan, server: MariaDBServer | MySQLServer, beans: Beans) -> Report:
    """Carry out `plan` on the running `server`; the logs of a guilty run are kept."""
    folder = Path(tempfile.mkdtemp(prefix=f"drybeans-chaos-{plan.seed}-"))
    record = Record()
    with a_stage(server, folder, mutant=plan.mutant) as stage:
        clients = [Client(n, stage.url, beans, record, plan.seed) for n in range(plan.clients)]
        for client in clients:
            client.pause = plan.pause
        for client in clients[: plan.poison]:
            client.poison = 1
        strike = Strike(
            stage,
            random.Random(plan.seed),
            Client(plan.clients, stage.url, beans, record, plan.seed),
        )
        struck = _strike(plan, strike, clients)
        settled = _settle(plan, stage)
        verdict = judge(stage.database, record)
        attempts_lost = sum(n for name, n in struck.items() if FAULTS[name].costs_attempts)
        judge_given_up(verdict, stage.database, record, attempts_lost)
        for kind, sentence in strike.violations:
            verdict.blame(kind, sentence)
        _read_logs(stage, verdict)
        return Report(
            plan=plan,
            verdict=verdict,
            struck=struck,
            answers=record.answers,
            restarts=sum(part.starts - 1 for part in stage.parts),
            harmed=stage.database_proxy.harmed + stage.redis_proxy.harmed,
            settled=settled,
            slowest=record.slowest,
            logs=folder,
        )


def _strike(plan: Plan, strike: Strike, clients: Sequence[Client]) -> Counter[str]:
    """Let clients send and faults strike for as long as planned."""
    struck: Counter[str] = Counter()
    for client in clients:
        client.start()
    until = time.monotonic() + plan.seconds
    time.sleep(1)
    for name in deal(strike.chance, plan.faults, 1000):
        if time.monotonic() > until:
            break
        FAULTS[name](strike, plan.hold)
        struck[name] += 1
        strike.note_messages()
        strike.pause(0.1, _GRACE)
    for client in clients:
        client.stop.set()
    for client in clients:
        client.join(60)
    return struck


def _settle(plan: Plan, stage: Stage) -> float:
    """Harm nothing any more and wait until all is finished, or nothing moves: return how long."""
    stage.database_proxy.heal()
    stage.redis_proxy.heal()
    begun = moved = time.monotonic()
    fewest = None
    while time.monotonic() - moved < plan.quiet:
        with suppress(DatabaseDown):
            open_jobs = open_work(stage.database)
            if not open_jobs:
                break
            if fewest is None or open_jobs < fewest:
                fewest, moved = open_jobs, time.monotonic()
        time.sleep(0.1)
    return time.monotonic() - begun


def _read_logs(stage: Stage, verdict: Verdict) -> None:
    """Look for what no part should ever say: a traceback in the API, a job counted anew."""
    for part in stage.parts:
        if not part.alive:
            verdict.blame("dead part", part.name)
        for code in part.surprising_exits:
            verdict.blame("ended by itself", f"{part.name} with exit code {code}")
        for line in part.log.read_text(errors="replace").splitlines():
            for word in ("job_recounted", "request_failed", "sweep_failed", "submission_failed"):
                if word in line:
                    verdict.blame("log", f"{part.name}: {line[:300]}")
