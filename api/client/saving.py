"""Saves a download beside its target, and puts it in its place once it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Final, Literal, get_args
from uuid import uuid4

from api.client import calls
from api.client.effects import Request
from api.client.errors import ClientError, InputInvalid
from api.client.streams import JsonSink, Sink

_SUFFIXES: Final = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json"}


class FileSink:
    """Writes to an open file that can be emptied."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def begin(self) -> None:
        """Empty the file."""
        self._file.seek(0)
        self._file.truncate()

    def write(self, piece: bytes, /) -> None:
        """Append to it."""
        self._file.write(piece)

    def end(self) -> None:
        """See that it is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())


class PipeSink:
    """Writes to what takes each byte once, such as standard output."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written = False

    def begin(self) -> None:
        """Begin, which a pipe can do once. Raises `ClientError` afterwards."""
        if self._written:
            raise ClientError(
                "The connection broke while results were being written; name a file instead.",
                code="download_broken",
            )

    def write(self, piece: bytes, /) -> None:
        """Hand it on."""
        self._written = True
        self._file.write(piece)

    def end(self) -> None:
        """Hand on what is held back."""
        self._file.flush()


def format_of(target: str | PathLike[str] | BinaryIO, given: calls.Format | None) -> calls.Format:
    """Return the format asked for, or else the one that the target's name stands for, or CSV."""
    if given is not None:
        if given not in get_args(calls.Format):
            raise InputInvalid(f"{given!r} is no format; use csv, ndjson or json.")
        return given
    suffix = Path(target).suffix.lower() if isinstance(target, str | PathLike) else ""
    found: Literal["csv", "ndjson", "json"] = _SUFFIXES.get(suffix, "csv")  # type: ignore[assignment]
    return found


def results_request(
    job: str, kind: calls.Format, sink: Sink, *, include_input: bool
) -> tuple[Request, Sink]:
    """Return the request for results as `kind`, and where its answer goes so that `sink` gets them.

    JSON is made of NDJSON, since the service gives JSON in pages only.
    """
    if kind == "json":
        return calls.results(job, "ndjson", include_input=include_input), JsonSink(sink)
    return calls.results(job, kind, include_input=include_input), sink


@contextmanager
def saving(target: str | PathLike[str] | BinaryIO) -> Iterator[Sink]:
    """Return the sink for `target`, a path or an open binary file.

    A path gets its file when all has gone well, and keeps what it had otherwise. Raises
    `InputInvalid` when it cannot be written.
    """
    if not isinstance(target, str | PathLike):
        yield PipeSink(target)
        return
    path = Path(target)
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield PipeSink(file)
            return
        with part.open("xb") as file:
            yield FileSink(file)
        part.replace(path)
    except OSError as error:
        raise InputInvalid(
            f"{path} cannot be written: {error.strerror}.", code="output_unwritable"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
