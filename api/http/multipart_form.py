"""Reads a multipart form: its fields, and its file as a stream."""

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

_MOST_FIELD: Final = 1 << 16
_MOST_PARTS: Final = 100
_MAX_HELD: Final = 4 << 20
"""The largest file, in bytes, whose form may have options after it."""

Form = tuple[dict[str, list[str]], Iterator[bytes]]


def read_form(parts: Iterator[bytes], boundary: bytes) -> Form:
    """Return the form's fields and the file's bytes, in whichever order they come.

    A file of up to `_MAX_HELD` bytes is held until the fields after it have been read; the fields
    of a larger one must come first. Raises `RequestInvalid`, `BodyTooLarge` and `BodyMalformed`.
    """
    # It must hold a slice beside what is left of the one before.
    decoder = MultipartDecoder(boundary, 2 * _MOST_FIELD, max_parts=_MOST_PARTS)
    events = _events(parts, decoder)
    fields: MultiDict[str, str] = MultiDict()
    held: list[bytes] | None = None
    for event in events:
        if isinstance(event, Field):
            fields.add(event.name or "", _field_text(events))
        elif isinstance(event, File):
            _check_file(event, known=held is not None)
            held, complete = _hold(events)
            if not complete:
                return fields.to_dict(flat=False), chain(held, _rest_of_file(events))
    if held is None:
        raise RequestInvalid('The form has no file; send the CSV as the field "file".')
    return fields.to_dict(flat=False), iter(held)


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
            if len(text) > _MOST_FIELD:
                raise BodyTooLarge(f"A field is longer than {_MOST_FIELD} bytes.")
            if not event.more_data:
                break
    return text.decode("utf-8", "replace")


def _hold(events: Iterator[Event]) -> tuple[list[bytes], bool]:
    """Return the first bytes of a file, and whether they are all of it."""
    held: list[bytes] = []
    size = 0
    for event in events:
        if isinstance(event, Data):
            held.append(event.data)
            size += len(event.data)
            if not event.more_data:
                return held, True
            if size > _MAX_HELD:
                break
    return held, False


def _rest_of_file(events: Iterator[Event]) -> Iterator[bytes]:
    """Yield the rest of a file that is too large to be held, which nothing may follow."""
    for event in events:
        if isinstance(event, Data):
            yield event.data
            if not event.more_data:
                break
    for event in events:
        if isinstance(event, File | Field):
            raise RequestInvalid(
                f"The file has more than {_MAX_HELD} bytes: send the options before it, and one "
                "file only."
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
