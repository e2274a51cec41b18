"""Undoes a body's Content-Encoding piece by piece, so that no body can grow without bound."""

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from shared.domain.errors import BodyMalformed, BodyTooLarge, BodyTypeUnsupported
from shared.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

READ_BYTES: Final = 1 << 18
_GZIP: Final = 16 + zlib.MAX_WBITS
# Zstandard's own default allows a frame to ask for 128 MiB; levels up to 19 need 8 MiB.
_WINDOW_LOG: Final = 23
_CUT_OFF: Final = "The compressed body ends before its data does."

RATIO_FREE_BYTES: Final = 1 << 20
"""A compressed body may expand to so many bytes whatever its size: that does no harm."""

FREE_FRAMES: Final = 10_000
_FRAME_BYTES: Final = 1 << 12
"""A body may have so many frames, and one more for so many bytes in them: each takes time."""

# A frame gets twice as much each time: what is left after a small one is copied.
_FIRST_SLICE: Final = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """How many bytes a body may have once decompressed, and how many times its size."""

    bytes: int
    ratio: int


class Readable(Protocol):
    """A body as it arrives."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


class _Counted:
    """Counts what is read of a body, and the frames in it."""

    def __init__(self, body: Readable) -> None:
        self._body = body
        self.received = self.expanded = self.frames = 0

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._body.read(READ_BYTES):
            self.received += len(piece)
            yield piece

    def begin_frame(self) -> None:
        """Count a frame. Raises `BodyMalformed` when there are too many for so little data."""
        self.frames += 1
        if self.frames > FREE_FRAMES + self.expanded // _FRAME_BYTES:
            raise BodyMalformed(
                f"The compressed body has more than {FREE_FRAMES} parts of next to nothing; "
                "compress the file in one go."
            )


def _gunzip(body: _Counted) -> Iterator[bytes]:
    # Several gzip files, one after another, are one gzip file.
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
        raise BodyMalformed(_CUT_OFF)


def _unzstd(body: _Counted) -> Iterator[bytes]:
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
        raise BodyMalformed(_CUT_OFF)


_DECODERS: Final[dict[str, Callable[[_Counted], Iterator[bytes]]]] = {
    "": iter,
    "identity": iter,
    "gzip": _gunzip,
    "zstd": _unzstd,
}


def decompress(body: Readable, encoding: str, limits: BodyLimits) -> Iterator[bytes]:
    """Yield the body decoded from its Content-Encoding, at most `READ_BYTES` at a time.

    Raises `BodyTypeUnsupported` for an unknown encoding, `BodyMalformed` for damaged or cut-off
    data, `BodyTooLarge` for a body beyond `limits`.
    """
    decode = _DECODERS.get(encoding.strip().lower())
    if decode is None:
        raise BodyTypeUnsupported(
            f"Content-Encoding {encoding[:40]!r} is not known here; use gzip or zstd."
        )
    counted = _Counted(body)
    try:
        for piece in decode(counted):
            counted.expanded += len(piece)
            _check_size(counted, limits)
            if piece:
                yield piece
                # A body that arrives fast, or expands much, never waits: others get a turn.
                time.sleep(0)
    except (zlib.error, ZstdError) as error:
        reason = str(error).rstrip(".")
        raise BodyMalformed(f"The compressed body is damaged: {reason}.") from None


def _check_size(body: _Counted, limits: BodyLimits) -> None:
    if body.expanded > limits.bytes:
        raise BodyTooLarge(f"The CSV is larger than {limits.bytes} bytes; send it in parts.")
    if body.expanded > max(RATIO_FREE_BYTES, body.received * limits.ratio):
        raise BodyTooLarge(
            f"The compressed body expands to more than {limits.ratio} times its size; send it "
            "without Content-Encoding."
        )
