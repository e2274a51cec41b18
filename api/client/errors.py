"""What can go wrong for a client: one small tree, each error a sentence with a stable code."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with what was sent: `pointer` is a JSON pointer, or a column's name."""

    pointer: str
    code: str
    detail: str


class ClientError(Exception):
    """Something went wrong; `code` is stable, `detail` is for people, `errors` are the faults."""

    def __init__(self, detail: str, *, code: str, errors: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.errors = tuple(errors)


class InputInvalid(ClientError):
    """What was to be sent cannot be read or is not what it should be; nothing was sent."""

    def __init__(self, detail: str, *, code: str = "input_invalid") -> None:
        super().__init__(detail, code=code)


class Unreachable(ClientError):
    """The service did not answer, however often it was asked.

    A request with an idempotency key may be sent again; it makes one job.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="unreachable")


class AnswerInvalid(ClientError):
    """The answer is none that drybeans gives."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="answer_invalid")


class WaitTimedOut(ClientError):
    """The job did not finish in the time that was given; it goes on."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="wait_timed_out")


class Refused(ClientError):
    """The service refused a request: `status` is HTTP's, the rest is from its problem document.

    `retry_after` is how many seconds it asks to be left alone.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int,
        errors: Sequence[Fault] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, code=code, errors=errors)
        self.status = status
        self.retry_after = retry_after


class NotAllowed(Refused):
    """No API key, a wrong one, or one that may not do this (401, 403)."""


class NotFound(Refused):
    """There is no such job or model, or no longer (404, 410)."""


class Conflict(Refused):
    """The job's present state does not allow it (409)."""


class Busy(Refused):
    """The service has too much to do, or a quota is used up (429, 502, 503, 504)."""


_KINDS: dict[int, type[Refused]] = {
    401: NotAllowed, 403: NotAllowed, 404: NotFound, 410: NotFound, 409: Conflict,
    429: Busy, 502: Busy, 503: Busy, 504: Busy,
}  # fmt: skip


def kind_of(status: int) -> type[Refused]:
    """Return the class of errors for an answer's status."""
    return _KINDS.get(status, Refused)
