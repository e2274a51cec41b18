"""Parse a CSV upload, raw or multipart, into its options and a stream of bytes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from api.http.decompression import BodyLimits, Readable, decompress
from api.http.json_body import BodyObserver, check_charset
from api.http.multipart_form import read_form
from api.schemas.job_options import LABEL_PREFIX
from shared.domain.errors import BodyMalformed, BodyTooLarge, UploadIncomplete

_INTEGERS: Final = frozenset({"retention_seconds", "max_errors"})
_BOOLEANS: Final = {"true": True, "false": False}


def read_body(
    request: Request, limits: BodyLimits, observer: BodyObserver | None = None
) -> tuple[Mapping[str, Any], Iterator[bytes]]:
    """Return the options and a stream of the decompressed CSV within `limits`.

    Raise `BodyTypeUnsupported` for a charset other than UTF-8. The stream raises
    `UploadIncomplete` when the body ends early, and the errors of `decompress`.
    """
    body = _Body(_stream(request, limits.bytes), request.content_length, observer)
    fields = request.args.to_dict(flat=False)
    encoding = request.headers.get("Content-Encoding", "")
    if request.mimetype != "multipart/form-data":
        check_charset(request.mimetype_params.get("charset"))
        return parse_options(fields), decompress(body, encoding, limits)
    boundary = request.mimetype_params.get("boundary", "").encode()
    if not boundary:
        raise BodyMalformed("The multipart body has no boundary.")
    parts = decompress(body, encoding, limits)
    form, stream = read_form(parts, boundary)
    return parse_options(fields | form), stream


def _stream(request: Request, max_bytes: int) -> Readable:
    try:
        return request.stream
    except RequestEntityTooLarge:
        raise BodyTooLarge(
            f"The body is larger than {max_bytes} bytes; send it in parts."
        ) from None


class _Body:
    """A body that checks its Content-Length and passes what it reads to an observer."""

    def __init__(self, stream: Readable, length: int | None, observer: BodyObserver | None) -> None:
        self._stream, self._left, self._observer = stream, length, observer

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes. Raise `UploadIncomplete` when the body ends early."""
        try:
            data = self._stream.read(size)
        except (OSError, ClientDisconnected):
            # The client or a proxy closed the connection.
            raise UploadIncomplete from None
        except RequestEntityTooLarge:
            raise BodyTooLarge from None
        if self._observer is not None:
            self._observer.add(data)
        if self._left is not None:
            self._left -= len(data)
            if not data and self._left > 0:
                raise UploadIncomplete
        return data


def parse_options(fields: Mapping[str, list[str]]) -> dict[str, Any]:
    """Parse text fields into the options of a JSON job: numbers, lists, `label.<name>`."""
    options: dict[str, Any] = {}
    labels = {}
    for name, values in fields.items():
        if name.startswith(LABEL_PREFIX):
            labels[name.removeprefix(LABEL_PREFIX)] = values[-1]
        elif name == "outputs":
            options[name] = [word.strip() for text in values for word in text.split(",")]
        elif name in _INTEGERS and values[-1].isascii() and values[-1].isdigit():
            options[name] = int(values[-1][:18])
        elif name == "validate_only" and values[-1].lower() in _BOOLEANS:
            options[name] = _BOOLEANS[values[-1].lower()]
        else:
            options[name] = values[-1]
    return options | {"labels": labels} if labels else options
