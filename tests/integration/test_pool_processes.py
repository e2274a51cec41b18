"""The processes of a worker's pool, killed while models load, and what the worker reports."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from shared.admin.checks.finding import Severity
from shared.admin.checks.processes import judge
from shared.broker.heartbeats import Heartbeat, HeartbeatStore, ProcessKind
from shared.observability.worker_status import WorkerStatus, read_status
from tests.models import a_manifest, a_table
from tests.service import MODEL_ROOT, Service
from tests.slow_models import DEADLY, SECONDS, SlowModel
from tests.waiting import wait_for
from tests.working import BEAN
from worker.models.artifacts import golden_of, publish
from worker.models.loader import ModelLoader

_ROOT: Final = Path(__file__).parents[2]
_PATIENCE: Final = 600.0
_PROCESSES: Final = 2

# Longer than Celery gives a process to come up, unless it is told otherwise.
_LOAD_SECONDS: Final = "6"

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


class Worker:
    """A real worker and a sweeper, beside the API of a `service`."""

    def __init__(self, service: Service, folder: Path, changes: dict[str, str]) -> None:
        self._service = service
        self._log = folder / "worker.log"
        self.heartbeat = folder / "alive"
        settings = service.settings
        self._environment = os.environ | {
            "DRYBEANS_DATABASE_URL": settings.database_url.get_secret_value(),
            "DRYBEANS_REDIS_URL": settings.redis_url.get_secret_value(),
            "DRYBEANS_MODEL_ROOT": str(settings.model_root),
            "DRYBEANS_DEFAULT_MODEL": settings.default_model,
            "DRYBEANS_WORKERS": str(_PROCESSES),
            **changes,
        }
        self._main = self._start("worker.main", DRYBEANS_HEARTBEAT_FILE=str(self.heartbeat))
        self._sweeper = self._start("worker.sweep")

    def _start(self, module: str, **changes: str) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", module]
            return subprocess.Popen(
                command, env=self._environment | changes, cwd=_ROOT, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """End both, and every process of the pool."""
        main = psutil.Process(self._main.pid)
        for process in [main, *main.children(recursive=True)]:
            process.kill()
        self._sweeper.kill()
        self._main.wait()
        self._sweeper.wait()

    def processes(self) -> set[int]:
        """Return the pids of its pool."""
        return {child.pid for child in psutil.Process(self._main.pid).children()}

    def status(self) -> WorkerStatus | None:
        """Return what it reports on Redis."""
        report = self.report()
        return None if report is None else read_status(report.details)

    def report(self) -> Heartbeat | None:
        """Return its last heartbeat."""
        store = HeartbeatStore(self._service.settings.redis_url.get_secret_value())
        found = [one for one in store.read() if one.kind is ProcessKind.WORKER]
        return found[0] if found else None

    def findings(self) -> list[str]:
        """Return what the doctor finds wrong with it."""
        report = self.report()
        assert report is not None
        found = judge([report])
        return [
            one.what for one in found if one.level is not Severity.OK and report.name in one.what
        ]

    def running(self) -> int:
        """Return how many of its processes can take a batch, as it reports."""
        status = self.status()
        return status.running if status else 0

    def log(self) -> str:
        """Return all that it has logged."""
        return self._log.read_text(errors="replace")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the project's models and one that is hard to load."""
    folder = tmp_path / "models"
    shutil.copytree(MODEL_ROOT, folder)
    model = SlowModel().fit(*a_table())
    trusted = (f"{SlowModel.__module__}.SlowModel",)
    golden = golden_of(model, a_table()[0][:5])
    publish(folder, a_manifest(golden=golden, trusted_types=trusted), model)
    return folder


@pytest.fixture
def begin(
    database_url: str, redis_url: str, tmp_path: Path, root: Path
) -> Iterator[Callable[..., tuple[Service, Worker]]]:
    """Starts an API whose default model is hard to load, and a worker with more environment."""
    with ExitStack() as running:

        def start(**changes: str) -> tuple[Service, Worker]:
            service = Service(
                database_url, redis_url, models=ModelLoader(root), default_model="toy"
            )
            running.callback(service.stop)
            worker = Worker(service, tmp_path, changes)
            running.callback(worker.stop)
            return service, worker

        yield start


def submit(service: Service, model: str, row: list[float]) -> dict[str, Any]:
    """Submit a row for `model`."""
    answer = service.client.post("/jobs", json={"instances": [row], "model": model})
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.get_json()
    return document


def finished(service: Service, job: dict[str, Any]) -> bool:
    """Return whether `job` has come to its end."""
    return service.job(job["id"])["finished_at"] is not None


def await_success(service: Service, *jobs: dict[str, Any]) -> None:
    """Wait until every job has succeeded."""
    for job in jobs:
        wait_for(partial(finished, service, job), every=0.2)
        assert service.job(job["id"])["state"] == "succeeded", service.job(job["id"])


def kill_all(worker: Worker) -> set[int]:
    """Kill every process of the pool and return their pids."""
    killed = worker.processes()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    return killed


def all_replaced(worker: Worker, killed: set[int]) -> bool:
    """Return whether other processes have taken the place of those that were `killed`."""
    return killed.isdisjoint(worker.processes()) and len(worker.processes()) == _PROCESSES


def test_a_pool_process_that_dies_while_models_load_slowly_is_replaced(
    begin: Callable[..., tuple[Service, Worker]],
) -> None:
    """Again and again; meanwhile and afterwards jobs of every model are run."""
    service, worker = begin(**{SECONDS: _LOAD_SECONDS})
    wait_for(lambda: worker.running() == _PROCESSES, every=0.2)
    jobs = []

    for _ in range(2):
        killed = kill_all(worker)
        jobs += [submit(service, "toy", [0.0] * 3), submit(service, "drybeans", BEAN)]
        wait_for(partial(all_replaced, worker, killed), every=0.2)
        wait_for(lambda: worker.running() == _PROCESSES, every=0.2)

    await_success(service, *jobs)
    assert "Timed out waiting for UP message" not in worker.log()
    status = worker.status()
    assert status is not None
    assert (status.problems, worker.findings()) == ([], [])
    assert status.available.keys() == {"drybeans@1", "drybeans@2", "toy@1"}


def test_a_worker_whose_processes_all_die_says_so_and_burns_no_job(
    begin: Callable[..., tuple[Service, Worker]],
) -> None:
    """Its main process lives and takes messages, but it does not beat; no attempt is counted."""
    service, worker = begin(**{DEADLY: "1"})
    job = submit(service, "drybeans", BEAN)

    wait_for(lambda: worker.status() is not None, every=0.2)
    seen = worker.processes()

    def several_died() -> bool:
        seen.update(worker.processes())
        return len(seen) > 4 * _PROCESSES

    wait_for(several_died, every=0.05)

    status = worker.status()
    assert status is not None
    assert status.running == 0
    assert status.problems == ["None of its 2 processes can take work."]
    report = worker.report()
    assert report is not None
    assert worker.findings() == [f"{report.name}: 0 of 2 processes can take work."]
    assert not worker.heartbeat.exists()
    gauges = service.services.state_collector()
    (beats,) = [one for one in gauges if one.name == "drybeans_worker_last_beat_timestamp_seconds"]
    assert beats.samples == []
    found = service.job(job["id"])
    assert (found["state"], found["attempts"]) == ("queued", 0)
