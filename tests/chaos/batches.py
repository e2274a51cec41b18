"""What a worker is at: a note on disk, since a batch without a claim shows nowhere else."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.domain.jobs import ChunkRef, JobId


def note_of(folder: Path, worker: str) -> Path:
    """Return where the worker of that name keeps its note."""
    return folder / f"{worker}.batch"


@contextmanager
def noted(path: Path, refs: Sequence[ChunkRef]) -> Iterator[None]:
    """Keep a note at `path` for as long as this process is at `refs`."""
    words = {"pid": os.getpid(), "chunks": [(ref.job, ref.seq) for ref in refs]}
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(words))
    fresh.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_note(path: Path, alive: Sequence[int]) -> set[ChunkRef]:
    """Read which chunks one of the processes `alive` is at; the dead leave their notes behind."""
    try:
        words = json.loads(path.read_text())
    except FileNotFoundError:
        return set()
    if words["pid"] not in alive:
        return set()
    return {ChunkRef(job=JobId(job), seq=seq) for job, seq in words["chunks"]}
