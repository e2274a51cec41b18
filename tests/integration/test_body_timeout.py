"""Clients that send a byte at a time, on real connections to a real gunicorn."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Final

import pytest

from tests.api_process import ApiProcess, answer_on
from tests.beans import a_csv
from tests.servers.schema import SqliteSchema
from tests.service import in_parts

_SECONDS: Final = 5
_PATIENCE: Final = 3600.0


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory, sqlite_schema: SqliteSchema, shared_redis: str
) -> Iterator[ApiProcess]:
    """One process that waits for nobody longer than five seconds."""
    folder = tmp_path_factory.mktemp("trickling")
    settings = {
        "DRYBEANS_DATABASE_URL": sqlite_schema.copy_to(folder),
        "DRYBEANS_REDIS_URL": shared_redis,
        "DRYBEANS_HEAD_SECONDS": str(_SECONDS),
        "DRYBEANS_BODY_SECONDS": str(_SECONDS),
    }
    with ApiProcess(folder / "api", settings) as process:
        yield process


def trickle(connections: list[socket.socket]) -> list[bytes]:
    """Send a byte at a time on each connection until it is closed, and give what each was told."""
    told = dict.fromkeys(connections, b"")
    left = list(connections)
    deadline = time.monotonic() + _PATIENCE
    while left:
        assert time.monotonic() < deadline, f"{len(left)} are still open"
        for connection in select.select(left, [], [], 0.1)[0]:
            # A reset is an end too.
            more = b""
            with suppress(ConnectionError):
                more = connection.recv(65536)
            told[connection] += more
            if not more:
                left.remove(connection)
        for connection in left:
            with suppress(ConnectionError):
                connection.sendall(b" ")
    return list(told.values())


def test_who_trickles_is_cut_off(api: ApiProcess) -> None:
    """A head without a word, a body of either kind with 408; then the connection is closed."""
    bodies = [
        b"POST /jobs HTTP/1.1\r\nHost: [::1]\r\nContent-Type: %s\r\nContent-Length: 9999\r\n\r\n"
        % kind
        for kind in (b"application/json", b"text/csv")
    ]
    with ExitStack() as opened:
        connections = [opened.enter_context(api.connect()) for _ in range(3)]
        for connection, start in zip(connections, [b"GET / HTTP/1.1\r\nX: ", *bodies], strict=True):
            connection.sendall(start)
        head, *answers = trickle(connections)

    assert head == b""
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 408 "), answer
        assert b'"code":"body_too_slow"' in answer
        assert b"\r\nConnection: close\r\n" in answer
    assert b"Traceback" not in api.log.read_bytes()


@pytest.mark.parametrize("form", ["known length", "chunked"])
def test_a_document_in_two_parts_is_read_whole(api: ApiProcess, form: str) -> None:
    """With its length told before, or with that of each part."""
    chunked = form == "chunked"
    parts = (b'{"instances": [[1, ', b"2]]}")
    sent = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts] if chunked else [*parts]
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 23"
    head = (
        b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%s\r\n\r\n"
        % length
    )
    with api.connect() as connection:
        connection.sendall(head + sent[0])
        time.sleep(0.1)
        connection.sendall(sent[1] + (b"0\r\n\r\n" if chunked else b""))
        answer = answer_on(connection)

    assert answer.startswith(b"HTTP/1.1 422 "), answer
    assert b"The row has 2 values" in answer


def test_an_upload_that_makes_progress_may_take_long(api: ApiProcess) -> None:
    """Longer than the limit as a whole, and each piece of it sooner: that is a slow line."""
    parts = in_parts(a_csv(6_000), each=1 << 17)
    began = time.monotonic()
    with api.upload([], length=sum(map(len, parts))) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(1.2 * _SECONDS / len(parts))
        answer = answer_on(connection)

    assert answer.startswith(b"HTTP/1.1 202 "), answer
    assert time.monotonic() - began > _SECONDS
