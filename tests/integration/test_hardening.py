"""What a hostile client may send to a real gunicorn: no 500, no secret, and nobody waits."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.api_process import ApiProcess, answer_on
from tests.servers.schema import SqliteSchema

_SECRET: Final = "swordfish-in-a-query"
_SHOWN: Final = "dbk_aaaaaaaaaaaa_" + "z" * 43
_BEAN: Final = b"[" + b",".join([b"1"] * 15) + b",%s]"
_MIB: Final = 1 << 20


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory, sqlite_schema: SqliteSchema, shared_redis: str
) -> Iterator[ApiProcess]:
    """One process that answers, with bodies up to 16 MiB."""
    folder = tmp_path_factory.mktemp("hardening")
    settings = {
        "DRYBEANS_DATABASE_URL": sqlite_schema.copy_to(folder),
        "DRYBEANS_REDIS_URL": shared_redis,
        "DRYBEANS_MAX_BODY_BYTES": str(16 * _MIB),
    }
    with ApiProcess(folder / "api", settings) as process:
        yield process


def say(api: ApiProcess, head: bytes) -> bytes:
    """Send raw bytes and return the answer."""
    with api.connect() as connection:
        connection.sendall(head)
        return answer_on(connection)


def post(api: ApiProcess, body: bytes, path: str = "/jobs") -> httpx.Response:
    """POST `body` as JSON."""
    headers = {"Content-Type": "application/json"}
    with httpx.Client(base_url=api.url, trust_env=False, timeout=600) as client:
        return client.post(path, content=body, headers=headers)


def assert_refused(answer: httpx.Response) -> None:
    """A client's mistake, told as a problem, and nothing of the code."""
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Many: x\r\n" * 1000 + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ],
    ids=["long header", "many headers", "long path", "two lengths", "negative", "coding", "tls"],
)
def test_a_head_beyond_bounds_is_refused(api: ApiProcess, head: bytes) -> None:
    """By gunicorn, before any of our code; the next client is answered."""
    status = int(say(api, head).split(b" ", 2)[1])

    assert 400 <= status < 500 or status == 501
    assert api.answers()


def test_clients_that_trickle_keep_nobody_waiting(api: ApiProcess) -> None:
    """Heads and bodies that come a byte at a time cost a connection each, and no more."""
    starts = [
        b"GET /healthz HTTP/1.1\r\nX-Slow: ",
        b"POST /jobs HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    ]
    with ExitStack() as opened:
        slow = [opened.enter_context(api.connect()) for _ in range(200)]
        for at, connection in enumerate(slow):
            connection.sendall(starts[at % 2])
        for _ in range(3):
            for connection in slow:
                connection.sendall(b" ")
            assert api.answers()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused(api: ApiProcess, *, chunked: bool) -> None:
    """413, whether it says its length or not."""
    parts = [b"[" * _MIB] * 17
    content = iter(parts) if chunked else b"".join(parts)
    headers = {"Content-Type": "application/json"}
    with httpx.Client(base_url=api.url, trust_env=False, timeout=600) as client:
        answer = client.post("/jobs", content=content, headers=headers)

    assert answer.status_code == 413
    assert_refused(answer)


@pytest.mark.parametrize("path", ["/jobs", "/predict", "/v2/models/drybeans/infer"])
@pytest.mark.parametrize("body", [b"[" * 10 * _MIB, b'{"a":' * 2 * _MIB], ids=["lists", "objects"])
def test_depth_is_refused(api: ApiProcess, path: str, body: bytes) -> None:
    """Ten million brackets are neither a crash nor a minute of work."""
    assert_refused(post(api, body, path))
    assert api.answers()


@pytest.mark.parametrize(
    "number",
    [b"1e400", b"-1e400", b"9" * 5000, b"NaN", b"Infinity", b'"\\ud800"', b"1e-400x"],
    ids=["1e400", "-1e400", "huge", "NaN", "Infinity", "surrogate", "junk"],
)
@pytest.mark.parametrize("path", ["/jobs", "/predict", "/v1/models/drybeans:predict"])
def test_numbers_that_are_none_are_refused(api: ApiProcess, path: str, number: bytes) -> None:
    """Every way in says so, and none waits for a worker."""
    bean = _BEAN % number
    body = b'{"instances":[%s]}' % bean
    if path == "/predict":
        body = b'{"data":"[%s]"}' % bean.replace(b"\\", b"\\\\").replace(b'"', b'\\"')

    assert_refused(post(api, body, path))


_CHUNKS: Final = b'5;a=b\r\n{"ins\r\n10\r\ntances":[[1,2]]}\r\n0\r\nX-Trailer: 1\r\n\r\n'


@pytest.mark.parametrize("kind", ["application/json", "text/csv", "multipart/form-data;boundary=b"])
@pytest.mark.parametrize("byte", [b"", b"\x00", b"g", b"\n", b" ", b"\xff", b"f"], ids=repr)
def test_a_damaged_chunked_body_is_refused(api: ApiProcess, kind: str, byte: bytes) -> None:
    """Whichever byte of it is another or missing: 4xx and never 500."""
    for at in range(len(_CHUNKS)):
        with api.connect() as connection:
            head = f"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
            connection.sendall(_CHUNKS[:at] + byte + _CHUNKS[at + 1 :])
            connection.shutdown(socket.SHUT_WR)
            status = int(answer_on(connection).split(b" ", 2)[1])
        assert 400 <= status < 500, at


@pytest.mark.parametrize("path", ["/jobs", "/predict", "/v2/models/drybeans/infer"])
def test_a_body_that_breaks_off_is_the_clients_fault(api: ApiProcess, path: str) -> None:
    """400 in JSON too, with or without a length."""
    for how in (b"Content-Length: 99\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
        with api.connect() as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(head.encode() + how)
            connection.shutdown(socket.SHUT_WR)

            assert answer_on(connection).startswith(b"HTTP/1.1 400 ")


def test_the_log_holds_no_secret(tmp_path: Path, shared_redis: str) -> None:
    """Neither a password of the settings nor a key that was shown, though all goes wrong."""
    settings = {
        "DRYBEANS_DATABASE_URL": f"mysql+pymysql://beans:{_SECRET}@127.0.0.1:9/drybeans",
        "DRYBEANS_REDIS_URL": shared_redis,
        "DRYBEANS_API_KEYS": "true",
    }
    headers = {"Authorization": f"Bearer {_SHOWN}"}
    with ApiProcess(tmp_path / "api", settings) as process:
        with httpx.Client(base_url=process.url, trust_env=False, timeout=600) as client:
            answers = [client.get(p, headers=headers) for p in ("/jobs", "/readyz", "/nowhere")]
        said = process.log.read_text()

    assert answers[0].status_code == 503
    assert said
    for text in [said, *(answer.text for answer in answers)]:
        assert _SECRET not in text
        assert _SHOWN not in text
        assert "Traceback" not in text
