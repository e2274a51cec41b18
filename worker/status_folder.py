"""How the processes of a pool report to the worker's main process: a file for each of them."""

import os
import shutil
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import orjson

from shared.observability.worker_status import WorkerStatus, parse_status


class StatusFolder:
    """A folder in which each pool process keeps its status, under its process id."""

    def __init__(self) -> None:
        """Create the folder: in the main process, before it forks."""
        self._path = Path(tempfile.mkdtemp(prefix="drybeans-status-"))

    def write(self, status: WorkerStatus) -> None:
        """Store the status of this process."""
        file = self._path / str(os.getpid())
        replacement = file.with_suffix(".new")
        replacement.write_bytes(orjson.dumps(status.details()))
        replacement.replace(file)

    def read(self, pids: Collection[int]) -> list[WorkerStatus]:
        """Return the status of each process of `pids` that has one, and forget all others."""
        found = []
        for file in self._path.iterdir():
            if file.suffix:
                continue
            if int(file.name) not in pids:
                file.unlink(missing_ok=True)
                continue
            with suppress(OSError):
                status = parse_status(file.read_bytes())
                found += [status] if status else []
        return found

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._path, ignore_errors=True)
