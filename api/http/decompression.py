"""Streaming decompression of request bodies, with limits against decompression bombs."""

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from shared.domain.errors import BodyMalformed, BodyTooLarge, BodyTypeUnsupported
from shared.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

READ_BYTES: Final = 1 << 18
_GZIP: Final = 16 + zlib.MAX_WBITS
# By default a Zstandard frame may demand a window of 128 MiB; levels up to 19 need 8 MiB.
_WINDOW_LOG: Final = 23
_TRUNCATED: Final = "The compressed body is truncated."

RATIO_FREE_BYTES: Final = 1 << 20
"""The ratio is not checked up to this decompressed size, which is harmless."""

FREE_FRAMES: Final = 10_000
_FRAME_BYTES: Final = 1 << 12
"""A body may have this many frames plus one per `_FRAME_BYTES` bytes: each frame costs time."""

# The slice doubles within a frame: the bytes after the end of a small frame are copied.
_FIRST_SLICE: Final = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """The maximum decompressed size of a body in bytes, and the maximum compression ratio."""

    bytes: int
    ratio: int


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end."""
        ...


class _CountedBody:
    """Iterate over a body; count its compressed and decompressed bytes and its frames."""

    def __init__(self, body: Readable) -> None:
        self._body = body
        self.received = self.expanded = self.frames = 0

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._body.read(READ_BYTES):
            self.received += len(piece)
            yield piece

    def begin_frame(self) -> None:
        """Count a frame. Raise `BodyMalformed` when there are too many for the amount of data."""
        self.frames += 1
        if self.frames > FREE_FRAMES + self.expanded // _FRAME_BYTES:
            raise BodyMalformed(
                f"The compressed body has more than {FREE_FRAMES} tiny frames; compress the file "
                "as one stream."
            )


def _gunzip(body: _CountedBody) -> Iterator[bytes]:
    # Concatenated gzip files are a valid gzip file.
    stream = zlib.decompressobj(_GZIP)
    for piece in body:
        at, size = 0, _FIRST_SLICE
        while at < len(piece):
            if stream.eof:
                body.begin_frame()
                stream, size = zlib.decompressobj(_GZIP), _FIRST_SLICE
            part = piece[at : at + size]
            yield stream.decompress(part, READ_BYTES)
            rest = len(stream.unconsumed_tail) + len(stream.unused_data)
            at += len(part) - rest
            size = _FIRST_SLICE if rest else 2 * size
    if body.received and not stream.eof:
        raise BodyMalformed(_TRUNCATED)


def _unzstd(body: _CountedBody) -> Iterator[bytes]:
    options = {int(DecompressionParameter.window_log_max): _WINDOW_LOG}
    frame = ZstdDecompressor(options=options)
    for piece in body:
        at, size = 0, _FIRST_SLICE
        while at < len(piece) or not (frame.needs_input or frame.eof):
            if frame.eof:
                body.begin_frame()
                frame, size = ZstdDecompressor(options=options), _FIRST_SLICE
            part = piece[at : at + size] if frame.needs_input else b""
            yield frame.decompress(part, READ_BYTES)
            at += len(part) - (len(frame.unused_data) if frame.eof else 0)
            size *= 2
    if body.received and not frame.eof:
        raise BodyMalformed(_TRUNCATED)


_DECODERS: Final[dict[str, Callable[[_CountedBody], Iterator[bytes]]]] = {
    "": iter,
    "identity": iter,
    "gzip": _gunzip,
    "zstd": _unzstd,
}


def decompress(body: Readable, encoding: str, limits: BodyLimits) -> Iterator[bytes]:
    """Yield the body decoded from its Content-Encoding, at most `READ_BYTES` at a time.

    Raise `BodyTypeUnsupported` for an unknown encoding, `BodyMalformed` for corrupt or truncated
    data, `BodyTooLarge` for a body beyond `limits`.
    """
    decode = _DECODERS.get(encoding.strip().lower())
    if decode is None:
        raise BodyTypeUnsupported(
            f"Content-Encoding {encoding[:40]!r} is not supported; use gzip or zstd."
        )
    counted = _CountedBody(body)
    try:
        for piece in decode(counted):
            counted.expanded += len(piece)
            _check_size(counted, limits)
            if piece:
                yield piece
                # A body that arrives fast or expands a lot never blocks: yield to other requests.
                time.sleep(0)
    except (zlib.error, ZstdError) as error:
        reason = str(error).rstrip(".")
        raise BodyMalformed(f"The compressed body is corrupt: {reason}.") from None


def _check_size(body: _CountedBody, limits: BodyLimits) -> None:
    if body.expanded > limits.bytes:
        raise BodyTooLarge(f"The CSV is larger than {limits.bytes} bytes; send it in parts.")
    if body.expanded > max(RATIO_FREE_BYTES, body.received * limits.ratio):
        raise BodyTooLarge(
            f"The compressed body expands to more than {limits.ratio} times its size; send it "
            "without Content-Encoding."
        )
