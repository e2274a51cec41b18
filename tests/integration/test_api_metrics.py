"""GET /metrics of gunicorn's processes: added up, and for whom."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api_process import ApiProcess
from tests.servers import free_port
from tests.servers.schema import SqliteSchema
from tests.waiting import wait_for


@pytest.fixture
def metrics_port() -> int:
    """Where Prometheus may ask without a key."""
    return free_port()


@pytest.fixture
def api(
    tmp_path: Path, sqlite_schema: SqliteSchema, redis_url: str, metrics_port: int
) -> Iterator[ApiProcess]:
    """The API with two processes, which asks for keys."""
    settings = {
        "DRYBEANS_DATABASE_URL": sqlite_schema.copy_to(tmp_path),
        "DRYBEANS_REDIS_URL": redis_url,
        "DRYBEANS_API_PROCESSES": "2",
        "DRYBEANS_API_KEYS": "true",
        "DRYBEANS_METRICS_PORT": str(metrics_port),
        "TMPDIR": str(tmp_path),
    }
    with ApiProcess(tmp_path / "api", settings) as process:
        yield process


def requests_of(port: int, route: str) -> float:
    """Count the requests of `route`, as Prometheus reads it."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=600).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "drybeans_http_requests_total" and sample.labels["route"] == route
    )


def ask(api: ApiProcess, times: int) -> None:
    """Ask for the models, over connections that are dealt to both processes."""
    for _ in range(times):
        httpx.get(f"{api.url}/models", trust_env=False, timeout=600)


def test_metrics_are_for_prometheus_port_only(api: ApiProcess, metrics_port: int) -> None:
    """Where keys are asked for, the open port does not tell strangers about the service."""
    refused = httpx.get(f"{api.url}/metrics", trust_env=False, timeout=600)
    pretended = httpx.get(
        f"{api.url}/metrics",
        headers={"Host": f"127.0.0.1:{metrics_port}"},
        trust_env=False,
        timeout=10,
    )
    other = httpx.get(f"http://127.0.0.1:{metrics_port}/jobs", trust_env=False, timeout=600)
    answer = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", trust_env=False, timeout=600)

    assert (refused.status_code, pretended.status_code, other.status_code) == (401, 401, 401)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")


def test_all_processes_are_counted_also_those_that_died(
    api: ApiProcess, metrics_port: int, tmp_path: Path
) -> None:
    """A counter that falls would be a reset to Prometheus, and files would pile up."""
    ask(api, 20)
    wait_for(lambda: requests_of(metrics_port, "/models") == 20)
    (folder,) = tmp_path.glob("drybeans-metrics-*")
    files = {file.name for file in folder.iterdir()}

    _, *answering = api.processes()
    answering[0].kill()
    psutil.wait_procs([answering[0]], timeout=10)
    wait_for(lambda: len(api.processes()) == 3)
    ask(api, 20)

    wait_for(lambda: requests_of(metrics_port, "/models") == 40)
    assert {file.name for file in folder.iterdir()} <= files
    api.stop()
    assert not folder.exists()
