"""Submitting rows as JSON: options checked, rows packed, chunks cut, all mistakes told at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.jobs.submit_rows import SubmitLimits, SubmitRows
from api.schemas.job_options import ReadOptions
from shared.domain.chunks import Submission
from shared.domain.errors import BodyTooLarge, IntakeFull, ModelUnknown, RequestInvalid
from shared.domain.jobs import Job, JobId, JobState, Queue
from shared.models.manifest import Manifest
from tests.models import a_manifest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROW = [1.0, 2.0, 3.0]
LIMITS = SubmitLimits(
    instances=100, chunk_rows=10, interactive_rows=20, deadline=timedelta(hours=24)
)


class FakeCatalog:
    """Knows toy@1 and toy@2; plain toy is toy@2, which gives labels only."""

    def __call__(self, name: str, /) -> Manifest:
        known = {"toy": 2, "toy@1": 1, "toy@2": 2}
        if name not in known:
            raise ModelUnknown(f"There is no model {name!r}.")
        version = known[name]
        return a_manifest(version=version, outputs=("label", "probabilities")[: 3 - version])


class Submitter:
    """A `SubmitRows` whose intake remembers what it accepted."""

    def __init__(self, limits: SubmitLimits = LIMITS) -> None:
        self.accepted: list[Submission] = []
        self.manifests: list[Manifest] = []
        read_options = ReadOptions(
            resolve=FakeCatalog(), default_model="toy", max_retention=timedelta(days=7)
        )
        self._submit = SubmitRows(
            read_options=read_options,
            accept=self.accepted.append,
            limits=limits,
            now=lambda: NOW,
            new_id=lambda: JobId("the-id"),
            store_manifest=self.manifests.append,
        )

    def __call__(self, instances: object = (ROW,), **options: Any) -> Job:
        rows = list(instances) if isinstance(instances, tuple) else instances
        return self._submit({"instances": rows, **options})

    @property
    def only(self) -> Submission:
        """The one job that was accepted."""
        (submission,) = self.accepted
        return submission

    def refusal(self, instances: object = (ROW,), **options: Any) -> list[tuple[str, str]]:
        """Submit what must be refused; give pointer and code of each fault."""
        with pytest.raises(RequestInvalid) as caught:
            self(instances, **options)
        assert self.accepted == []
        return [(fault.pointer, fault.code) for fault in caught.value.faults]


def test_a_job_is_pinned_to_what_its_model_is_now() -> None:
    """The version that the plain name stands for is written into the job."""
    submit = Submitter()

    job = submit()

    assert (job.id, job.state, job.rows_total) == ("the-id", JobState.QUEUED, 1)
    assert (job.model_name, job.model_version) == ("toy", 2)
    assert (submit.only.model_name, submit.only.model_version) == ("toy", 2)
    assert submit.only.model_sha256 == a_manifest().sha256


def test_without_options_a_job_has_the_defaults() -> None:
    """Labels only, no labels of its own, kept as long as the service keeps anything."""
    submit = Submitter()
    submit()

    assert (submit.only.outputs, submit.only.labels) == (("label",), {})
    assert submit.only.retention == timedelta(days=7)
    assert (submit.only.created_at, submit.only.deadline_at) == (NOW, NOW + timedelta(hours=24))


def test_options_are_kept_with_the_job() -> None:
    """Model, outputs, labels and retention are the client's."""
    submit = Submitter()
    submit(
        model="toy@1",
        outputs=["probabilities"],
        labels={"batch": "7"},
        retention_seconds=60,
    )

    assert submit.only.model_version == 1
    assert submit.only.outputs == ("label", "probabilities")
    assert submit.only.labels == {"batch": "7"}
    assert submit.only.retention == timedelta(seconds=60)


@pytest.mark.parametrize(
    "options, pointer, code",
    [
        ({"model": "toy@9"}, "/model", "model_unknown"),
        ({"model": ""}, "/model", "model_unknown"),
        ({"model": 1}, "/model", "string_type"),
        ({"model": None}, "/model", "string_type"),
        ({"model": ["toy"]}, "/model", "string_type"),
        ({"outputs": []}, "/outputs", "too_short"),
        ({"outputs": "label"}, "/outputs", "list_type"),
        ({"outputs": ["label", "shap"]}, "/outputs/1", "literal_error"),
        ({"outputs": [["label"]]}, "/outputs/0", "literal_error"),
        ({"outputs": ["probabilities"]}, "/outputs", "output_unknown"),
        ({"labels": []}, "/labels", "dict_type"),
        ({"labels": {str(n): "" for n in range(17)}}, "/labels", "too_long"),
        ({"labels": {"a": 1}}, "/labels/a", "string_type"),
        ({"labels": {"": "x"}}, "/labels/", "string_too_short"),
        ({"labels": {"a": "x" * 65}}, "/labels/a", "string_too_long"),
        ({"labels": {"a/b~c": None}}, "/labels/a~1b~0c", "string_type"),
        ({"labels": {"a": "x "}}, "/labels/a", "string_pattern_mismatch"),
        ({"retention_seconds": 0}, "/retention_seconds", "greater_than_equal"),
        ({"retention_seconds": 7 * 86400 + 1}, "/retention_seconds", "less_than_equal"),
        ({"retention_seconds": 1.5}, "/retention_seconds", "int_type"),
        ({"retention_seconds": True}, "/retention_seconds", "int_type"),
        ({"instance": [ROW]}, "/instance", "unknown_member"),
        ({"a/b": 1}, "/a~1b", "unknown_member"),
    ],
)
def test_a_bad_option_is_refused_and_pointed_at(
    options: dict[str, Any], pointer: str, code: str
) -> None:
    """The pointer is a JSON pointer into the request; nothing is accepted."""
    assert Submitter().refusal(**options) == [(pointer, code)]


def test_all_mistakes_in_the_options_are_told_at_once() -> None:
    """A client mends its request in one go."""
    found = Submitter().refusal(model=7, outputs=[], labels=3, retention_seconds=-1, extra=1)

    assert [pointer for pointer, _ in found] == [
        "/model",
        "/outputs",
        "/labels",
        "/retention_seconds",
        "/extra",
    ]


@pytest.mark.parametrize("instances", [None, [], {}, "[[1,2,3]]", 5])
def test_instances_must_be_a_list_with_a_row(instances: object) -> None:
    """An empty list is no job."""
    assert Submitter().refusal(instances) == [("/instances", "instances")]


def test_a_job_without_a_usable_row_is_refused_at_once() -> None:
    """It could only fail; its client learns why now, row by row."""
    found = Submitter().refusal(([1.0], {"Area": "x", "Length": 1.0, "Width": 1.0}, "row"))

    assert found == [
        ("/instances/0", "too_few_fields"),
        ("/instances/1/Area", "not_a_number"),
        ("/instances/2", "not_a_row"),
    ]


def test_the_reason_of_a_single_row_is_the_sentence_of_the_refusal() -> None:
    """The usual mistake, one row with a wrong length, needs no look at `errors`."""
    with pytest.raises(RequestInvalid) as short:
        Submitter()(([1.0, 2.0],))
    with pytest.raises(RequestInvalid) as named:
        Submitter()(({"area": 1.0},))

    assert short.value.detail == (
        "The only row cannot be predicted. The row has 2 values; the model takes 3."
    )
    assert named.value.detail == "The only row cannot be predicted. Missing: Length, Width."


def test_the_reason_of_the_first_row_is_told_with_that_of_all() -> None:
    """Most often all rows are wrong for one reason."""
    with pytest.raises(RequestInvalid) as caught:
        Submitter()(([1.0], ["x", 1.0, 1.0]))

    assert caught.value.detail == (
        "None of the 2 rows can be predicted; see errors. "
        "The first: The row has 1 value; the model takes 3."
    )


def test_bad_rows_among_good_ones_are_accepted_with_their_errors() -> None:
    """A bad row never fails its job."""
    submit = Submitter()

    job = submit((ROW, [1.0], ROW))

    (chunk,) = submit.only.chunks
    assert job.rows_total == 3
    assert [(error.row, error.code) for error in chunk.errors] == [(1, "too_few_fields")]


def test_many_rows_are_cut_into_chunks_in_order() -> None:
    """Each chunk knows where it starts and carries its own rows and errors."""
    submit = Submitter()
    rows = [[float(n), 0.0, 0.0] for n in range(25)]
    rows[12] = []
    submit(tuple(rows))

    chunks = submit.only.chunks
    assert [(c.seq, c.first_row, c.row_count) for c in chunks] == [
        (0, 0, 10),
        (1, 10, 10),
        (2, 20, 5),
    ]
    assert [len(c.body) for c in chunks] == [10 * 24, 10 * 24, 5 * 24]
    assert [[error.row for error in c.errors] for c in chunks] == [[], [2], []]
    assert len(b"".join(c.body for c in chunks)) == 25 * 24


@pytest.mark.parametrize("rows, queue", [(20, Queue.INTERACTIVE), (21, Queue.BULK)])
def test_large_jobs_take_the_queue_of_large_jobs(rows: int, queue: Queue) -> None:
    """A small job never waits behind them."""
    submit = Submitter()
    submit((ROW,) * rows)

    assert submit.only.queue is queue


def test_too_many_rows_are_refused_with_the_limit() -> None:
    """The sentence says how many there may be and what to do instead."""
    with pytest.raises(BodyTooLarge, match="101 rows are more than the 100"):
        Submitter()((ROW,) * 101)


def test_what_the_intake_refuses_is_not_answered_as_accepted() -> None:
    """A job exists only when it was committed."""

    def full(_: Submission) -> None:
        raise IntakeFull

    options = ReadOptions(
        resolve=FakeCatalog(), default_model="toy", max_retention=timedelta(days=7)
    )
    stored: list[Manifest] = []
    submit = SubmitRows(options, full, LIMITS, lambda: NOW, lambda: JobId("x"), stored.append)

    with pytest.raises(IntakeFull):
        submit({"instances": [ROW]})
    assert stored == []
