"""What an operator sees from outside: real scrapes, a worker that dies, and Flower."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.observability.metrics import ALL, WORKER_BEAT
from tests.collector import Collector, collecting
from tests.e2e.service import Service
from tests.servers import RedisServer, free_port
from tests.servers.reaper import end_with_this_process
from tests.waiting import wait_for
from tests.working import BEAN

_ROOT: Final = Path(__file__).parents[2]
_PASSWORD: Final = "flowers"
Samples = dict[str, list[tuple[dict[str, str], float]]]


def free_ports() -> int:
    """Find a port after which two more are free."""
    while True:
        first = free_port()
        try:
            for port in (first + 1, first + 2):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            continue
        return first


class Watched(Service):
    """A service that tells Prometheus, with Flower."""

    def __init__(self, folder: Path, redis_url: str, collector: str) -> None:
        self.metrics_port = free_ports()
        self.flower_port = free_port()
        self.database_url = f"sqlite:///{folder}/drybeans.db"
        self.redis_url = redis_url
        settings = {
            "DRYBEANS_REDIS_URL": redis_url,
            "DRYBEANS_API_PROCESSES": "2",
            "DRYBEANS_METRICS_PORT": str(self.metrics_port),
            "FLOWER_PORT": str(self.flower_port),
            "FLOWER_PASSWORD": _PASSWORD,
            "DRYBEANS_TRACES": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        }
        super().__init__(folder, settings)

    def scrape(self, part: int) -> Samples:
        """Read the metrics of a part: 0 is the API, 1 the worker, 2 the sweeper."""
        url = f"http://127.0.0.1:{self.metrics_port + part}/metrics"
        text = httpx.get(url, timeout=600, trust_env=False).text
        found: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    def flower(self, method: str, path: str, *, password: str = _PASSWORD) -> httpx.Response:
        """Ask Flower."""
        url = f"http://127.0.0.1:{self.flower_port}{path}"
        auth = ("operator", password)
        return httpx.request(method, url, auth=auth, timeout=600, trust_env=False)

    def beats(self) -> dict[str, float]:
        """Return when each worker last took messages, as the API tells it."""
        told = self.scrape(0)["drybeans_worker_last_beat_timestamp_seconds"]
        return {labels["worker"]: moment for labels, moment in told}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """What the parts send their spans to."""
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def watched(server_folder: Path, collector: Collector) -> Iterator[Watched]:
    """All parts, with a job of many rows and a small one done."""
    folder = server_folder / "watched"
    with RedisServer(folder / "redis") as redis:
        service = Watched(folder, redis.url, collector.address)
        service.start()
        with service.client() as client:
            body = {"instances": [BEAN] * 200}
            client.post("/jobs", json=body, headers={"Prefer": "wait=30"})
        # A worker reports every 5 s, and only counts once its processes can take work.
        wait_for(lambda: WORKER_BEAT.name in service.scrape(0), every=0.5)
        yield service
        service.stop()


def test_every_metric_is_scraped_from_a_real_part(watched: Watched) -> None:
    """With the labels that the dashboard and the alerts choose by."""
    for number, part in enumerate(ALL):
        found = watched.scrape(number)
        for metric in ALL[part]:
            name = metric.name + ("_bucket" if metric.kind == "histogram" else "")
            assert name in found, f"{part}: {name}"
            labels = {*metric.labels, "le"} if metric.kind == "histogram" else {*metric.labels}
            assert all(labels == set(sample) for sample, _ in found[name]), f"{part}: {name}"


def test_what_the_workers_processes_did_is_added_up(watched: Watched) -> None:
    """Two processes behind one port, and drift of the batch that had rows enough."""
    found = watched.scrape(1)

    assert sum(value for _, value in found["drybeans_worker_process_starts_total"]) >= 2
    rows = {labels["outcome"]: value for labels, value in found["drybeans_rows_total"]}
    assert rows["succeeded"] >= 200
    assert len(found["drybeans_drift_index"]) == 16


def a_second_worker(watched: Watched) -> subprocess.Popen[bytes]:
    """Start another worker on the same queues."""
    environment = os.environ | {
        "DRYBEANS_DATABASE_URL": watched.database_url,
        "DRYBEANS_REDIS_URL": watched.redis_url,
        "DRYBEANS_WORKERS": "1",
    }
    with (watched.folder / "second.log").open("ab") as log:
        command = [sys.executable, "-m", "worker.main"]
        worker = subprocess.Popen(command, env=environment, cwd=_ROOT, stdout=log, stderr=log)
    end_with_this_process(worker.pid)
    return worker


def test_a_worker_that_died_is_named(watched: Watched) -> None:
    """By host and process, with its last beat standing still while the others' move on."""
    worker = a_second_worker(watched)
    name = f"worker-{worker.pid}@{socket.gethostname()}"
    wait_for(lambda: name in watched.beats(), every=0.2)
    main = psutil.Process(worker.pid)
    # The main process first: it ends in good order when it finds its children dead.
    for process in [main, *main.children(recursive=True)]:
        process.kill()
    worker.wait()
    # Each process of the API looks once a second: one of them may not have seen all of it yet.
    time.sleep(1.5)
    died = watched.beats()

    wait_for(
        lambda: any(at > died[other] for other, at in watched.beats().items() if other != name),
        every=0.2,
    )

    assert watched.beats()[name] == died[name]


def test_a_worker_that_ended_in_good_order_is_not(watched: Watched) -> None:
    """Who was told to go is not missed."""
    worker = a_second_worker(watched)
    name = f"worker-{worker.pid}@{socket.gethostname()}"
    wait_for(lambda: name in watched.beats(), every=0.2)

    worker.send_signal(signal.SIGTERM)
    worker.wait(60)

    wait_for(lambda: name not in watched.beats(), every=0.2)


def test_a_job_is_one_trace_from_request_to_result(watched: Watched, collector: Collector) -> None:
    """API and worker send their spans with the client's trace id, and each is below another."""
    trace, above = os.urandom(16).hex(), os.urandom(8).hex()
    headers = {"traceparent": f"00-{trace}-{above}-01", "Prefer": "wait=30"}
    with watched.client() as client:
        job = client.post("/jobs", json={"instances": [BEAN]}, headers=headers).json()["id"]

    wait_for(lambda: len(collector.spans(trace)) >= 7, every=0.2)

    spans = {told.span: told for told in collector.spans(trace)}
    names = {told.span: told.name for told in spans.values()} | {above: "client"}
    assert {(told.part, told.name, names[told.parent]) for told in spans.values()} == {
        ("drybeans-api", "POST /jobs", "client"),
        ("drybeans-api", "commit", "POST /jobs"),
        ("drybeans-api", "publish", "POST /jobs"),
        ("drybeans-worker", "run", "POST /jobs"),
        *(("drybeans-worker", step, "run") for step in ("read", "predict", "finish")),
    }
    for told in spans.values():
        if told.name in {"POST /jobs", "commit", "publish", "run"}:
            assert told.facts["drybeans.job"] == job, told.name


def submit(watched: Watched) -> str:
    """Submit a bean and give the job's id."""
    with watched.client() as client:
        document: dict[str, Any] = client.post("/jobs", json={"instances": [BEAN]}).json()
    return str(document["id"])


def test_a_job_is_found_in_flower_by_its_id(watched: Watched) -> None:
    """The message that carried it, with what became of it."""
    jobs: list[str] = []
    found: dict[str, dict[str, Any]] = {}

    def shown() -> bool:
        # Workers tell nothing until Flower has asked them to, which it does every few seconds.
        jobs.append(submit(watched))
        for job in jobs:
            tasks = watched.flower("GET", f"/api/tasks?search={job}").json().values()
            found.update((job, task) for task in tasks if task["state"] == "SUCCESS")
        return bool(found)

    wait_for(shown, every=1.0)
    job, task = found.popitem()
    assert task["name"] == "drybeans.run.1"
    assert task["args"] == f"{job}/0"
    # By the name that the metrics and the doctor have for it too.
    assert task["worker"] in watched.beats()


@pytest.mark.parametrize("path", ["/api/tasks", "/api/workers", "/tasks"])
def test_flower_tells_nobody_without_the_password(watched: Watched, path: str) -> None:
    """Neither its pages nor its API."""
    assert watched.flower("GET", path, password="guess").status_code == 401
    url = f"http://127.0.0.1:{watched.flower_port}{path}"
    assert httpx.get(url, timeout=600, trust_env=False).status_code == 401


@pytest.mark.parametrize("path", ["worker/shutdown/celery", "task/revoke/x", "task/apply/x"])
def test_flower_changes_nothing(watched: Watched, path: str) -> None:
    """Also with the password: no worker is shut down and no task sent."""
    answer = watched.flower("POST", f"/api/{path}")

    assert answer.status_code == 403
    assert watched.flower("GET", "/api/workers").status_code == 200


def test_a_service_that_is_told_nothing_opens_no_further_port(service: Service) -> None:
    """Metrics of workers and Flower are for those who ask for them."""
    process = next(p for p in service.processes() if "worker.main" in p.cmdline())
    listening = [c for c in process.net_connections() if c.status == psutil.CONN_LISTEN]

    assert listening == []
