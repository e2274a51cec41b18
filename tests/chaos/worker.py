"""A worker for chaos: slower than the real one, mortal, and a mutant when asked to be.

`python -m tests.chaos.worker` is `python -m worker.main` with the prediction wrapped: it takes a
moment, so that faults strike in the middle of batches, of which it leaves a note, and it kills its
process at a marked row, as a model that crashes its interpreter does. No such switch exists in the
product.
"""

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import worker.batch.run
import worker.models.loader
from shared.domain.chunks import ChunkResult, ClaimedChunk
from shared.domain.jobs import ChunkRef
from tests.chaos.batches import note_of, noted
from tests.chaos.beans import POISON
from tests.chaos.mutants import MUTANTS
from worker.batch.predict import predict_chunks, read_rows
from worker.batch.trace_context import TraceContexts
from worker.models.artifacts import Artifact, load

SECONDS: Final = "DRYBEANS_TEST_CHAOS_SECONDS"
NAME: Final = "DRYBEANS_TEST_CHAOS_NAME"
FOLDER: Final = "DRYBEANS_TEST_CHAOS_FOLDER"
MUTANT: Final = "DRYBEANS_TEST_CHAOS_MUTANT"


def slow_loading_file(folder: Path) -> Path:
    """Return the file that, where it exists, says how many seconds loading a model takes."""
    return folder / "slow-loading"


def main() -> None:
    """Become the worker that the environment asks for."""
    # It builds at import, from the environment.
    import worker.main  # noqa: PLC0415

    folder = Path(os.environ[FOLDER])
    _note_batches(note_of(folder, os.environ[NAME]))
    _predict_slowly(float(os.environ[SECONDS]))
    _load_slowly(slow_loading_file(folder))
    mutant = MUTANTS.get(os.environ[MUTANT])
    if mutant is not None and "worker" in mutant.parts:
        mutant.apply()
    worker.main.main()


def _note_batches(note: Path) -> None:
    run_batch = worker.batch.run.RunBatch.__call__

    def seen(
        run: worker.batch.run.RunBatch, refs: Sequence[ChunkRef], *trails: TraceContexts
    ) -> None:
        with noted(note, refs):
            run_batch(run, refs, *trails)

    setattr(worker.batch.run.RunBatch, "__call__", seen)  # noqa: B010 - mypy forbids to assign it


def _predict_slowly(longest: float) -> None:
    def deadly(
        model: worker.models.loader.LoadedModel, chunks: Sequence[ClaimedChunk]
    ) -> list[ChunkResult]:
        time.sleep(random.uniform(0, longest))
        for chunk in chunks:
            if (read_rows(chunk, len(model.lows)).values[:, 0] == POISON).any():
                os.kill(os.getpid(), signal.SIGKILL)
        return predict_chunks(model, chunks)

    setattr(worker.batch.run, "predict_chunks", deadly)  # noqa: B010 - not exported: only here


def _load_slowly(file: Path) -> None:
    def slow(folder: Path) -> Artifact:
        if file.exists():
            time.sleep(float(file.read_text()))
        return load(folder)

    setattr(worker.models.loader, "load", slow)  # noqa: B010 - not exported: only here


if __name__ == "__main__":
    main()
