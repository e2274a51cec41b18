"""What a worker reports of itself: the processes of its pool, and the models they can load."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """The state of a worker, or of one process of its pool.

    Of `processes` that it should have, `running` can take a batch. `available` maps each artifact
    that they can load ("drybeans@2") to its SHA-256, `refused` each that they cannot to the reason.
    """

    processes: int
    running: int
    available: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Return a sentence for each thing that keeps it from doing all that is expected of it."""
        count = f"{self.processes} processes" if self.processes != 1 else "1 process"
        dead = [] if self.running else [f"None of its {count} can take work."]
        return dead + [f"It cannot load {id_}: {self.refused[id_]}" for id_ in sorted(self.refused)]

    def can_load(self, id_: str, sha256: str) -> bool:
        """Return whether it runs and can load that very artifact."""
        return bool(self.running) and self.available.get(id_) == sha256

    def details(self) -> dict[str, Any]:
        """Return it as details of a heartbeat, for `read_status`."""
        return asdict(self)


def read_status(details: Mapping[str, Any]) -> WorkerStatus | None:
    """Read the details of a heartbeat; return None where they report no status."""
    try:
        status = WorkerStatus(
            processes=int(details["processes"]),
            running=int(details["running"]),
            available=dict(details["available"]),
            refused=dict(details["refused"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
    return status


def parse_status(text: bytes) -> WorkerStatus | None:
    """Read a status from JSON, such as the heartbeat file; return None for anything else."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    return read_status(found) if isinstance(found, dict) else None


def merge(processes: int, reports: Sequence[WorkerStatus]) -> WorkerStatus:
    """Merge the `reports` of the living processes of a pool that should have `processes`.

    What one of them refuses the worker refuses: the next process would refuse it too.
    """
    refused = {id_: reason for report in reports for id_, reason in report.refused.items()}
    available = {id_: sha for report in reports for id_, sha in report.available.items()}
    return WorkerStatus(
        processes=processes,
        running=sum(report.running for report in reports),
        available={id_: sha for id_, sha in available.items() if id_ not in refused},
        refused=refused,
    )
