"""The clients of `bench.waits` in a process of their own: `python -m bench.waits_load < plan`.

Most of them wait for jobs that never end. A few submit jobs that do, one after another, and note
how long after its commit each answer arrives. What the service spends is counted meanwhile, and
not while the waits are being opened.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import gevent
import orjson
import psutil
from gevent import socket
from sqlalchemy import text

from bench.parts import run_apart
from bench.usage import CpuClock
from bench.wire import Wire
from shared.db.engine import Database, open_database

_PAUSE: Final = 0.25
_OPEN_SECONDS: Final = 60.0
# What opening the waits has cost shall not be measured.
_SETTLE: Final = 2.0
_WAIT: Final = 30
_PREFER: Final = f"Prefer: wait={_WAIT}\r\n"
_ASKED: Final = text("SHOW GLOBAL STATUS LIKE 'Questions'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`way` is how they wait.

    `wait` is `Prefer: wait` with the submission, `poll` the same with a look at the job, and
    `events` its events. `waits` stay open, and `clients` measure for `seconds`, with a pause
    between two jobs. A job of both `rows` never ends, one of the first does. `pids` are the
    processes to watch, `server` is the URL of the MySQL whose statements are counted.
    """

    port: int
    way: str
    waits: int
    clients: int
    seconds: float
    rows: Sequence[Sequence[float]]
    pids: Mapping[str, int]
    server: str | None


@dataclass(slots=True, kw_only=True)
class Report:
    """Seconds from each job's `finished_at`, which is before its commit, to its answer.

    `cpu` is what each process used in the `wall` seconds meanwhile, the clients' own with it.
    """

    delays: list[float] = field(default_factory=list)
    open: int = 0
    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    statements: int | None = None


def run_waits(plan: Plan) -> Report:
    """Run the clients of `plan` in a process of their own and give what they saw."""
    return Report(**run_apart("bench.waits_load", asdict(plan)))


class _Clients:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._until = 0.0
        self._open = 0
        self.report = Report()

    def run(self) -> None:
        """Open the waits, then measure."""
        # One after another over as long as a wait lasts, so that they do not begin anew together.
        pace = _WAIT / max(self._plan.waits, 1)
        holders = [gevent.spawn_later(n * pace, self._hold) for n in range(self._plan.waits)]
        with gevent.Timeout(_OPEN_SECONDS):
            while self._open < self._plan.waits:
                gevent.sleep(0.1)
        gevent.sleep(_SETTLE)
        self._watch()
        failed = [holder for holder in holders if holder.dead]
        assert not failed, f"{len(failed)} waits have ended: {failed[0].exception!r}"
        self.report.open = self._open

    def _watch(self) -> None:
        """Measure, and count what is spent meanwhile."""
        database = open_database(self._plan.server) if self._plan.server else None
        own = {"clients": psutil.Process()}
        watched = {name: psutil.Process(pid) for name, pid in self._plan.pids.items()}
        asked, clock = _asked(database), CpuClock(watched | own)
        self._until = time.monotonic() + self._plan.seconds
        clients = [gevent.spawn(self._measure, n) for n in range(self._plan.clients)]
        gevent.joinall(clients, raise_error=True)
        self.report.wall, self.report.cpu = clock.wall, clock.read()
        if database is not None:
            self.report.statements = _asked(database) - asked

    def _hold(self) -> None:
        wire = Wire(self._plan.port)
        job = self._submit(wire, self._plan.rows)
        self._open += 1
        if self._plan.way == "events":
            # It follows on a connection of its own, and each counts against the API's limit.
            wire.close()
            _follow(self._plan.port, job)
        while True:
            wire.call("GET", f"/jobs/{job}", headers=_PREFER)

    def _measure(self, number: int) -> None:
        wire = Wire(self._plan.port)
        gevent.sleep(_PAUSE * number / self._plan.clients)
        while time.monotonic() < self._until:
            document, arrived = self._finished(wire)
            assert document["state"] == "succeeded", document
            finished = datetime.fromisoformat(document["finished_at"]).timestamp()
            self.report.delays.append(arrived - finished)
            gevent.sleep(_PAUSE)

    def _finished(self, wire: Wire) -> tuple[dict[str, Any], float]:
        """Submit a job and wait for it; give its last document, and when that arrived."""
        rows = self._plan.rows[:1]
        if self._plan.way == "events":
            return _follow(self._plan.port, self._submit(wire, rows))
        if self._plan.way == "wait":
            _, body = wire.call("POST", "/jobs", orjson.dumps({"instances": rows}), _PREFER)
        else:
            _, body = wire.call("GET", f"/jobs/{self._submit(wire, rows)}", headers=_PREFER)
        return orjson.loads(body), time.time()

    def _submit(self, wire: Wire, rows: Sequence[Sequence[float]]) -> str:
        status, body = wire.call("POST", "/jobs", orjson.dumps({"instances": rows}))
        assert status == 202, body
        return str(orjson.loads(body)["id"])


def _asked(database: Database | None) -> int:
    """Count the statements that the server has been asked for since it was started."""
    if database is None:
        return 0
    return int(database.read(lambda c: c.execute(_ASKED).one()[1]))


def _follow(port: int, job: str) -> tuple[dict[str, Any], float]:
    """Read a job's events to the end; give its last document, and when that arrived."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        request = f"GET /jobs/{job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        data, arrived = b"", time.time()
        while b'"state":"succeeded"' not in data:
            more = connection.recv(65536)
            assert more, data
            data, arrived = data + more, time.time()
        line = next(part for part in data.split(b"data: ") if b'"state":"succeeded"' in part)
        while b"\n\n" not in line:
            line += connection.recv(65536)
        document: dict[str, Any] = orjson.loads(line.split(b"\n", 1)[0])
        return document, arrived


def main() -> None:
    """Read a plan, run it, write the report."""
    clients = _Clients(Plan(**json.load(sys.stdin)))
    clients.run()
    sys.stdout.buffer.write(orjson.dumps(asdict(clients.report)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
