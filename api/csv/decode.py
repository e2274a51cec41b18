"""Undoes a body's Content-Encoding piece by piece, so that no body can grow without bound."""

import time
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from shared.domain.errors import BodyMalformed, BodyTooLarge, BodyTypeUnsupported
from shared.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

PIECE: Final = 1 << 18
_GZIP: Final = 16 + zlib.MAX_WBITS
# Zstandard's own default allows a frame to ask for 128 MiB; levels up to 19 need 8 MiB.
_WINDOW_LOG: Final = 23


class Readable(Protocol):
    """A body as it arrives."""

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes, none at the end."""
        ...


def _gunzip(body: Readable) -> Iterator[bytes]:
    stream = zlib.decompressobj(_GZIP)
    begun = False
    for piece in iter(lambda: body.read(PIECE), b""):
        rest = piece
        while rest:
            if stream.eof:
                # Several gzip files, one after another, are one gzip file.
                stream = zlib.decompressobj(_GZIP)
            begun = True
            yield stream.decompress(rest, PIECE)
            rest = stream.unconsumed_tail or stream.unused_data
    if begun and not stream.eof:
        raise BodyMalformed(_CUT_OFF)


def _unzstd(body: Readable) -> Iterator[bytes]:
    options = {int(DecompressionParameter.window_log_max): _WINDOW_LOG}
    frame = ZstdDecompressor(options=options)
    begun = False
    for piece in iter(lambda: body.read(PIECE), b""):
        rest = piece
        while rest or not (frame.needs_input or frame.eof):
            if frame.eof:
                frame = ZstdDecompressor(options=options)
            begun = True
            yield frame.decompress(rest, PIECE)
            rest = frame.unused_data if frame.eof else b""
    if begun and not frame.eof:
        raise BodyMalformed(_CUT_OFF)


def _decompressed(body: Readable, pieces: Callable[[Readable], Iterator[bytes]]) -> Iterator[bytes]:
    try:
        yield from pieces(body)
    except (zlib.error, ZstdError) as error:
        raise BodyMalformed(f"The compressed body is damaged: {error}") from None


_CUT_OFF: Final = "The compressed body ends before its data does."
_DECODERS: Final = {"gzip": _gunzip, "zstd": _unzstd}


def decoded(body: Readable, encoding: str, most: int) -> Iterator[bytes]:
    """Give the body's bytes without their Content-Encoding, in pieces of at most `PIECE` bytes.

    Raises `BodyTypeUnsupported` for an unknown encoding, `BodyMalformed` for damaged or cut-off
    data, `BodyTooLarge` after `most` bytes.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        pieces = iter(lambda: body.read(PIECE), b"")
    elif name in _DECODERS:
        pieces = _decompressed(body, _DECODERS[name])
    else:
        raise BodyTypeUnsupported(
            f"Content-Encoding {encoding[:40]!r} is not known here; use gzip or zstd."
        )
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > most:
            raise BodyTooLarge(f"The CSV is larger than {most} bytes; send it in parts.")
        yield piece
        # A body that arrives fast, or expands much, never waits: let other requests have a turn.
        time.sleep(0)
