"""Predicts throughput and latency of one-row jobs by simulating the queue they pass through.

The model is the design: clients in a closed loop; an API process that handles one request at a
time; a writer that commits all that waits in one transaction; worker processes that each run one
message as a batch. A stage takes a fixed time and a time per job. `bench.capacity` measures them
and compares a prediction with a run.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

_MOST_GROUP: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Seconds that a stage takes for a group of n jobs: `fixed` + n × `per_job`."""

    fixed: float
    per_job: float

    def seconds(self, jobs: int) -> float:
        """Return the time for `jobs` jobs at once."""
        return self.fixed + jobs * self.per_job


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The stages, and how many of each there are.

    `request` is the API's time for one request; `notice` is how long a client takes to learn that
    its job is done; `cpu` is the time on any core, of all processes, for a group.
    """

    request: float
    commit: Stage
    message: float
    batch: Stage
    notice: float
    cpu: Stage
    cores: float = 2.0
    apis: int = 1
    workers: int = 2

    def ceiling(self, group: float) -> float:
        """Return the most jobs a second that the cores can do in groups of `group` jobs."""
        return self.cores * group / (self.cpu.fixed + group * self.cpu.per_job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Finished jobs a second, and seconds from sending to the result."""

    rate: float
    p50: float
    p99: float
    group: float


@dataclass(slots=True)
class _Station:
    """Servers that each take a group of what waits."""

    servers: int
    most: int
    seconds: Callable[[int], float]
    done: Callable[[list[int]], None]
    waiting: deque[int] = field(default_factory=deque)
    groups: list[int] = field(default_factory=list)
    busy: int = 0


class Simulation:
    """Runs a closed loop of clients through the stations for some simulated seconds."""

    def __init__(self, model: Model, clients: int, seed: int = 1) -> None:
        """Begin with every client sending a job within the first millisecond."""
        self._model = model
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now = 0.0
        self._sent: dict[int, float] = {}
        self.latencies: list[float] = []
        self._messages: deque[list[int]] = deque()
        self._idle_workers = model.workers
        self._api = _Station(model.apis, 1, lambda _: model.request, self._received)
        self._counting = False
        self._writer = _Station(model.apis, _MOST_GROUP, model.commit.seconds, self._committed)
        for client in range(clients):
            self._after(self._random.uniform(0, 0.001), partial(self._send, client))

    def run(self, seconds: float) -> Prediction:
        """Simulate `seconds`, of which the first fifth is not counted."""
        warm = seconds / 5
        while self._events and self._events[0][0] < seconds:
            self._now, _, event = heapq.heappop(self._events)
            if self._now >= warm and not self._counting:
                self._counting = True
                self.latencies.clear()
                self._writer.groups.clear()
            event()
        ordered = sorted(self.latencies)
        group = sum(self._writer.groups) / len(self._writer.groups)
        rate = len(ordered) / (seconds - warm)
        # Stages that wait for each other's cores all slow down alike.
        crowded = max(1.0, rate / self._model.ceiling(group))
        return Prediction(
            rate=rate / crowded,
            p50=ordered[len(ordered) // 2] * crowded,
            p99=ordered[int(len(ordered) * 0.99)] * crowded,
            group=group,
        )

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._now + seconds, next(self._order), event))

    def _send(self, client: int) -> None:
        self._sent[client] = self._now
        self._join(self._api, client)

    def _join(self, station: _Station, client: int) -> None:
        station.waiting.append(client)
        self._serve(station)

    def _serve(self, station: _Station) -> None:
        while station.busy < station.servers and station.waiting:
            size = min(len(station.waiting), station.most)
            group = [station.waiting.popleft() for _ in range(size)]
            station.groups.append(size)
            station.busy += 1
            # Real service times scatter; the exponential part keeps the mean.
            scatter = 0.7 + 0.3 * self._random.expovariate(1.0)

            def leave(group: list[int] = group) -> None:
                station.busy -= 1
                station.done(group)
                self._serve(station)

            self._after(station.seconds(size) * scatter, leave)

    def _received(self, group: list[int]) -> None:
        self._join(self._writer, group[0])

    def _committed(self, group: list[int]) -> None:
        self._after(self._model.message, partial(self._publish, group))

    def _publish(self, group: list[int]) -> None:
        self._messages.append(group)
        self._work()

    def _work(self) -> None:
        while self._idle_workers and self._messages:
            group = self._messages.popleft()
            self._idle_workers -= 1
            seconds = self._model.batch.seconds(len(group))
            self._after(seconds, partial(self._finish, group))

    def _finish(self, group: list[int]) -> None:
        self._idle_workers += 1
        self._work()
        for client in group:
            self._after(self._model.notice, partial(self._learn, client))

    def _learn(self, client: int) -> None:
        self.latencies.append(self._now - self._sent[client])
        self._send(client)
