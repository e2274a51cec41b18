"""The requests of the HTTP contract, one function each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Literal, TypedDict

from api.client.effects import Request
from api.client.errors import InputInvalid
from api.client.sources import Bytes, Document, Progress, Upload

Format = Literal["csv", "ndjson", "json"]

WAIT_SECONDS: Final = 20
"""How long the service is asked to hold an answer back until a job has finished."""
_QUIET_SECONDS: Final = 45.0
"""Of an event stream, which says something every 15 s."""


class SubmitOptions(TypedDict, total=False):
    """What may be said of a job beside its rows; what is left out is as the service has it.

    The same `idempotency_key` with the same content makes one job; without one each call has its
    own. `progress` is told how many bytes of a file or stream have been sent.
    """

    model: str
    outputs: Sequence[str]
    labels: Mapping[str, str]
    on_error: Literal["continue", "abort"]
    max_errors: int
    retention: timedelta
    idempotency_key: str
    progress: Progress


def submit(
    source: Upload | Document, options: SubmitOptions, key: str, wait: int | None = None
) -> Request:
    """Make the request that submits `source`, and waits for the job for up to `wait` seconds."""
    headers = {"Idempotency-Key": key} | ({"Prefer": f"wait={wait}"} if wait else {})
    if isinstance(source, Document):
        return _submit_document(source, options, headers)
    if source.encoding:
        headers["Content-Encoding"] = source.encoding
    return Request(
        method="POST",
        path="/jobs",
        params=tuple(_as_query(options)),
        headers=headers | {"Content-Type": "text/csv"},
        body=source.body,
        read_seconds=120.0,
    )


def check(source: Upload | Document, options: SubmitOptions) -> Request:
    """Make the request that has the rows of `source` looked at; it makes no job."""
    request = submit(source, options, "")
    headers = {name: text for name, text in request.headers.items() if name != "Idempotency-Key"}
    return replace(request, headers=headers, params=(*request.params, ("validate_only", "true")))


def _submit_document(
    source: Document, options: SubmitOptions, headers: Mapping[str, str]
) -> Request:
    members = dict(source.members) | _as_members(options)
    try:
        content = json.dumps(members, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise InputInvalid(f"The rows must hold finite numbers only: {error}.") from error
    return Request(
        method="POST",
        path="/jobs",
        headers={"Content-Type": "application/json", **headers},
        body=Bytes(content),
    )


def _as_members(options: SubmitOptions) -> dict[str, Any]:
    members: dict[str, Any] = {
        name: options[name]
        for name in ("model", "labels", "on_error", "max_errors")
        if name in options
    }
    if "outputs" in options:
        members["outputs"] = list(options["outputs"])
    if "retention" in options:
        members["retention_seconds"] = round(options["retention"].total_seconds())
    return members


def _as_query(options: SubmitOptions) -> list[tuple[str, str]]:
    members = _as_members(options)
    labels = members.pop("labels", {})
    if "outputs" in members:
        members["outputs"] = ",".join(members["outputs"])
    query = [(name, str(value)) for name, value in members.items()]
    return query + [(f"label.{name}", value) for name, value in labels.items()]


def look(job: str, wait: int | None = None) -> Request:
    """Look at a job; with `wait`, once it has finished or so many seconds have passed."""
    headers = {"Prefer": f"wait={wait}"} if wait else {}
    return Request(method="GET", path=f"/jobs/{_segment(job)}", headers=headers)


def events(job: str) -> Request:
    """Follow a job."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    path = f"/jobs/{_segment(job)}/events"
    return Request(method="GET", path=path, headers=headers, read_seconds=_QUIET_SECONDS)


def results(job: str, kind: Literal["csv", "ndjson"], *, include_input: bool) -> Request:
    """Read a job's results."""
    params = [("format", kind)] + ([("include", "input")] if include_input else [])
    return Request(method="GET", path=f"/jobs/{_segment(job)}/results", params=tuple(params))


def errors(job: str) -> Request:
    """Read a job's failed rows, as a CSV."""
    return Request(method="GET", path=f"/jobs/{_segment(job)}/errors")


def cancel(job: str) -> Request:
    """Cancel a job."""
    return Request(method="POST", path=f"/jobs/{_segment(job)}/cancel")


def retry(job: str) -> Request:
    """Run again what a job did not run: each such request makes a job."""
    return Request(method="POST", path=f"/jobs/{_segment(job)}/retry", repeatable=False)


def delete(job: str) -> Request:
    """Erase a job."""
    return Request(method="DELETE", path=f"/jobs/{_segment(job)}")


class Filter(TypedDict, total=False):
    """Which jobs to list; `created_after` is a moment in ISO 8601 with its zone."""

    state: str
    model: str
    labels: Mapping[str, str]
    created_after: str


def list_jobs(wanted: Filter, size: int, token: str | None) -> Request:
    """List a page of jobs."""
    query: list[tuple[str, str]] = [
        (name, str(wanted[name])) for name in ("state", "model", "created_after") if name in wanted
    ]
    query += [(f"label.{name}", value) for name, value in wanted.get("labels", {}).items()]
    query += [("page_size", str(size))] + ([("page_token", token)] if token else [])
    return Request(method="GET", path="/jobs", params=tuple(query))


def models() -> Request:
    """List the models."""
    return Request(method="GET", path="/models")


def model(name: str) -> Request:
    """Read all about a model: "drybeans", or a version such as "drybeans@1"."""
    path = "/".join(_segment(part) for part in name.split("@", 1) if part)
    return Request(method="GET", path=f"/models/{path}")


def _segment(text: str) -> str:
    """Check that `text` can stand in a path as it is."""
    if not text or not all(letter.isalnum() or letter in "-_." for letter in text):
        raise InputInvalid(f"{text!r} is no id of a job and no name of a model.")
    return text
