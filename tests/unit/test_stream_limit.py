"""How many large responses are sent at a time."""

from collections.abc import Iterator

import pytest
from flask import Response

from api.http.stream_limit import PIECE, StreamLimit
from shared.domain.errors import TooManyStreams


def test_one_response_more_than_the_limit_is_refused() -> None:
    """Until one of them is closed; closing it twice frees one place."""
    limit = StreamLimit(2)
    first, _ = limit.hold(Response()), limit.hold(Response())

    with pytest.raises(TooManyStreams):
        limit.hold(Response())
    first.close()
    first.close()
    limit.hold(Response())

    with pytest.raises(TooManyStreams):
        limit.hold(Response())


def test_a_small_response_needs_no_place() -> None:
    """It is complete, with its length, however many pieces it was made of."""
    limit = StreamLimit(1)
    limit.hold(Response())

    response = limit.send(iter([b"x" * (PIECE - 1), b"y"]), {"A": "b"}, "text/plain")

    assert response.data == b"x" * (PIECE - 1) + b"y"
    assert response.content_length == PIECE
    assert (response.headers["A"], response.content_type) == ("b", "text/plain")


def test_a_large_response_is_made_as_it_is_sent() -> None:
    """Only its start is there before a place is taken."""
    made: list[int] = []

    def pieces() -> Iterator[bytes]:
        for at in range(10):
            made.append(at)
            yield b"%d" % at * PIECE

    limit = StreamLimit(1)
    response = limit.send(pieces(), {}, "text/plain")

    assert made == [0, 1]
    assert "Content-Length" not in response.headers
    with pytest.raises(TooManyStreams):
        limit.send(pieces(), {}, "text/plain")
    assert response.data == b"".join(b"%d" % at * PIECE for at in range(10))
    response.close()
    limit.hold(Response())
