"""What a newcomer sees who types `make up`."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.service import Service
from tests.waiting import wait_for

_BEAN = [
    *(33958.0, 677.1, 253.69, 171.05, 1.48, 0.74, 34241.0, 207.93),
    *(0.82, 0.99, 0.93, 0.82, 0.01, 0.0, 0.67, 1.0),
]


@pytest.fixture
def own(server_folder: Path) -> Iterator[Service]:
    """A service of this test alone, to be stopped and broken."""
    service = Service(server_folder / f"own-{os.urandom(4).hex()}")
    service.start()
    yield service
    service.stop()


def test_the_walkthroughs_request_is_answered_as_there(service: Service) -> None:
    """Both fields are JSON inside strings, and the bean is a Dermason."""
    with service.client() as client:
        answer = client.post("/predict", json={"data": json.dumps([_BEAN])})

    assert answer.status_code == 200
    assert answer.json() == {"predictions": '["DERMASON"]'}


@pytest.mark.parametrize("model", ["drybeans@1", "drybeans@2"])
def test_a_bean_that_is_posted_gets_its_label(service: Service, model: str) -> None:
    """Submit, wait, read the result: the main job, end to end."""
    with service.client() as client:
        sent = {"model": model, "instances": [_BEAN]}
        job = client.post("/jobs", json=sent, headers={"Prefer": "wait=30"}).json()
        answer = client.get(f"{job['links']['self']}/results").json()

    assert job["state"] == "succeeded"
    assert [row["label"] for row in answer["results"]] == ["DERMASON"]


def test_the_calls_it_prints_can_be_typed(service: Service) -> None:
    """The first two of the three curl lines work when they are pasted."""
    lines = [line for line in service.said().splitlines() if line.startswith("  curl")]

    answers = [_as_curl_would(line) for line in lines[:2]]

    assert len(lines) == 3
    assert "predictions" in answers[0]
    assert answers[1]["state"] == "queued"


def _as_curl_would(line: str) -> dict[str, str]:
    # A machine without curl runs the tests too.
    program, silent, url, header, kind, data, body = shlex.split(line)
    assert (program, silent, header, data) == ("curl", "-s", "-H", "-d")
    name, _, value = kind.partition(": ")
    answer = httpx.post(url, content=body, headers={name: value}, timeout=600, trust_env=False)
    document: dict[str, str] = answer.json()
    return document


def test_ctrl_c_leaves_nothing_behind(own: Service) -> None:
    """All parts and their children are gone, and the next start finds everything free."""
    processes = own.processes()

    code = own.stop(signal.SIGINT)

    assert code == 0
    assert psutil.wait_procs(processes, timeout=600)[1] == []
    own.start()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("worker.main",), id="worker"),
        pytest.param(("worker.sweep",), id="sweeper"),
        pytest.param(("gunicorn",), id="api"),
    ],
)
def test_the_death_of_a_part_ends_all(
    own: Service, words: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """It exits with an error that names the part, rather than limp on without it."""
    name = request.node.callspec.id
    processes = own.processes()

    own.part(*words).kill()

    gone, left = psutil.wait_procs(processes, timeout=600)
    assert left == []
    assert gone
    assert own.wait() == 1
    assert own.said().rstrip().endswith(f"drybeans: {name} was ended by SIGKILL")


def test_a_second_one_in_the_folder_is_refused(embedded: Service) -> None:
    """It says which process has the folder, and the first goes on."""
    second = Service(embedded.folder)

    code = second.launch().wait(600)

    assert code == 1
    assert "drybeans already runs in this folder (process " in embedded.said()
    with embedded.client() as client:
        assert client.get("/healthz").status_code == 200


def test_a_taken_port_is_told(embedded: Service, tmp_path: Path) -> None:
    """Nothing is started, and the sentence says what to type instead."""
    second = Service(tmp_path)
    second.port = embedded.port

    code = second.launch().wait(600)

    assert code == 1
    assert second.said() == (
        f"drybeans: port {embedded.port} is taken by another program; "
        f"choose another: make up PORT={embedded.port + 1}\n"
    )


def test_the_demo_shows_a_table_of_a_running_service(service: Service) -> None:
    """One line for each row of the sample file, with the probability of each class."""
    shown = subprocess.run(
        [sys.executable, "-m", "shared.embedded", "demo"],
        env=os.environ | {"DRYBEANS_URL": service.url},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    head = next(line for line in shown if line.startswith("row"))
    assert head.split() == [
        *("row", "label", "BARBUNYA", "BOMBAY", "CALI", "DERMASON", "HOROZ", "SEKER", "SIRA")
    ]
    lines = shown[shown.index(head) + 1 :]
    assert len(lines[0].split()) == 9
    sample = Path("docs/samples/beans.csv").read_text().splitlines()
    assert lines[len(sample) - 1] == ""
    assert lines[len(sample) - 2].startswith(f"{len(sample) - 2:3} ")


def test_the_demo_starts_a_service_when_there_is_none() -> None:
    """`make demo` works as the first thing that a person types."""
    done = subprocess.run(
        [sys.executable, "-m", "shared.embedded", "demo"],
        env=os.environ | {"DRYBEANS_URL": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "  0 " in done.stdout


class Doctor:
    """Runs the doctor beside a `make up`, with nothing of it in the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRYBEANS_", "MYSQL_"))}
        command = [sys.executable, "-m", "shared.admin", "--var", str(self.folder), "doctor"]
        return subprocess.run(command, env=kept, capture_output=True, text=True, check=False)

    def until(self, sentence: str) -> subprocess.CompletedProcess[str]:
        """Run until the doctor says `sentence`."""
        found: list[subprocess.CompletedProcess[str]] = []

        def says() -> bool:
            found.append(self())
            return sentence in found[-1].stdout

        wait_for(says, every=1.0)
        return found[-1]


def test_the_doctor_finds_nothing_wrong_beside_a_healthy_make_up(own: Service) -> None:
    """It finds the database and the Redis of `make up` by itself; afterwards it finds neither."""
    doctor = Doctor(own.folder)

    well = doctor()
    own.stop()
    ill = doctor()

    assert well.returncode == 0, well.stdout
    assert well.stdout.endswith("\nNo problems found.\n")
    for kind in ("API processes", "Workers", "Sweepers"):
        assert f"ok       processes  {kind} that report: " in well.stdout
    assert "warning" not in well.stdout
    assert ill.returncode == 1
    assert "wrong    redis" in ill.stdout
    assert not (own.folder / "places.env").exists()


def test_the_doctor_notices_a_sweeper_that_hangs(own: Service) -> None:
    """Though nothing waits, so that nothing is overdue; and that it goes on again."""
    doctor = Doctor(own.folder)
    sweeper = own.part("worker.sweep")
    name = f"sweeper-{sweeper.pid}@{socket.gethostname()}"
    sweeper.suspend()

    ill = doctor.until("No sweeper reported in the last 30 s.")

    assert ill.returncode == 1
    assert "wrong    processes  No sweeper reported in the last 30 s." in ill.stdout
    assert f"Sweepers that died or hang: {name} (" in ill.stdout
    assert ill.stdout.endswith("\n1 problem found.\n")
    sweeper.resume()
    doctor.until("\nNo problems found.\n")


def test_the_doctor_notices_a_worker_that_was_killed(own: Service) -> None:
    """A second one beside that of `make up`, whose death ends nothing."""
    doctor = Doctor(own.folder)
    worker = own.second_worker()
    name = f"worker-{worker.pid}@{socket.gethostname()}"
    doctor.until(name)
    main = psutil.Process(worker.pid)
    for process in [main, *main.children(recursive=True)]:
        process.kill()
    worker.wait()

    told = doctor.until("that died or hang")

    assert f"warning  processes  Workers that died or hang: {name} (" in told.stdout
    assert told.stdout.endswith("\nNo problems found.\n")
