"""Turns a request into a job: checks the options and the rows, cuts chunks, hands them in."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from api.http.idempotency import ANONYMOUS, RequestContext
from api.http.json_body import pointer
from api.schemas.job_options import JobOptions, JsonJob, ReadOptions
from shared.domain.chunks import Encoding, NewChunk, Submission
from shared.domain.errors import BodyTooLarge, FieldError, RequestInvalid
from shared.domain.jobs import Job, JobId, JobState, Queue
from shared.domain.rows import PackedRows, pack
from shared.models.manifest import Manifest

_FLOAT64: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitLimits:
    """How much one request may ask for, and how its rows are cut."""

    instances: int
    chunk_rows: int
    interactive_rows: int
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class SubmitRows:
    """Accepts jobs of rows given as JSON; `store_manifest` must not fail."""

    read_options: ReadOptions
    accept: Callable[[Submission], None]
    limits: SubmitLimits
    now: Callable[[], datetime]
    new_id: Callable[[], JobId]
    store_manifest: Callable[[Manifest], None]

    def __call__(self, document: Mapping[str, Any], origin: RequestContext = ANONYMOUS) -> Job:
        """Check `document`, commit the job it asks for in the name of `origin`, and return it.

        Raises `RequestInvalid` (with every fault), `ModelUnknown`, `BodyTooLarge`, and what the
        intake raises.
        """
        options = self.read_options(JsonJob, document)
        rows = parse_instances(options, self.limits.instances)
        if len(rows.errors) == rows.count:
            raise RequestInvalid(_nothing_usable(rows), faults=_row_faults(rows))
        submission = self._submission(options, rows, origin)
        self.accept(submission)
        self.store_manifest(options.model)
        return as_job(submission)

    def _submission(
        self, options: JobOptions, rows: PackedRows, origin: RequestContext
    ) -> Submission:
        created = self.now()
        manifest = options.model
        bulk = rows.count > self.limits.interactive_rows
        return Submission(
            id=self.new_id(),
            owner=origin.owner,
            row_quota=origin.row_quota,
            idempotency=origin.key(complete=True),
            queue=Queue.BULK if bulk else Queue.INTERACTIVE,
            model_name=manifest.name,
            model_version=manifest.version,
            model_sha256=manifest.sha256,
            outputs=tuple(options.outputs),
            labels=options.labels,
            warnings=(),
            max_errors=options.most_errors,
            retention=options.retention,
            webhook=options.webhook,
            created_at=created,
            deadline_at=created + self.limits.deadline,
            trace=origin.trail,
            chunks=tuple(_cut(rows, self.limits.chunk_rows, len(manifest.features))),
        )


def parse_instances(options: JsonJob, most: int) -> PackedRows:
    """Read the rows of a JSON job; what is wrong with single rows stands among them.

    Raises `RequestInvalid` when there is no row, `BodyTooLarge` when there are over `most`.
    """
    instances = options.instances
    if not isinstance(instances, list) or not instances:
        detail = "Send a list of at least one row."
        raise RequestInvalid(detail, faults=(_fault("/instances", "instances", detail),))
    if len(instances) > most:
        raise BodyTooLarge(
            f"{len(instances)} rows are more than the {most} that one JSON job may have; send "
            "several jobs, or a CSV."
        )
    names = [feature.name for feature in options.model.features]
    # Other requests get a turn meanwhile.
    return pack(instances, options.model.columns, names, lambda: time.sleep(0))


def _fault(where: str, code: str, detail: str) -> FieldError:
    return FieldError(pointer=where, code=code, detail=detail)


def _nothing_usable(rows: PackedRows) -> str:
    first = rows.errors[0].detail
    if rows.count == 1:
        return f"The only row cannot be predicted. {first}"
    return f"None of the {rows.count} rows can be predicted; errors says why. The first: {first}"


def _row_faults(rows: PackedRows) -> tuple[FieldError, ...]:
    return tuple(
        _fault(
            pointer("instances", error.row, *([error.field] if error.field else [])),
            error.code,
            error.detail,
        )
        for error in rows.errors[:1000]
    )


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


def as_job(submission: Submission) -> Job:
    """Show a submission that has just been committed as the job it has become."""
    return Job(
        id=submission.id,
        state=JobState.QUEUED,
        layout=submission.layout,
        queue=submission.queue,
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
        webhook_url=submission.webhook.url if submission.webhook else None,
    )
