"""Clients that do not read their response, on real connections to a real gunicorn."""

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, TypeAlias

import httpx
import pytest
from flask import Response

from api.http.stream_limit import PIECE
from tests.api_process import ApiProcess
from tests.beans import a_csv
from tests.servers.schema import SqliteSchema
from tests.service import Service
from tests.working import BEAN, working

_ROWS: Final = 50_000
_CLIENTS: Final = 60
_PLACES: Final = 32
_MIB: Final = 1 << 20
# Nothing here depends on how fast a machine is: what never happens fails after an hour.
_NEVER: Final = 3600.0
_REFUSED: Final = {
    "type": "about:blank",
    "title": "Service Unavailable",
    "status": 503,
    "code": "too_many_streams",
    "detail": "The service is sending as many large responses as it can; try again shortly.",
    "errors": [],
}

Stored: TypeAlias = tuple[Mapping[str, str], str, str]


@pytest.fixture(scope="module")
def stored(
    tmp_path_factory: pytest.TempPathFactory, sqlite_schema: SqliteSchema, shared_redis: str
) -> Stored:
    """The settings of a service that has a large finished job and a small one, and their ids."""
    url = sqlite_schema.copy_to(tmp_path_factory.mktemp("slow-readers"))
    service = Service(url, shared_redis)
    try:
        large = service.run_csv(a_csv(_ROWS), "?outputs=label,probabilities")["id"]
        small = service.run_csv(a_csv(20))["id"]
    finally:
        service.stop()
    settings = {"DRYBEANS_DATABASE_URL": url, "DRYBEANS_REDIS_URL": shared_redis}
    return settings, large, small


def started(folder: Path, settings: Mapping[str, str], **changes: str) -> ApiProcess:
    """Make an API with `changes`, which are settings in lower case."""
    given = {f"DRYBEANS_{name.upper()}": value for name, value in changes.items()}
    return ApiProcess(folder / "api", {**settings, **given})


def request(api: ApiProcess, path: str) -> socket.socket:
    """Send a request on a connection whose client has a small buffer and does not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(_NEVER)
    connection.connect(("127.0.0.1", api.port))
    host = f"127.0.0.1:{api.port}"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return connection


def status(connection: socket.socket) -> int:
    """Return the status of a response, and leave all of it to be read."""
    flags = socket.MSG_PEEK | socket.MSG_WAITALL
    return int(connection.recv(12, flags).split()[1])


def read(connection: socket.socket) -> bytes:
    """Read a response to its end, whether it is complete or was cut off."""
    data = b""
    with suppress(ConnectionError):
        while more := connection.recv(1 << 20):
            data += more
    return data


def fetch(api: ApiProcess, path: str) -> httpx.Response:
    """Read a response as an ordinary client does."""
    return httpx.get(f"{api.url}{path}", trust_env=False, timeout=_NEVER)


def assert_refused(response: httpx.Response) -> None:
    """The client is asked to come back, and told why."""
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert response.json() == _REFUSED


def wait_until_idle(api: ApiProcess) -> None:
    """Wait until the API serves nothing but the question whether it does."""
    deadline = time.monotonic() + _NEVER
    while "\ndrybeans_http_requests_in_progress 1.0\n" not in fetch(api, "/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def memory(api: ApiProcess) -> int:
    """Return how many bytes of memory the API's processes have."""
    return sum(process.memory_info().rss for process in api.processes())


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Connections, closed at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "/jobs/{}/results?format=ndjson&include=input",
        "/jobs/{}/results?format=csv&include=input",
        "/jobs/{}/results?limit=10000&include=input",
    ],
    ids=["ndjson", "csv", "page"],
)
def test_clients_that_do_not_read_take_little_memory(
    tmp_path: Path, stored: Stored, opened: ExitStack, path: str
) -> None:
    """Some are served from small buffers, the others refused; the memory is returned."""
    settings, large, small = stored
    with started(tmp_path, settings, send_timeout=str(_NEVER)) as api:
        fetch(api, f"/jobs/{small}/results?include=input")
        before = memory(api)
        slow = [opened.enter_context(request(api, path.format(large))) for _ in range(_CLIENTS)]
        statuses = [status(connection) for connection in slow]
        most = memory(api)
        for _ in range(50):
            assert len(fetch(api, f"/jobs/{small}/results").json()["results"]) == 20
            most = max(most, memory(api))

        assert_refused(fetch(api, path.format(large)))
        opened.close()
        wait_until_idle(api)
        after = memory(api)
        assert fetch(api, path.format(large)).status_code == 200

    assert sorted(statuses) == [200] * _PLACES + [503] * (_CLIENTS - _PLACES)
    assert most - before < 320 * _MIB
    assert after - before < 160 * _MIB


def test_a_client_that_does_not_read_is_cut_off(
    tmp_path: Path, stored: Stored, opened: ExitStack
) -> None:
    """Its response ends before its end, and its place is free again."""
    settings, large, _ = stored
    paths = [f"/jobs/{large}/results?format={form}" for form in ("ndjson", "csv")]
    paths.append(f"/jobs/{large}/results?limit=10000&include=input")
    with started(tmp_path, settings, send_timeout="1", max_downloads="3") as api:
        slow = [opened.enter_context(request(api, path)) for path in paths]
        wait_until_idle(api)
        received = [read(connection) for connection in slow]
        whole = [fetch(api, path) for path in paths]
        said = api.log.read_text()

    for part, response in zip(received, whole, strict=True):
        assert part.startswith(b"HTTP/1.1 200 OK\r\n")
        assert response.status_code == 200
        assert len(part) < len(response.content)
    assert said.count("response_aborted reason=send_timeout") == len(paths)
    assert "Traceback" not in said


def test_event_streams_are_limited(tmp_path: Path, stored: Stored, opened: ExitStack) -> None:
    """Those that are open go on; another one is refused until one of them is closed."""
    settings, _, small = stored
    with started(tmp_path, settings, max_event_streams="2") as api:
        answer = httpx.post(
            f"{api.url}/jobs", json={"instances": [BEAN]}, trust_env=False, timeout=_NEVER
        )
        job = f"/jobs/{answer.json()['id']}"
        path = f"{job}/events"
        streams = [opened.enter_context(request(api, path)) for _ in range(2)]
        assert [status(connection) for connection in streams] == [200, 200]

        assert_refused(fetch(api, path))
        assert fetch(api, f"/jobs/{small}/results?format=ndjson").status_code == 200
        httpx.post(f"{api.url}{job}/cancel", trust_env=False, timeout=_NEVER)
        wait_until_idle(api)
        assert fetch(api, path).status_code == 200


def test_a_large_response_in_one_piece_needs_a_place_too(service: Service) -> None:
    """A list and predictions are refused; what reports a change that was made is not."""
    service.services.downloads.hold(Response())
    with working(service):
        job = service.client.post(
            "/jobs",
            json={"instances": [BEAN] * 1000, "outputs": ["label", "probabilities"]},
            headers={"Prefer": "wait=30"},
        )
        prediction = service.client.post("/predict", json={"data": [BEAN] * 10_000})
        small = service.client.post("/predict", json={"data": [BEAN]})
    document = service.client.get("/openapi.json")

    assert (job.status_code, len(job.get_json()["results"])) == (200, 1000)
    assert (prediction.status_code, prediction.get_json()) == (503, _REFUSED)
    assert small.status_code == 200
    assert len(document.data) > PIECE
    assert document.status_code == 200


@pytest.fixture
def service(sqlite_schema: SqliteSchema, tmp_path: Path, shared_redis: str) -> Iterator[Service]:
    """A service that sends one large response at a time."""
    running = Service(sqlite_schema.copy_to(tmp_path), shared_redis, max_downloads=1)
    yield running
    running.stop()
