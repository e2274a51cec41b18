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

from shared.domain.chunks import ChunkResult, Claimed
from shared.domain.jobs import ChunkRef
from tests.chaos.batches import note_of, noted
from tests.chaos.beans import POISON
from tests.chaos.mutants import MUTANTS

SECONDS: Final = "DRYBEANS_TEST_CHAOS_SECONDS"
NAME: Final = "DRYBEANS_TEST_CHAOS_NAME"
FOLDER: Final = "DRYBEANS_TEST_CHAOS_FOLDER"
MUTANT: Final = "DRYBEANS_TEST_CHAOS_MUTANT"


def main() -> None:
    """Become the worker that the environment asks for."""
    # They build at import, from the environment.
    import worker.lifecycle  # noqa: PLC0415
    import worker.main  # noqa: PLC0415
    import worker.run  # noqa: PLC0415
    from worker.models import Model  # noqa: PLC0415
    from worker.predict import predict_chunks, read_rows  # noqa: PLC0415
    from worker.traces import Trails  # noqa: PLC0415

    most = float(os.environ[SECONDS])
    note = note_of(Path(os.environ[FOLDER]), os.environ[NAME])
    run_batch = worker.run.RunBatch.__call__

    def seen(run: worker.run.RunBatch, refs: Sequence[ChunkRef], *trails: Trails) -> None:
        with noted(note, refs):
            run_batch(run, refs, *trails)

    def deadly(model: Model, chunks: Sequence[Claimed]) -> list[ChunkResult]:
        time.sleep(random.uniform(0, most))
        for chunk in chunks:
            if (read_rows(chunk, len(model.lows)).values[:, 0] == POISON).any():
                os.kill(os.getpid(), signal.SIGKILL)
        return predict_chunks(model, chunks)

    setattr(worker.run.RunBatch, "__call__", seen)  # noqa: B010 - as below
    setattr(worker.run, "predict_chunks", deadly)  # noqa: B010 - not exported: only here
    if mutant := os.environ.get(MUTANT):
        MUTANTS[mutant].apply()
    worker.main.main()


if __name__ == "__main__":
    main()
