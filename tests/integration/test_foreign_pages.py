"""Requests that a foreign web page makes a browser send, to a real gunicorn: none gets in."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.api_process import ApiProcess
from tests.beans import a_csv
from tests.servers.schema import SqliteSchema
from tests.working import BEAN

_PROBES: Final = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
_PAGES: Final = ("/", "/ui/jobs", "/docs", "/openapi.json", "/static/base.css")
_CALLS: Final = ("/jobs", "/models", "/limits", "/metrics", "/v2", "/nowhere")
_FORM: Final = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def metrics_port() -> int:
    """A free port for Prometheus."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_schema: SqliteSchema,
    shared_redis: str,
    metrics_port: int,
) -> Iterator[ApiProcess]:
    """One process with API keys off that answers to one name beside the loopback ones."""
    folder: Path = tmp_path_factory.mktemp("foreign")
    settings = {
        "DRYBEANS_DATABASE_URL": sqlite_schema.copy_to(folder),
        "DRYBEANS_REDIS_URL": shared_redis,
        "DRYBEANS_METRICS_PORT": str(metrics_port),
        "DRYBEANS_ALLOWED_HOSTS": "beans.example.com",
        "DRYBEANS_ALLOWED_ORIGINS": "https://app.example.com",
    }
    with ApiProcess(folder / "api", settings) as process:
        yield process


def send(api: ApiProcess, method: str, path: str, **options: Any) -> httpx.Response:
    """Send a request of a client that no proxy stands before."""
    with httpx.Client(base_url=api.url, trust_env=False, timeout=600) as client:
        return client.request(method, path, **options)


def count_jobs(api: ApiProcess) -> int:
    """Count the jobs that are listed."""
    return len(send(api, "GET", "/jobs?page_size=100").json()["jobs"])


@pytest.mark.parametrize("path", [*_PAGES, *_CALLS])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:5000", "10.0.0.7", "x@localhost"])
def test_a_foreign_host_is_refused(api: ApiProcess, path: str, host: str) -> None:
    """421 on every page and call, known or not: a rebound name reads nothing."""
    answer = send(api, "GET", path, headers={"Host": host})

    assert answer.status_code == 421
    assert answer.json()["code"] == "host_not_allowed"


def test_the_refusal_of_a_host_says_what_to_do(api: ApiProcess) -> None:
    """The whole sentence, and no hint to try again."""
    answer = send(api, "GET", "/jobs", headers={"Host": "Evil.example:80"})

    assert answer.json()["detail"] == (
        'This service does not answer to the host name "evil.example". Its operator can add the '
        "name to DRYBEANS_ALLOWED_HOSTS."
    )
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/jobs", "/models"])
@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:5000", "127.0.0.1:80", "[::1]:5000", "beans.example.com"]
)
def test_its_own_names_are_answered(api: ApiProcess, path: str, host: str) -> None:
    """Those of the loopback interface, and those that the setting adds."""
    assert send(api, "GET", path, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", _PROBES)
def test_probes_ask_by_any_address(api: ApiProcess, path: str) -> None:
    """Kubernetes asks a pod by its address."""
    assert send(api, "GET", path, headers={"Host": "10.12.0.7:5000"}).status_code == 200


def test_prometheus_asks_by_any_address_on_its_port(api: ApiProcess, metrics_port: int) -> None:
    """Only for metrics; the port of the API wants a name of its own."""
    url, headers = f"http://127.0.0.1:{metrics_port}", {"Host": f"10.12.0.7:{metrics_port}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/jobs").status_code == 421
    assert send(api, "GET", "/metrics", headers={"Host": "10.12.0.7:5000"}).status_code == 421


@pytest.mark.parametrize("method, path", [("POST", "/jobs"), ("POST", "/predict"),
                                          ("DELETE", "/jobs/x"), ("POST", "/jobs/x/cancel"),
                                          ("POST", "/v2/models/drybeans/infer")])  # fmt: skip
@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "https://app.example.com.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "Same-Origin"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    ],
    ids=lambda sent: " ".join(sent.values()),
)
def test_a_foreign_page_changes_nothing(
    api: ApiProcess, method: str, path: str, sent: dict[str, str]
) -> None:
    """403 before the body is looked at, whatever type a form or a script gives it."""
    for kind in ("text/plain", _FORM, "multipart/form-data; boundary=b", "application/json"):
        headers = {"Content-Type": kind} | sent
        answer = send(api, method, path, headers=headers, content=b"x")

        assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin_refused")
        assert answer.json()["detail"] == (
            "A page of another site may not send this request; only pages of this service may."
        )


def test_a_form_of_another_site_makes_no_job(api: ApiProcess) -> None:
    """A CSV in a form is what a page can send without asking first."""
    before = count_jobs(api)
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    files = {"file": ("beans.csv", a_csv(2))}

    assert send(api, "POST", "/jobs", headers=headers, files=files).status_code == 403
    assert count_jobs(api) == before


@pytest.mark.parametrize("sent", [
    {},
    {"Origin": "{own}"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "{own}"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://beans.example.com"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.com"},
    {"Host": "beans.example.com", "Origin": "https://beans.example.com"},
], ids=lambda sent: " ".join(sent.values()) or "no browser")  # fmt: skip
def test_our_pages_and_clients_that_are_no_browsers_make_jobs(
    api: ApiProcess, sent: dict[str, str]
) -> None:
    """Also behind a proxy that changes Host, and from an origin that the setting allows."""
    headers = {name: value.replace("{own}", api.url) for name, value in sent.items()}

    answer = send(api, "POST", "/jobs", headers=headers, json={"instances": [BEAN]})

    assert answer.status_code == 202


def test_reading_needs_no_origin(api: ApiProcess) -> None:
    """A link from another site opens a page; what scripts read there the browser forbids."""
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}

    assert send(api, "GET", "/", headers=headers).status_code == 200


def test_a_request_without_a_host_is_no_browsers(api: ApiProcess) -> None:
    """HTTP/1.0 has none."""
    with closing(api.connect()) as connection:
        connection.sendall(b"GET /models HTTP/1.0\r\n\r\n")

        assert connection.recv(12) == b"HTTP/1.0 200"
