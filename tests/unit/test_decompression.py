"""Undoing gzip and Zstandard piece by piece, whatever a body holds and however it arrives."""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.decompression import FREE_FRAMES, RATIO_FREE_BYTES, READ_BYTES, BodyLimits, decompress
from shared.domain.errors import BodyMalformed, BodyTooLarge, BodyTypeUnsupported
from shared.zstd import CompressionParameter, ZstdCompressor, compress

MIB = 1 << 20
MUCH = 1 << 40
TEXT = b"Area,Perimeter\n" + b"".join(b"%d,%d\n" % (at, at * at) for at in range(5000))
ENCODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": compress}
both = pytest.mark.parametrize("encoding", ["gzip", "zstd"])


class Trickle:
    """A body that arrives in pieces of `sizes` bytes, over and over."""

    def __init__(self, data: bytes, sizes: Iterable[int] = (READ_BYTES,)) -> None:
        self._data = data
        self._sizes = list(sizes)
        self._at = 0

    def read(self, size: int, /) -> bytes:
        self._sizes.append(self._sizes.pop(0))
        piece = self._data[self._at : self._at + min(size, self._sizes[0])]
        self._at += len(piece)
        return piece


def limits(most: int = MUCH, ratio: int = MUCH) -> BodyLimits:
    """Allow `most` bytes, and so many times those that arrive."""
    return BodyLimits(bytes=most, ratio=ratio)


def decode(
    data: bytes, encoding: str, *, most: int = MUCH, ratio: int = MUCH, size: int = READ_BYTES
) -> bytes:
    """Decode all of `data`, read `size` bytes at a time."""
    return b"".join(decompress(Trickle(data, [size]), encoding, limits(most, ratio)))


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_body_without_an_encoding_passes_through(encoding: str) -> None:
    """The header may be missing, or say so."""
    assert decode(TEXT, encoding) == TEXT


@both
@pytest.mark.parametrize("size", [1, 1000, READ_BYTES])
def test_a_compressed_body_is_undone(encoding: str, size: int) -> None:
    """However few bytes arrive at a time; the encoding's name in any case."""
    assert decode(ENCODERS[encoding](TEXT), encoding.upper(), size=size) == TEXT


@given(
    st.sampled_from(["gzip", "zstd"]),
    st.lists(st.binary(max_size=300), max_size=5),
    st.lists(st.integers(1, 50), min_size=1, max_size=5),
)
def test_several_compressed_parts_are_one_body(
    encoding: str, parts: list[bytes], sizes: list[int]
) -> None:
    """`cat a.gz b.gz` is a gzip file, and so with Zstandard; an empty part adds nothing."""
    body = b"".join(map(ENCODERS[encoding], parts))

    assert b"".join(decompress(Trickle(body, sizes), encoding, limits())) == b"".join(parts)


@both
def test_many_parts_in_one_piece_are_all_undone(encoding: str) -> None:
    """Also when a thousand of them arrive at once."""
    assert decode(ENCODERS[encoding](b"1,2\n") * 1000, encoding) == b"1,2\n" * 1000


@both
def test_a_body_that_expands_much_comes_in_small_pieces(encoding: str) -> None:
    """No piece is larger than `PROGRESS_BYTES`, and none of it is lost at the end."""
    data = bytes(3 * READ_BYTES + 5) + random.Random(1).randbytes(1000)

    pieces = list(decompress(Trickle(ENCODERS[encoding](data)), encoding, limits()))

    assert max(map(len, pieces)) <= READ_BYTES
    assert b"".join(pieces) == data


@both
@pytest.mark.parametrize("missing", [1, 4, 8, 100])
def test_a_cut_off_body_is_refused(encoding: str, missing: int) -> None:
    """Even when all of the data came and only the end mark did not."""
    with pytest.raises(BodyMalformed, match="truncated"):
        decode(ENCODERS[encoding](TEXT)[:-missing], encoding)


@pytest.mark.parametrize("at", [0, 1, 2, 3, 15, 1000, 5000, 10_000, -8, -1])
def test_a_damaged_gzip_body_is_refused(at: int) -> None:
    """Its checksum finds what its code does not."""
    body = bytearray(gzip.compress(TEXT))
    body[at] ^= 0x10

    with pytest.raises(BodyMalformed):
        decode(bytes(body), "gzip")


@both
@pytest.mark.parametrize("data", [TEXT, b"\0" * 100, b"PK\3\4" + bytes(100)])
def test_what_is_not_compressed_as_it_says_is_refused(encoding: str, data: bytes) -> None:
    """Plain text under `Content-Encoding: gzip`, or an archive."""
    with pytest.raises(BodyMalformed, match="corrupt"):
        decode(data, encoding)


@both
def test_what_follows_the_compressed_data_is_refused(encoding: str) -> None:
    """Bytes that nobody can read may be rows."""
    with pytest.raises(BodyMalformed):
        decode(ENCODERS[encoding](TEXT) + b"1,2,3,4,5,6\n", encoding)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x" * 1000])
def test_another_encoding_is_refused_by_name(encoding: str) -> None:
    """The answer says which are known, and does not repeat a page of nonsense."""
    with pytest.raises(BodyTypeUnsupported, match="use gzip or zstd") as caught:
        decode(TEXT, encoding)
    assert encoding[:40] in caught.value.detail
    assert len(caught.value.detail) < 120


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_a_body_over_the_limit_is_refused(encoding: str) -> None:
    """Measured in decompressed bytes; exactly as many are fine."""
    body = ENCODERS[encoding](TEXT) if encoding else TEXT

    assert decode(body, encoding, most=len(TEXT)) == TEXT
    with pytest.raises(BodyTooLarge, match=f"larger than {len(TEXT) - 1} bytes"):
        decode(body, encoding, most=len(TEXT) - 1)


@both
def test_a_bomb_is_stopped_at_the_limit_with_memory_flat(encoding: str) -> None:
    """A quarter of a gibibyte of zeros comes as a quarter of a mebibyte, or less."""
    bomb = _bomb(encoding, 256 * MIB)
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            for _ in decompress(Trickle(bomb), encoding, limits(64 * MIB)):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB


def _bomb(encoding: str, size: int) -> bytes:
    if encoding == "gzip":
        deep = zlib.compressobj(9, wbits=31)
        return b"".join(deep.compress(bytes(MIB)) for _ in range(size // MIB)) + deep.flush()
    flat = ZstdCompressor(3)
    return b"".join(flat.compress(bytes(MIB)) for _ in range(size // MIB)) + flat.flush()


def test_a_frame_that_asks_for_a_large_window_is_refused() -> None:
    """Zstandard would hold 128 MiB for it; what `zstd -19` writes needs 8."""
    wide = ZstdCompressor(options={CompressionParameter.window_log: 27})
    usual = ZstdCompressor(options={CompressionParameter.window_log: 23})

    assert decode(usual.compress(TEXT) + usual.flush(), "zstd") == TEXT
    with pytest.raises(BodyMalformed, match="too much memory"):
        decode(wide.compress(TEXT) + wide.flush(), "zstd")


@both
def test_a_body_may_not_expand_beyond_its_ratio(encoding: str) -> None:
    """Some kilobytes must not become millions of rows; what is not compressed may be any size."""
    many = b"x\n" * (32 * MIB)
    body = ENCODERS[encoding](many)
    ratio = len(many) // len(body) + 1

    assert sum(map(len, decompress(Trickle(body), encoding, limits(ratio=ratio)))) == len(many)
    with pytest.raises(BodyTooLarge) as caught:
        decode(body, encoding, ratio=100)
    assert caught.value.detail == (
        "The compressed body expands to more than 100 times its size; send it without "
        "Content-Encoding."
    )
    assert decode(many, "", ratio=1) == many


@both
def test_a_small_body_may_expand_as_it_likes(encoding: str) -> None:
    """Some megabytes of anything do no harm."""
    data = bytes(RATIO_FREE_BYTES)

    assert decode(ENCODERS[encoding](data), encoding, ratio=1) == data


EMPTY = {
    "an empty gzip file": ("gzip", gzip.compress(b"")),
    "an empty frame": ("zstd", compress(b"")),
    "a skippable frame": ("zstd", b"\x50\x2a\x4d\x18\0\0\0\0"),
    "a skippable frame with text": ("zstd", b"\x5f\x2a\x4d\x18\4\0\0\0skip"),
}


@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize("size", [1000, READ_BYTES])
def test_parts_without_data_add_nothing(kind: str, size: int) -> None:
    """Between those with data, before them and after them."""
    encoding, nothing = EMPTY[kind]
    some = ENCODERS[encoding](b"1,2\n")

    assert decode(nothing * 50 + some + nothing * 50 + some, encoding, size=size) == b"1,2\n" * 2
    assert decode(nothing * 50, encoding, size=size) == b""


@pytest.mark.parametrize("kind", EMPTY)
def test_a_flood_of_parts_without_data_is_refused_early(kind: str) -> None:
    """Each takes time and brings nothing: a megabyte of them is not read to its end."""
    encoding, nothing = EMPTY[kind]
    body = Trickle(nothing * 200_000)

    with pytest.raises(BodyMalformed) as caught:
        list(decompress(body, encoding, limits()))

    assert caught.value.detail == (
        "The compressed body has more than 10000 tiny frames; compress the file as one stream."
    )
    assert body.read(1)


@both
def test_many_parts_with_data_are_one_body(encoding: str) -> None:
    """As programs write them that compress in blocks: 64 KiB each is common."""
    part = ENCODERS[encoding](TEXT[:4096])

    assert decode(part * 2 * FREE_FRAMES, encoding) == TEXT[:4096] * 2 * FREE_FRAMES
