"""What is submitted: a file, a stream or rows, as a body that can be sent again."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, Final, TypeAlias

from api.client.errors import InputInvalid

JsonRow: TypeAlias = Sequence[float] | Mapping[str, float]
Source: TypeAlias = str | PathLike[str] | BinaryIO | Sequence[JsonRow]
"""A path, an open binary file, or rows as sequences or mappings of numbers."""

Progress: TypeAlias = Callable[[int, int | None], None]
"""Told how many bytes have been sent, and of how many if that is known."""

_PIECE: Final = 256 * 1024
_IN_MEMORY: Final = 64 * 1024 * 1024
"""Of a stream, so much is kept in memory, and more in a file without a name."""
_ENCODINGS: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_SNIFFED: Final = 64
_JSON: Final = (b"{", b"[")


def no_progress(_sent: int, _of: int | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """A body in memory."""

    content: bytes

    @property
    def size(self) -> int | None:
        """Its length."""
        return len(self.content)

    def read(self) -> Iterator[bytes]:
        """Return it whole."""
        yield self.content


@dataclass(frozen=True, slots=True)
class File:
    """The body is what stands in a file."""

    path: Path
    progress: Progress = no_progress

    @property
    def size(self) -> int | None:
        """Its length. Raises `InputInvalid` when it has gone meanwhile."""
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise _unreadable(str(self.path), error) from error

    def read(self) -> Iterator[bytes]:
        """Return it in pieces, anew each time."""
        sent = 0
        try:
            with self.path.open("rb") as file:
                size = self.size
                while piece := file.read(_PIECE):
                    yield piece
                    sent += len(piece)
                    self.progress(sent, size)
        except OSError as error:
            raise _unreadable(str(self.path), error) from error


@dataclass(frozen=True, slots=True)
class Stream:
    """The body is what a stream gives once; what was read is `kept`, in case it is needed again."""

    stream: IO[bytes]
    progress: Progress
    kept: IO[bytes]

    @property
    def size(self) -> int | None:
        """Nobody knows."""
        return None

    def head(self) -> bytes:
        """Return the first bytes; they are still given by `read`."""
        if not self.kept.tell():
            self.kept.write(self.stream.read(_SNIFFED))
        self.kept.seek(0)
        return self.kept.read(_SNIFFED)

    def read(self) -> Iterator[bytes]:
        """Return it from its beginning: what was kept, then what is new."""
        sent = 0
        self.kept.seek(0)
        try:
            while piece := self.kept.read(_PIECE) or self._more():
                yield piece
                sent += len(piece)
                self.progress(sent, None)
        except OSError as error:
            raise _unreadable("the input", error) from error

    def _more(self) -> bytes:
        piece = self.stream.read(_PIECE)
        self.kept.write(piece)
        return piece


Body: TypeAlias = Bytes | File | Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A CSV, compressed by `encoding` or not, ready to be sent."""

    body: Body
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """The members of a JSON job."""

    members: Mapping[str, Any]


@contextmanager
def open_source(source: Source, progress: Progress = no_progress) -> Iterator[Upload | Document]:
    """Look at `source` and say how it is sent. Raises `InputInvalid`.

    Compressed data and JSON are known by their first bytes, whatever the file's name.
    """
    with ExitStack() as opened:
        if isinstance(source, str | PathLike):
            path = Path(source)
            if not _is_pipe(path):
                yield _open_file(path, progress)
                return
            source = opened.enter_context(_open_pipe(path))
        if isinstance(source, Sequence):
            yield Document({"instances": source})
            return
        kept = opened.enter_context(SpooledTemporaryFile(_IN_MEMORY))
        yield _open_stream(Stream(source, progress, kept))


def _is_pipe(path: Path) -> bool:
    """Return whether it can be read once only, as in <(make_rows)."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _open_pipe(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(str(path), error) from error


def _open_stream(stream: Stream) -> Upload | Document:
    head = stream.head()
    if _is_json(head):
        return _document(b"".join(stream.read()), "the input")
    return Upload(body=stream, encoding=_encoding(head))


def _open_file(path: Path, progress: Progress) -> Upload | Document:
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFFED)
        if not _is_json(head):
            return Upload(body=File(path, progress), encoding=_encoding(head))
        return _document(path.read_bytes(), str(path))
    except OSError as error:
        raise _unreadable(str(path), error) from error


def _encoding(head: bytes) -> str | None:
    return next((name for magic, name in _ENCODINGS.items() if head.startswith(magic)), None)


def _is_json(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_JSON)


def _document(text: bytes, name: str) -> Document:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputInvalid(f"{name} is not JSON: {error}.") from error
    if isinstance(document, list):
        return Document({"instances": document})
    if isinstance(document, dict) and "instances" in document:
        return Document(document)
    raise InputInvalid(f'{name} is JSON, but neither a list of rows nor {{"instances": [rows]}}.')


def _unreadable(name: str, error: OSError) -> InputInvalid:
    return InputInvalid(f"{name} cannot be read: {error.strerror}.", code="input_unreadable")
