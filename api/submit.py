"""Turns a request into a job: checks the options and the rows, cuts chunks, hands them in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from api.reading import Faults
from shared.domain.chunks import Encoding, NewChunk, Queue, Submission
from shared.domain.errors import BodyTooLarge, Fault, ModelUnknown, RequestInvalid
from shared.domain.jobs import Job, JobId, JobState
from shared.domain.manifest import Manifest
from shared.domain.rows import PackedRows, pack

_MEMBERS: Final = frozenset({"instances", "model", "outputs", "labels", "retention_seconds"})
_MOST_LABELS: Final = 16
_LABEL_LENGTH: Final = 64
_FLOAT64: Final = 8


class Resolve(Protocol):
    """Finds the manifest that a model's name stands for; raises `ModelUnknown`."""

    def __call__(self, name: str, /) -> Manifest:
        """Find it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a client asks for beside the rows."""

    manifest: Manifest
    outputs: tuple[str, ...]
    labels: Mapping[str, str]
    retention: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitLimits:
    """How much one request may ask for, and how its rows are cut.

    `retention` is both the default and the longest time that a finished job is kept.
    """

    instances: int
    chunk_rows: int
    interactive_rows: int
    retention: timedelta
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class SubmitJob:
    """Accepts jobs of rows given as JSON."""

    resolve: Resolve
    default_model: str
    accept: Callable[[Submission], None]
    limits: SubmitLimits
    now: Callable[[], datetime]
    new_id: Callable[[], JobId]

    def __call__(self, document: Mapping[str, Any]) -> Job:
        """Check `document`, commit the job it asks for and return it.

        Raises `RequestInvalid` (with every fault), `ModelUnknown`, `BodyTooLarge`, and what the
        intake raises.
        """
        options = self._options(document)
        rows = self._rows(document, options.manifest)
        submission = self._submission(options, rows)
        self.accept(submission)
        return _as_job(submission)

    def _options(self, document: Mapping[str, Any]) -> Options:
        faults = Faults()
        for name in sorted(document.keys() - _MEMBERS):
            known = ", ".join(sorted(_MEMBERS))
            faults.add(f"/{name[:80]}", "unknown_member", f"Known members are {known}.")
        labels = _read_labels(document.get("labels", {}), faults)
        retention = _read_retention(
            document.get("retention_seconds"), self.limits.retention, faults
        )
        manifest = _read_model(document.get("model", self.default_model), self.resolve, faults)
        outputs = _read_outputs(document.get("outputs", ["label"]), manifest, faults)
        faults.raise_any()
        assert manifest is not None  # noqa: S101 - else there is a fault
        return Options(manifest=manifest, outputs=outputs, labels=labels, retention=retention)

    def _rows(self, document: Mapping[str, Any], manifest: Manifest) -> PackedRows:
        instances = document.get("instances")
        if not isinstance(instances, list) or not instances:
            detail = "instances must be a list of at least one row."
            raise RequestInvalid(detail, faults=(_fault("/instances", "instances", detail),))
        if len(instances) > self.limits.instances:
            raise BodyTooLarge(
                f"{len(instances)} rows are more than the {self.limits.instances} that one JSON "
                "job may have; send several jobs, or a CSV."
            )
        rows = pack(instances, manifest.columns)
        if len(rows.errors) == rows.count:
            raise RequestInvalid(_nothing_usable(rows), faults=_row_faults(rows))
        return rows

    def _submission(self, options: Options, rows: PackedRows) -> Submission:
        created = self.now()
        manifest = options.manifest
        bulk = rows.count > self.limits.interactive_rows
        return Submission(
            id=self.new_id(),
            queue=Queue.BULK if bulk else Queue.INTERACTIVE,
            model_name=manifest.name,
            model_version=manifest.version,
            model_sha256=manifest.sha256,
            outputs=options.outputs,
            labels=options.labels,
            warnings=(),
            retention=options.retention,
            created_at=created,
            deadline_at=created + self.limits.deadline,
            chunks=tuple(_cut(rows, self.limits.chunk_rows, len(manifest.features))),
        )


def _read_model(name: object, resolve: Resolve, faults: Faults) -> Manifest | None:
    if not isinstance(name, str):
        faults.add("/model", "not_text", 'model must be text such as "drybeans" or "drybeans@1".')
        return None
    try:
        return resolve(name)
    except ModelUnknown as error:
        faults.add("/model", error.code, error.detail)
        return None


def _read_outputs(outputs: object, manifest: Manifest | None, faults: Faults) -> tuple[str, ...]:
    possible = manifest.outputs if manifest else ("label", "probabilities")
    if not (isinstance(outputs, list) and outputs and all(name in possible for name in outputs)):
        detail = f"outputs must be a list of one or more of: {', '.join(possible)}."
        faults.add("/outputs", "outputs", detail)
        return ()
    return tuple(name for name in possible if name == "label" or name in outputs)


def _read_labels(labels: object, faults: Faults) -> dict[str, str]:
    if not isinstance(labels, dict) or len(labels) > _MOST_LABELS:
        detail = f"labels must be an object of at most {_MOST_LABELS} pairs of text."
        faults.add("/labels", "labels", detail)
        return {}
    for name, value in labels.items():
        if not (isinstance(value, str) and max(len(name), len(value)) <= _LABEL_LENGTH and name):
            detail = f"A label is a pair of texts of 1 to {_LABEL_LENGTH} characters."
            faults.add(f"/labels/{name[:80]}", "label", detail)
    return labels


def _read_retention(seconds: object, longest: timedelta, faults: Faults) -> timedelta:
    if seconds is None:
        return longest
    most = round(longest.total_seconds())
    whole = isinstance(seconds, int) and not isinstance(seconds, bool)
    if not whole or not 1 <= seconds <= most:  # type: ignore[operator]
        detail = f"retention_seconds must be a whole number from 1 to {most}."
        faults.add("/retention_seconds", "retention_seconds", detail)
        return longest
    return timedelta(seconds=seconds)  # type: ignore[arg-type]


def _fault(pointer: str, code: str, detail: str) -> Fault:
    return Fault(pointer=pointer, code=code, detail=detail)


def _nothing_usable(rows: PackedRows) -> str:
    first = rows.errors[0]
    which = "The only row" if rows.count == 1 else f"None of the {rows.count} rows"
    return (
        f"{which} can be predicted: {first.detail}"
        if rows.count == 1
        else (f"{which} can be predicted; errors says why. The first: {first.detail}")
    )


def _row_faults(rows: PackedRows) -> tuple[Fault, ...]:
    return tuple(
        _fault(
            f"/instances/{error.row}" + (f"/{_escape(error.field)}" if error.field else ""),
            error.code,
            error.detail,
        )
        for error in rows.errors[:1000]
    )


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def _cut(rows: PackedRows, size: int, width: int) -> Sequence[NewChunk]:
    stride = width * _FLOAT64
    return [
        NewChunk(
            seq=seq,
            first_row=first,
            row_count=min(size, rows.count - first),
            encoding=Encoding.FLOAT64,
            body=rows.body[first * stride : (first + size) * stride],
            errors=rows.errors_within(first, first + size),
        )
        for seq, first in enumerate(range(0, rows.count, size))
    ]


def _as_job(submission: Submission) -> Job:
    return Job(
        id=submission.id,
        state=JobState.QUEUED,
        model_name=submission.model_name,
        model_version=submission.model_version,
        model_sha256=submission.model_sha256,
        outputs=submission.outputs,
        labels=submission.labels,
        rows_total=submission.row_count,
        rows_succeeded=0,
        rows_failed=0,
        attempts=0,
        summary=None,
        failure=None,
        warnings=submission.warnings,
        created_at=submission.created_at,
        started_at=None,
        finished_at=None,
        expires_at=None,
    )
