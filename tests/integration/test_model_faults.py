"""A worker that cannot load a job's model: its own fault, not that of a chunk or a row."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from shared.db.engine import Database
from shared.db.queries.inspection import read_clock
from shared.db.schema import chunks
from shared.domain.chunks import Submission
from shared.domain.jobs import ChunkRef, ChunkState, JobState, ModelPin, RetryPolicy
from shared.models.registry import read_manifest
from tests.factories import OUTBOX, a_submission, job_of, labels_of, submit
from tests.fakes import FakeModels, FakePredictor, FakeQueue, a_loaded_model
from tests.models import a_manifest, a_model, a_table, an_artifact
from worker.batch.run import RunBatch
from worker.models.artifacts import golden_of, publish
from worker.models.loader import ModelLoader

POLICY = RetryPolicy(max_attempts=2, first_delay=timedelta(0))
WAYS = pytest.mark.parametrize("publishes", [1, 2], ids=["unclaimed", "claimed"])


def a_worker(database: Database, models: ModelLoader | FakeModels) -> RunBatch:
    """Return the batch run of a worker with these models."""
    parts: Any = {"models": models, "queue": FakeQueue()}
    token = iter(range(1000))
    return RunBatch(
        database=database,
        new_token=lambda: f"{id(models)}-{next(token)}",
        lease=timedelta(seconds=15),
        retry=POLICY,
        outbox=OUTBOX,
        **parts,
    )


def a_toy_job(folder: Path) -> Submission:
    """Return a job of one row for the artifact in `folder`, as it is there now."""
    manifest = read_manifest(folder)
    made = a_submission()
    (chunk,) = made.chunks
    return replace(
        made,
        model_name=manifest.name,
        model_version=manifest.version,
        model_sha256=manifest.sha256,
        chunks=(replace(chunk, body=bytes(8 * len(manifest.features))),),
    )


def stored(database: Database, job: Submission, publishes: int = 1) -> ChunkRef:
    """Store `job`; what was published more than once is run under a claim."""
    (ref,) = submit(database, job)
    database.write(lambda c: c.execute(update(chunks).values(publishes=publishes)))
    return ref


def chunk_row(database: Database, ref: ChunkRef) -> Any:
    """Read the row of a chunk."""
    query = select(chunks).where(chunks.c.job_id == ref.job, chunks.c.seq == ref.seq)
    return database.read(lambda c: c.execute(query).one())


def truncate(folder: Path) -> None:
    """Cut the end off the model file."""
    file = folder / "model.skops"
    file.write_bytes(file.read_bytes()[:-1])


def remove(folder: Path) -> None:
    """Remove the artifact."""
    shutil.rmtree(folder)


def break_manifest(folder: Path) -> None:
    """Leave half of the manifest."""
    file = folder / "manifest.json"
    file.write_text(file.read_text()[:100])


def break_other_manifest(folder: Path) -> None:
    """Damage a model that has nothing to do with the job, and this one too."""
    truncate(folder)
    (folder.parent / "7").mkdir()


def forget_golden_row(folder: Path) -> None:
    """Claim another label for a golden row: the model loads, and contradicts its manifest."""
    file = folder / "manifest.json"
    text = file.read_text()
    labels = text[text.index('"labels": [') :].splitlines()[0]
    file.write_text(text.replace(labels, labels.replace('"a"', '"b"', 1)))


def other_library(folder: Path) -> None:
    """Ask for a scikit-learn that is not here."""
    file = folder / "manifest.json"
    text = file.read_text()
    at = text.index('"scikit-learn": "')
    file.write_text(text[:at] + '"scikit-learn": "0.1"' + text[text.index('"', at + 17) + 1 :])


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, ("toy/1/model.skops has {less} bytes where its manifest says {size}: "
                            "it is truncated or another file.")),
    "removed": (remove, "This worker has no toy@1."),
    "manifest": (break_manifest, "toy/1/manifest.json: it is not JSON ("),
    "library": (other_library, "toy@1 was made with scikit-learn 0.1; here is "),
    "golden": (forget_golden_row, ("toy@1 gives 1 of its 5 golden rows another label than its "
                                  "manifest says.")),
    "others": (break_other_manifest, "toy/1/model.skops has "),
}  # fmt: skip


@WAYS
@pytest.mark.parametrize("fault", FAULTS)
def test_a_worker_with_a_bad_artifact_leaves_its_chunks_to_a_healthy_one(
    database: Database, tmp_path: Path, fault: str, publishes: int
) -> None:
    """However often it takes them, no attempt is counted; the chunk says why it came back."""
    good = an_artifact(tmp_path / "good")
    bad = tmp_path / "bad" / "toy" / "1"
    shutil.copytree(tmp_path / "good", tmp_path / "bad")
    size = (bad / "model.skops").stat().st_size
    spoil, sentence = FAULTS[fault]
    spoil(bad)
    ref = stored(database, a_toy_job(good), publishes)
    damaged = a_worker(database, ModelLoader(tmp_path / "bad"))

    for _ in range(POLICY.max_attempts + 2):
        damaged([ref])

    row = chunk_row(database, ref)
    assert (row.state, row.attempt) == (ChunkState.PENDING, 0)
    assert row.error_detail.startswith(sentence.format(size=size, less=size - 1))
    assert row.next_publish_at is not None
    a_worker(database, ModelLoader(tmp_path / "good"))([ref])
    job = job_of(database, ref.job)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


def test_a_model_whose_code_raises_anything_is_the_workers_fault(
    database: Database, tmp_path: Path
) -> None:
    """Memory that is short, or a module that exits: a reason like any other, and no attempt."""
    folder = an_artifact(tmp_path)

    def exit_now(_: object) -> None:
        raise SystemExit(3)

    ref = stored(database, a_toy_job(folder))

    a_worker(database, ModelLoader(tmp_path, note=exit_now))([ref])

    row = chunk_row(database, ref)
    assert (row.state, row.attempt) == (ChunkState.PENDING, 0)
    assert row.error_detail == "toy@1 could not be loaded (SystemExit: 3)."


def test_a_job_whose_model_no_worker_can_load_fails_after_ten_minutes(database: Database) -> None:
    """With a code of its own: nothing was predicted, and no row is to blame."""
    (ref,) = submit(database, a_submission())
    worker = a_worker(database, FakeModels(reason="This worker has no drybeans@2."))

    database.write(lambda c: c.execute(update(chunks).values(fence=119)))
    worker([ref])
    assert job_of(database, ref.job).state is JobState.RUNNING
    worker([ref])

    job = job_of(database, ref.job)
    assert (job.state, job.rows_failed) == (JobState.FAILED, 1)
    assert job.failure is not None
    assert job.failure.code == "model_unavailable"
    assert job.failure.detail == (
        "For ten minutes no worker could load drybeans@2. This worker has no drybeans@2."
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_wait_for_another_worker_takes_ten_minutes(database: Database) -> None:
    """The chunk is published again after some seconds each time, nearly six hundred in all."""
    (ref,) = submit(database, a_submission())
    worker = a_worker(database, FakeModels(reason="This worker has no drybeans@2."))
    waited = timedelta(0)

    while not job_of(database, ref.job).finished:
        before = database.read(read_clock)
        worker([ref])
        due = chunk_row(database, ref).next_publish_at
        waited += due - before if due else timedelta(0)

    assert waited >= timedelta(seconds=590)


def test_no_chunk_is_claimed_while_its_model_is_loaded(database: Database) -> None:
    """A process that dies of loading takes no attempt of the chunk with it."""
    made = a_submission()
    body = bytes(3 * 8)
    made = replace(made, chunks=(replace(made.chunks[0], body=body),))
    ref = stored(database, made, publishes=2)
    seen: list[tuple[str, int]] = []

    def load() -> None:
        row = chunk_row(database, ref)
        seen.append((row.state, row.attempt))

    models = FakeModels(a_loaded_model(FakePredictor()), settled=False, load=load)
    a_worker(database, models)([ref])

    assert seen == [(ChunkState.PENDING, 0)]
    job = job_of(database, ref.job)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


def republish(root: Path) -> Path:
    """Write another model under the same version: classes the other way round."""
    table, labels = a_table()
    other = a_model().fit(table[:, ::-1], labels)
    golden = golden_of(other, table[:5])
    shutil.rmtree(root / "toy" / "1", ignore_errors=True)
    return publish(root, a_manifest(golden=golden), other)


@WAYS
def test_a_job_gets_labels_of_the_artifact_that_it_was_accepted_for(
    database: Database, tmp_path: Path, publishes: int
) -> None:
    """A worker that loaded the version before it was rewritten leaves later jobs to others."""
    folder = an_artifact(tmp_path)
    old, new = ModelLoader(tmp_path), ModelLoader(tmp_path)
    first = a_toy_job(folder)
    old(ModelPin(first.model_name, first.model_version, first.model_sha256))
    second = a_toy_job(republish(tmp_path))
    assert first.model_sha256 != second.model_sha256
    earlier, later = stored(database, first, publishes), stored(database, second, publishes)

    # It has the new one too, now that it is asked for; what it holds serves the old job.
    a_worker(database, old)([earlier, later])
    # A worker that starts now cannot have the old one.
    another = stored(database, replace(first, id=a_submission().id), publishes)
    a_worker(database, new)([another])

    assert job_of(database, earlier.job).state is JobState.SUCCEEDED
    assert job_of(database, later.job).state is JobState.SUCCEEDED
    row = chunk_row(database, another)
    assert (row.state, row.attempt) == (ChunkState.PENDING, 0)
    assert row.error_detail == (
        f"toy@1 has the SHA-256 {second.model_sha256} on this worker; the job was accepted for "
        f"{first.model_sha256}."
    )
    assert len(labels_of(database, earlier.job)) == 1
