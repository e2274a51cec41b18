"""Map errors to RFC 9457 problem documents and HTTP statuses."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Final, NotRequired

import orjson
from flask import Flask, Response, request
from pydantic import Field
from typing_extensions import TypedDict
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from shared.domain import errors
from shared.domain.errors import DryBeansError, FieldError

log = logging.getLogger(__name__)

MAX_ERRORS: Final = 100

# Clients of these protocols read the member `error`.
_PROTOCOLS: Final = ("/v1/", "/v2/")

STATUS: Final[dict[type[DryBeansError], HTTPStatus]] = {
    errors.DryBeansError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ManifestInvalid: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ArtifactRefused: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.SettingsInvalid: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ClaimLost: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ModelUnknown: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ModelUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.WorkerDied: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.PredictionFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.JobCanceled: HTTPStatus.CONFLICT,
    errors.ModelNotFound: HTTPStatus.NOT_FOUND,
    errors.RequestInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BodyMalformed: HTTPStatus.BAD_REQUEST,
    errors.BodyTypeUnsupported: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.JobNotFound: HTTPStatus.NOT_FOUND,
    errors.JobDeleted: HTTPStatus.GONE,
    errors.JobFinished: HTTPStatus.CONFLICT,
    errors.NothingToRetry: HTTPStatus.CONFLICT,
    errors.NoWebhook: HTTPStatus.CONFLICT,
    errors.KeyMissing: HTTPStatus.UNAUTHORIZED,
    errors.KeyWrong: HTTPStatus.UNAUTHORIZED,
    errors.KeyUnknown: HTTPStatus.NOT_FOUND,
    errors.NotPermitted: HTTPStatus.FORBIDDEN,
    errors.HostNotAllowed: HTTPStatus.MISDIRECTED_REQUEST,
    errors.CrossOriginRefused: HTTPStatus.FORBIDDEN,
    errors.QuotaExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.KeyInFlight: HTTPStatus.CONFLICT,
    errors.KeyTaken: HTTPStatus.CONFLICT,
    errors.KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UploadIncomplete: HTTPStatus.BAD_REQUEST,
    errors.UploadStopped: HTTPStatus.CONFLICT,
    errors.JobUnfinished: HTTPStatus.CONFLICT,
    errors.IntakeFull: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyStreams: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DatabaseDown: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DatabaseBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DatabaseUnwritable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DatabaseLoginRefused: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.CommitUncertain: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.QueueDown: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.WaitTimedOut: HTTPStatus.SERVICE_UNAVAILABLE,
}


class FieldErrorDocument(TypedDict):
    """An error in the request and its location."""

    pointer: str
    code: str
    detail: str


class Problem(TypedDict):
    """A problem document (RFC 9457) with a stable code and a human-readable detail."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: Annotated[list[FieldErrorDocument], Field(max_length=MAX_ERRORS)]
    errors_truncated: NotRequired[bool]
    error: NotRequired[str]


def http_code(status: HTTPStatus) -> str:
    """Return the problem code of an error that is only an HTTP status."""
    return status.phrase.lower().replace(" ", "_").replace("-", "_")


def headers_of(error: DryBeansError | type[DryBeansError]) -> dict[str, str]:
    """Return the headers of the response to `error`."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    kind = error if isinstance(error, type) else type(error)
    if STATUS[kind] is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    field_errors: tuple[FieldError, ...] = (),
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """Return a response with a problem document, which lists at most `MAX_ERRORS` errors."""
    document: Problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": code,
        "detail": detail,
        "errors": [
            {"pointer": error.pointer, "code": error.code, "detail": error.detail}
            for error in field_errors[:MAX_ERRORS]
        ],
    }
    if request.path.startswith(_PROTOCOLS):
        document["error"] = detail
    if len(field_errors) > MAX_ERRORS:
        document["errors_truncated"] = True
    kind = "application/problem+json"
    return Response(orjson.dumps(document), status, dict(headers), content_type=kind)


def error_response(error: DryBeansError) -> Response:
    """Return the problem document of `error`."""
    status = STATUS[type(error)]
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", exc_info=error)
    return problem(status, error.code, error.detail, error.faults, headers_of(error))


def _from_http_exception(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    response = problem(status, http_code(status), error.description or status.phrase)
    for name, value in error.get_headers():
        if name.lower() in {"allow", "retry-after", "www-authenticate", "location"}:
            response.headers[name] = value
    return response


def _from_exception(error: Exception) -> Response:
    log.error("request_failed", exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "Internal server error. The log has the details under this response's X-Request-ID.",
    )


def register_errors(app: Flask, *, max_body_bytes: int) -> None:
    """Return a problem document for every error of `app`."""

    def too_large(_: RequestEntityTooLarge) -> Response:
        detail = f"The body is larger than {max_body_bytes} bytes; send less, or a CSV."
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, errors.BodyTooLarge.code, detail)

    app.register_error_handler(DryBeansError, error_response)
    app.register_error_handler(RequestEntityTooLarge, too_large)
    app.register_error_handler(HTTPException, _from_http_exception)
    app.register_error_handler(Exception, _from_exception)
