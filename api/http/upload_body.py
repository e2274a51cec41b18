"""A CSV request as options and a stream of bytes, whether its body is raw or a form."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from api.http.decompression import BodyLimits, Readable, decompress
from api.http.json_body import BodyObserver, check_charset
from api.http.multipart_form import read_form
from api.schemas.job_options import LABEL_PREFIX
from shared.domain.errors import BodyMalformed, BodyTooLarge, UploadIncomplete

_WHOLE_NUMBERS: Final = frozenset({"retention_seconds", "max_errors"})
_BOOLEANS: Final = {"true": True, "false": False}


def read_body(
    request: Request, limits: BodyLimits, watcher: BodyObserver | None = None
) -> tuple[Mapping[str, Any], Iterator[bytes]]:
    """Return the options and the CSV's bytes, decompressed, within `limits`.

    Raises `BodyTypeUnsupported` for a charset other than UTF-8. The stream raises
    `UploadIncomplete` when the body ends early, and what `decoded` raises.
    """
    body = _Body(_stream(request, limits.bytes), request.content_length, watcher)
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


def _stream(request: Request, most: int) -> Readable:
    try:
        return request.stream
    except RequestEntityTooLarge:
        raise BodyTooLarge(f"The body is larger than {most} bytes; send it in parts.") from None


class _Body:
    """A body that knows how long it must be, and shows what it reads to a watcher."""

    def __init__(self, stream: Readable, length: int | None, watcher: BodyObserver | None) -> None:
        self._stream, self._left, self._watcher = stream, length, watcher

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes. Raises `UploadIncomplete` when the rest never comes."""
        try:
            data = self._stream.read(size)
        except (OSError, ClientDisconnected):
            # The client, or something between it and us, went away.
            raise UploadIncomplete from None
        except RequestEntityTooLarge:
            raise BodyTooLarge from None
        if self._watcher is not None:
            self._watcher.add(data)
        if self._left is not None:
            self._left -= len(data)
            if not data and self._left > 0:
                raise UploadIncomplete
        return data


def parse_options(fields: Mapping[str, list[str]]) -> dict[str, Any]:
    """Turn text fields into the options that JSON would hold: numbers, lists, `label.k=v`."""
    options: dict[str, Any] = {}
    labels = {}
    for name, values in fields.items():
        if name.startswith(LABEL_PREFIX):
            labels[name.removeprefix(LABEL_PREFIX)] = values[-1]
        elif name == "outputs":
            options[name] = [word.strip() for text in values for word in text.split(",")]
        elif name in _WHOLE_NUMBERS and values[-1].isascii() and values[-1].isdigit():
            options[name] = int(values[-1][:18])
        elif name == "validate_only" and values[-1].lower() in _BOOLEANS:
            options[name] = _BOOLEANS[values[-1].lower()]
        else:
            options[name] = values[-1]
    return options | {"labels": labels} if labels else options
