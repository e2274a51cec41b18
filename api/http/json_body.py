"""Strict parsing of JSON request bodies."""

import codecs
from collections.abc import Mapping
from typing import Any, Final, Protocol

import orjson
from flask import Request

from shared.domain.errors import BodyMalformed, BodyTypeUnsupported, RequestInvalid

_MAX_TOKEN: Final = 80
_CHARSETS: Final = frozenset({"utf-8", "utf-8-sig", "ascii"})


class BodyObserver(Protocol):
    """Observes a body as it is read."""

    def add(self, body: bytes, /) -> None:
        """Process the next piece of the body."""
        ...


def read_json(request: Request, *, untyped: bool = False) -> Mapping[str, Any]:
    """Parse the body as a JSON object.

    With `untyped` the content type may be missing, as in requests of some inference clients.
    Raise `BodyTypeUnsupported` for another content type, `BodyMalformed` for invalid JSON
    (including NaN and Infinity), `RequestInvalid` for JSON that is not an object.
    """
    if not request.is_json and not (untyped and not request.mimetype):
        given = request.mimetype or "no content type"
        raise BodyTypeUnsupported(f"Send application/json; the request has {given}.")
    check_charset(request.mimetype_params.get("charset"))
    body = request.get_data(cache=False)
    # Werkzeug silently truncates a chunked body at the limit; reading further raises.
    request.stream.read(1)
    document = parse_json(body)
    if not isinstance(document, dict):
        raise RequestInvalid('The body must be a JSON object such as {"instances": [[…]]}.')
    return document


def check_charset(name: str | None) -> None:
    """Raise `BodyTypeUnsupported` when a content type declares text that is not UTF-8."""
    if not name:
        return
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        known = ""
    if known not in _CHARSETS:
        raise BodyTypeUnsupported(
            f"The charset {name[:_MAX_TOKEN]!r} is not supported; send the text as UTF-8."
        )


def parse_json(text: bytes | str, what: str = "The body") -> Any:  # noqa: ANN401 - JSON
    """Parse strict JSON. Raise `BodyMalformed` with the position of the first error in `what`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        reason = _reason(text, error).rstrip(".")
        raise BodyMalformed(f"{what} is not well-formed JSON: {reason}.") from None


def _reason(text: bytes | str, error: orjson.JSONDecodeError) -> str:
    start = error.doc[error.pos : error.pos + 9] if error.doc else ""
    if start.lstrip("-+").lower().startswith(("nan", "inf")):
        return f"NaN and Infinity are not JSON numbers (character {error.pos + 1})"
    return str(error) if text else "it is empty"


def pointer(*tokens: str | int) -> str:
    """Return a JSON pointer (RFC 6901) of `tokens`; long tokens, sent by clients, are truncated."""
    short = (str(token)[:_MAX_TOKEN] for token in tokens)
    return "".join(f"/{token.replace('~', '~0').replace('/', '~1')}" for token in short)
