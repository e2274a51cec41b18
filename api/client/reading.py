"""Reads answers: documents into values, problem documents into errors."""

import csv
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from api.client.effects import Answer
from api.client.errors import AnswerInvalid, Fault, Refused, kind_of
from api.client.values import FailedRow, Job, Model, Reason, Report, Row, Rows

T = TypeVar("T")

_FIRST_ERROR: Final = 400
_FIRST_REDIRECT: Final = 300


def refusal(answer: Answer, now: Callable[[], datetime]) -> Refused | None:
    """Return the error that `answer` stands for, None when it is none."""
    if answer.status < _FIRST_REDIRECT:
        return None
    problem = _problem(answer)
    detail = problem.get("detail") or f"The service answered with status {answer.status}."
    if answer.status < _FIRST_ERROR:
        detail = f"The service has moved to {answer.headers.get('location', 'another address')}."
    return kind_of(answer.status)(
        str(detail),
        code=str(problem.get("code") or f"http_{answer.status}"),
        status=answer.status,
        errors=[_fault(fault) for fault in _objects(problem.get("errors"))],
        retry_after=_retry_after(answer.headers.get("retry-after"), now),
    )


def _problem(answer: Answer) -> Mapping[str, Any]:
    # A proxy before the service answers in its own words.
    try:
        document = json.loads(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _fault(document: Mapping[str, Any]) -> Fault:
    pointer, code, detail = (str(document.get(n, "")) for n in ("pointer", "code", "detail"))
    return Fault(pointer=pointer, code=code, detail=detail)


def _retry_after(text: str | None, now: Callable[[], datetime]) -> float | None:
    """Read Retry-After (RFC 9110): seconds, or a date."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - now()).total_seconds())


def read_document(body: bytes, read: Callable[[Mapping[str, Any]], T]) -> T:
    """Read a JSON object with `read`. Raises `AnswerInvalid`."""
    try:
        return read(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnswerInvalid(
            "The answer is none of drybeans. Does the address lead to a drybeans service?"
        ) from error


def job_of(document: Mapping[str, Any]) -> Job:
    """Read a job."""
    rows, model = document["rows"], document["model"]
    return Job(
        id=document["id"],
        state=document["state"],
        model=f"{model['name']}@{model['version']}",
        rows=Rows(total=rows["total"], succeeded=rows["succeeded"], failed=rows["failed"]),
        progress=document["progress"],
        eta_seconds=document.get("eta_seconds"),
        counts=(document.get("summary") or {}).get("counts", {}),
        error=_reason(document.get("error")),
        warnings=tuple(document.get("warnings") or ()),
        labels=document.get("labels") or {},
        created_at=datetime.fromisoformat(document["created_at"]),
        finished_at=_moment(document.get("finished_at")),
        document=document,
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _reason(document: Mapping[str, Any] | None) -> Reason | None:
    if document is None:
        return None
    field = document.get("field")
    return Reason(code=document["code"], detail=document["detail"], field=field)


def row_of(document: Mapping[str, Any]) -> Row:
    """Read a row of results."""
    return Row(
        row=document["row"],
        line=document.get("line"),
        id=document.get("id"),
        label=document.get("label"),
        probabilities=document.get("probabilities"),
        error=_reason(document.get("error")),
        input=document.get("input"),
        document=document,
    )


def report_of(document: Mapping[str, Any]) -> Report:
    """Read a report on rows."""
    model = document["model"]
    return Report(
        model=f"{model['name']}@{model['version']}",
        rows=document["rows"],
        usable=document["usable_rows"],
        errors=tuple(_failed_row(error) for error in document["errors"]),
        warnings=tuple(document["warnings"]),
        document=document,
    )


def _failed_row(flaw: Mapping[str, Any]) -> FailedRow:
    line = flaw.get("line")
    error = Reason(code=flaw["code"], detail=flaw["detail"], field=flaw["field"])
    return FailedRow(line=line, row=flaw["row"] if line is None else None, error=error)


def page_of(document: Mapping[str, Any]) -> tuple[list[Job], str | None]:
    """Read a page of a list of jobs, with the token of the next one."""
    return [job_of(job) for job in document["jobs"]], document["next_page_token"]


def model_of(document: Mapping[str, Any]) -> Model:
    """Read a model version."""
    return Model(
        name=document["name"],
        version=document["version"],
        default=document["default"],
        description=document["description"],
        classes=tuple(document["classes"]),
        outputs=tuple(document["outputs"]),
        features=tuple(document.get("features") or ()),
        metrics=document.get("metrics") or {},
        document=document,
    )


def models_of(document: Mapping[str, Any]) -> list[Model]:
    """Read a list of models."""
    return [model_of(model) for model in document["models"]]


class FailedRows:
    """Reads the table of failed rows line by line; its first column is `line` or `row`."""

    def __init__(self) -> None:
        self._where: str | None = None

    def __call__(self, line: bytes) -> FailedRow | None:
        """Read the next line; the first one is the header and gives None."""
        cells = next(csv.reader([line.decode()]))
        if self._where is None:
            self._where = cells[0]
            return None
        at, code, field, detail = cells[:4]
        error = Reason(code=code, detail=detail, field=field or None)
        by_line = self._where == "line"
        return FailedRow(
            line=int(at) if by_line else None, row=None if by_line else int(at), error=error
        )
