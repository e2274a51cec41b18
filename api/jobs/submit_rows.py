"""Accept JSON jobs: validate options and rows, split them into chunks and commit them."""

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
    """Limits of JSON jobs: rows of a request, of a chunk and of an interactive job; deadline."""

    instances: int
    chunk_rows: int
    interactive_rows: int
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class SubmitRows:
    """Accept a job whose rows are JSON; `store_manifest` must not raise."""

    read_options: ReadOptions
    accept: Callable[[Submission], None]
    limits: SubmitLimits
    now: Callable[[], datetime]
    new_id: Callable[[], JobId]
    store_manifest: Callable[[Manifest], None]

    def __call__(self, document: Mapping[str, Any], context: RequestContext = ANONYMOUS) -> Job:
        """Validate `document`, commit its job and return it.

        Raise `RequestInvalid` with all errors, `BodyTooLarge`, and the errors of group commit.
        """
        options = self.read_options(JsonJob, document)
        rows = parse_instances(options, self.limits.instances)
        if len(rows.errors) == rows.count:
            raise RequestInvalid(_no_usable_row(rows), faults=_row_errors(rows))
        submission = self._submission(options, rows, context)
        self.accept(submission)
        self.store_manifest(options.model)
        return as_job(submission)

    def _submission(
        self, options: JobOptions, rows: PackedRows, context: RequestContext
    ) -> Submission:
        created = self.now()
        manifest = options.model
        bulk = rows.count > self.limits.interactive_rows
        return Submission(
            id=self.new_id(),
            owner=context.owner,
            row_quota=context.row_quota,
            idempotency=context.key(complete=True),
            queue=Queue.BULK if bulk else Queue.INTERACTIVE,
            model_name=manifest.name,
            model_version=manifest.version,
            model_sha256=manifest.sha256,
            outputs=tuple(options.outputs),
            labels=options.labels,
            warnings=(),
            max_errors=options.allowed_errors,
            retention=options.retention,
            webhook=options.webhook,
            created_at=created,
            deadline_at=created + self.limits.deadline,
            trace=context.trace,
            chunks=tuple(_split(rows, self.limits.chunk_rows, len(manifest.features))),
        )


def parse_instances(options: JsonJob, max_rows: int) -> PackedRows:
    """Parse and pack the rows of a JSON job; errors of single rows are collected.

    Raise `RequestInvalid` when there is no row, `BodyTooLarge` when there are over `max_rows`.
    """
    instances = options.instances
    if not isinstance(instances, list) or not instances:
        detail = "Send a list of at least one row."
        raise RequestInvalid(detail, faults=(_field_error("/instances", "instances", detail),))
    if len(instances) > max_rows:
        raise BodyTooLarge(
            f"{len(instances)} rows are more than the {max_rows} that one JSON job may have; send "
            "several jobs, or a CSV."
        )
    names = [feature.name for feature in options.model.features]
    # Yield to other requests meanwhile.
    return pack(instances, options.model.columns, names, lambda: time.sleep(0))


def _field_error(where: str, code: str, detail: str) -> FieldError:
    return FieldError(pointer=where, code=code, detail=detail)


def _no_usable_row(rows: PackedRows) -> str:
    first = rows.errors[0].detail
    if rows.count == 1:
        return f"The only row cannot be predicted. {first}"
    return f"None of the {rows.count} rows can be predicted; see errors. The first: {first}"


def _row_errors(rows: PackedRows) -> tuple[FieldError, ...]:
    return tuple(
        _field_error(
            pointer("instances", error.row, *([error.field] if error.field else [])),
            error.code,
            error.detail,
        )
        for error in rows.errors[:1000]
    )


def _split(rows: PackedRows, size: int, width: int) -> Sequence[NewChunk]:
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
    """Return the queued job that a submission, which has just been committed, has created."""
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
