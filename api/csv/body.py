"""A CSV request as options and a stream of bytes, whether its body is raw or a form."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from api.csv.decode import BodyLimits, Readable, decoded
from api.options import LABEL_PREFIX
from api.reading import Watcher, check_charset
from shared.domain.errors import BodyMalformed, BodyTooLarge, RequestInvalid, UploadIncomplete

_MOST_FIELD: Final = 1 << 16
_MOST_PARTS: Final = 100
_WHOLE_NUMBERS: Final = frozenset({"retention_seconds", "max_errors"})
_TRUTHS: Final = {"true": True, "false": False}


def read_body(
    request: Request, limits: BodyLimits, watcher: Watcher | None = None
) -> tuple[Mapping[str, Any], Iterator[bytes]]:
    """Give the options and the CSV's bytes, decompressed, within `limits`.

    Raises `BodyTypeUnsupported` for a charset other than UTF-8. The stream raises
    `UploadIncomplete` when the body ends early, and what `decoded` raises.
    """
    body = _Body(_stream(request, limits.bytes), request.content_length, watcher)
    fields = request.args.to_dict(flat=False)
    encoding = request.headers.get("Content-Encoding", "")
    if request.mimetype != "multipart/form-data":
        check_charset(request.mimetype_params.get("charset"))
        return options_of(fields), decoded(body, encoding, limits)
    boundary = request.mimetype_params.get("boundary", "").encode()
    if not boundary:
        raise BodyMalformed("The multipart body has no boundary.")
    parts = decoded(body, encoding, limits)
    # It must hold a slice beside what is left of the one before.
    decoder = MultipartDecoder(boundary, 2 * _MOST_FIELD, max_parts=_MOST_PARTS)
    form, stream = _read_form(parts, decoder)
    return options_of(fields | form), stream


def _stream(request: Request, most: int) -> Readable:
    try:
        return request.stream
    except RequestEntityTooLarge:
        raise BodyTooLarge(f"The body is larger than {most} bytes; send it in parts.") from None


class _Body:
    """A body that knows how long it must be, and shows what it reads to a watcher."""

    def __init__(self, stream: Readable, length: int | None, watcher: Watcher | None) -> None:
        self._stream, self._left, self._watcher = stream, length, watcher

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes. Raises `UploadIncomplete` when the rest never comes."""
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


def _read_form(
    parts: Iterator[bytes], decoder: MultipartDecoder
) -> tuple[dict[str, list[str]], Iterator[bytes]]:
    """Read the fields up to the file, and give them with the file's bytes."""
    fields: MultiDict[str, str] = MultiDict()
    events = _events(parts, decoder)
    name = ""
    text = b""
    for event in events:
        match event:
            case File(name="file"):
                _, parameters = parse_options_header(event.headers.get("Content-Type"))
                check_charset(parameters.get("charset"))
                return fields.to_dict(flat=False), _file_data(events)
            case File():
                raise RequestInvalid(f'Send the CSV as the field "file", not {event.name!r:.80}.')
            case Field():
                name, text = event.name or "", b""
            case Data():
                text += event.data
                if len(text) > _MOST_FIELD:
                    raise BodyTooLarge(f"A field is longer than {_MOST_FIELD} bytes.")
                if not event.more_data:
                    fields.add(name, text.decode("utf-8", "replace"))
            case _:
                pass
    raise RequestInvalid('The form has no file; send the CSV as the field "file".')


def _file_data(events: Iterator[Event]) -> Iterator[bytes]:
    """Give the file's bytes; what follows the file would come too late to be honoured."""
    for event in events:
        if isinstance(event, Data):
            yield event.data
            if not event.more_data:
                break
    for event in events:
        if isinstance(event, File | Field):
            raise RequestInvalid("Send the options before the file, and one file only.")


def _events(parts: Iterator[bytes], decoder: MultipartDecoder) -> Iterator[Event]:
    # None tells the decoder that the body has ended.
    for part in chain(_slices(parts), (None,)):
        for event in _decode(part, decoder):
            yield event
            if isinstance(event, Epilogue):
                return


def _slices(parts: Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        for at in range(0, len(part), _MOST_FIELD):
            yield part[at : at + _MOST_FIELD]


def _decode(part: bytes | None, decoder: MultipartDecoder) -> Iterator[Event]:
    try:
        decoder.receive_data(part)
        event = decoder.next_event()
        while not isinstance(event, NeedData):
            yield event
            event = decoder.next_event()
    except RequestEntityTooLarge:
        raise BodyTooLarge("The form has too many fields, or too much before one.") from None
    except ValueError as error:
        ends = "it ends before its last boundary"
        raise BodyMalformed(
            f"The multipart body is damaged: {ends if part is None else error}."
        ) from None


def options_of(fields: Mapping[str, list[str]]) -> dict[str, Any]:
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
        elif name == "validate_only" and values[-1] in _TRUTHS:
            options[name] = _TRUTHS[values[-1]]
        else:
            options[name] = values[-1]
    return options | {"labels": labels} if labels else options
