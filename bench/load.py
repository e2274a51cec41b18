"""The clients of a benchmark in a process of their own: `python -m bench.load < plan > report`.

Each client is a greenlet in a closed loop: it sends a job, waits for its result if the way says
so, checks the label, and begins again. A 503 is counted, and the call repeated a little later.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, Final

import gevent
import orjson

from bench.parts import run_apart
from bench.wire import Wire

_REFUSED_PAUSE: Final = 0.1
_DONE: Final = frozenset({"succeeded", "partial", "failed", "canceled", "expired", "done"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the clients do.

    `way`: `accept` only submits, `poll` looks every `pause` seconds, `wait` asks the server to
    wait (`Prefer: wait`). They begin no job after `seconds`, or after `jobs` jobs in all.
    `labels` are the expected ones of `rows`.
    """

    port: int
    way: str
    clients: int
    rows: Sequence[Sequence[float]]
    labels: Sequence[str]
    seconds: float = float("inf")
    jobs: int = sys.maxsize
    pause: float = 0.01


@dataclass(slots=True, kw_only=True)
class Report:
    """What they saw: seconds from sending to the 202, and to the label; one value a job.

    `refused` counts the answers 503.
    """

    accepted: list[float] = field(default_factory=list)
    finished: list[float] = field(default_factory=list)
    refused: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def jobs(self) -> int:
        """How many jobs there were."""
        return max(len(self.accepted), len(self.finished))


def run_clients(plan: Plan) -> Report:
    """Run the clients of `plan` in a process of their own and give what they saw."""
    return Report(**run_apart("bench.load", asdict(plan)))


class _Clients:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._left = plan.jobs
        self._bodies = [orjson.dumps({"instances": [row]}) for row in plan.rows]
        self._next = 0
        self.report = Report()

    def run(self) -> None:
        begun, cpu = time.monotonic(), time.process_time()
        until = begun + self._plan.seconds
        # The first client that fails ends the run; the others need not be heard.
        gevent.get_hub().exception_stream = None
        gevent.joinall(
            [gevent.spawn(self._client, until) for _ in range(self._plan.clients)],
            raise_error=True,
        )
        self.report.wall = time.monotonic() - begun
        self.report.cpu = time.process_time() - cpu

    def _client(self, until: float) -> None:
        wire = Wire(self._plan.port)
        ways: dict[str, Callable[[Wire, bytes], str | None]] = {
            "accept": self._accept, "poll": self._poll, "wait": self._wait
        }  # fmt: skip
        way = ways[self._plan.way]
        while self._left > 0 and time.monotonic() < until:
            self._left -= 1
            number = self._next = (self._next + 1) % len(self._bodies)
            label = way(wire, self._bodies[number])
            assert label in {None, self._plan.labels[number]}, f"wrong label {label}"
        wire.close()

    def _accept(self, wire: Wire, body: bytes) -> None:
        self._submit(wire, body)

    def _submit(self, wire: Wire, body: bytes) -> dict[str, Any]:
        sent = time.monotonic()
        answer = self._call(wire, 202, "POST", "/jobs", body)
        self.report.accepted.append(time.monotonic() - sent)
        return answer

    def _poll(self, wire: Wire, body: bytes) -> str:
        sent = time.monotonic()
        job = self._submit(wire, body)
        while job["state"] not in _DONE:
            gevent.sleep(self._plan.pause)
            job = self._call(wire, 200, "GET", f"/jobs/{job['id']}")
        if "labels" in job and job["state"] == "done":
            label = job["labels"][0]
        else:
            page = self._call(wire, 200, "GET", f"/jobs/{job['id']}/results")
            label = page["results"][0]["label"]
        self.report.finished.append(time.monotonic() - sent)
        return str(label)

    def _wait(self, wire: Wire, body: bytes) -> str:
        sent = time.monotonic()
        answer = self._call(wire, 200, "POST", "/jobs", body, "Prefer: wait=30\r\n")
        label = answer["results"][0]["label"]
        self.report.finished.append(time.monotonic() - sent)
        return str(label)

    def _call(self, wire: Wire, expected: int, *request: Any) -> dict[str, Any]:  # noqa: ANN401
        status, body = wire.call(*request)
        while status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.report.refused += 1
            gevent.sleep(_REFUSED_PAUSE)
            status, body = wire.call(*request)
        assert status == expected, f"{status} instead of {expected}: {body[:300]!r}"
        document: dict[str, Any] = orjson.loads(body)
        return document


def main() -> None:
    """Read a plan, run it, write the report."""
    clients = _Clients(Plan(**json.load(sys.stdin)))
    clients.run()
    sys.stdout.buffer.write(orjson.dumps(asdict(clients.report)))


if __name__ == "__main__":
    main()
