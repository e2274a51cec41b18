"""Streaming parser of multipart forms: text fields and one file."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
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

from api.http.json_body import check_charset
from shared.domain.errors import BodyMalformed, BodyTooLarge, RequestInvalid

_MAX_FIELD: Final = 1 << 16
_MAX_PARTS: Final = 100
_MAX_BUFFERED: Final = 4 << 20
"""The largest file, in bytes, that fields may follow."""

Form = tuple[dict[str, list[str]], Iterator[bytes]]


def read_form(parts: Iterator[bytes], boundary: bytes) -> Form:
    """Return the form's fields and the file's bytes.

    A file of up to `_MAX_BUFFERED` bytes is buffered until the fields after it have been read; the
    fields of a larger one must come first. Raise `RequestInvalid`, `BodyTooLarge` or
    `BodyMalformed`.
    """
    # The buffer must hold a slice and the rest of the previous one.
    decoder = MultipartDecoder(boundary, 2 * _MAX_FIELD, max_parts=_MAX_PARTS)
    events = _events(parts, decoder)
    fields: MultiDict[str, str] = MultiDict()
    buffered: list[bytes] | None = None
    for event in events:
        if isinstance(event, Field):
            fields.add(event.name or "", _field_text(events))
        elif isinstance(event, File):
            _check_file(event, known=buffered is not None)
            buffered, complete = _buffer(events)
            if not complete:
                return fields.to_dict(flat=False), chain(buffered, _rest_of_file(events))
    if buffered is None:
        raise RequestInvalid('The form has no file; send the CSV as the field "file".')
    return fields.to_dict(flat=False), iter(buffered)


def _check_file(file: File, *, known: bool) -> None:
    if file.name != "file":
        raise RequestInvalid(f'Send the CSV as the field "file", not {file.name!r:.80}.')
    if known:
        raise RequestInvalid("Send one file only.")
    _, parameters = parse_options_header(file.headers.get("Content-Type"))
    check_charset(parameters.get("charset"))


def _field_text(events: Iterator[Event]) -> str:
    text = b""
    for event in events:
        if isinstance(event, Data):
            text += event.data
            if len(text) > _MAX_FIELD:
                raise BodyTooLarge(f"A field is longer than {_MAX_FIELD} bytes.")
            if not event.more_data:
                break
    return text.decode("utf-8", "replace")


def _buffer(events: Iterator[Event]) -> tuple[list[bytes], bool]:
    """Return the first bytes of a file, and whether the file is complete."""
    buffered: list[bytes] = []
    size = 0
    for event in events:
        if isinstance(event, Data):
            buffered.append(event.data)
            size += len(event.data)
            if not event.more_data:
                return buffered, True
            if size > _MAX_BUFFERED:
                break
    return buffered, False


def _rest_of_file(events: Iterator[Event]) -> Iterator[bytes]:
    """Yield the rest of a file that is too large to be buffered. No field may follow it."""
    for event in events:
        if isinstance(event, Data):
            yield event.data
            if not event.more_data:
                break
    for event in events:
        if isinstance(event, File | Field):
            raise RequestInvalid(
                f"The file has more than {_MAX_BUFFERED} bytes: send the options before it, and "
                "one file only."
            )


def _events(parts: Iterator[bytes], decoder: MultipartDecoder) -> Iterator[Event]:
    # None tells the decoder that the body has ended.
    for part in chain(_slices(parts), (None,)):
        for event in _decode(part, decoder):
            yield event
            if isinstance(event, Epilogue):
                return


def _slices(parts: Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        for at in range(0, len(part), _MAX_FIELD):
            yield part[at : at + _MAX_FIELD]


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
            f"The multipart body is malformed: {ends if part is None else error}."
        ) from None
