"""The images themselves: built for real, started as they are shipped, and given work.

Needs the tool that DRYBEANS_TEST_IMAGE_TOOL names: `TOOL FOLDER` builds both images,
`TOOL run IMAGE COMMAND…` runs a command in one.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pytest

from shared.db.engine import open_database
from tests.servers import RedisServer, free_port
from tests.servers.reaper import end_with_this_process
from tests.servers.schema import create_database, drop_database
from tests.unit.test_dockerfiles import last

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

_ROOT: Final = Path(__file__).parents[2]
_BEAN: Final = [
    *(33958.0, 677.1, 253.69, 171.05, 1.48, 0.74, 34241.0, 207.93),
    *(0.82, 0.99, 0.93, 0.82, 0.01, 0.0, 0.67, 1.0),
]
_ROWS: Final = 5_000


class Container:
    """One command in one image, running as the image says."""

    def __init__(self, image: str, environment: dict[str, str], log: Path, *command: str) -> None:
        self.log = log
        pairs = [f"{name}={value}" for name, value in environment.items()]
        words = [*command] or json.loads(last(image, "CMD"))
        with log.open("wb") as output:
            self._tool = subprocess.Popen(
                [tool(), "run", f"localhost/drybeans-{image}:test", "env", *pairs, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        end_with_this_process(self._tool.pid)

    def wait(self, seconds: float) -> int:
        """Wait for the command to end; give its exit code."""
        return self._tool.wait(seconds)

    def processes(self) -> list[psutil.Process]:
        """The command's own processes, the first one first; not those of the tool around it."""
        around = psutil.Process(self._tool.pid).children(recursive=True)
        inside = [process for process in around if process.uids().real == 10001]
        return [p for p in inside if not p.cmdline()[0].startswith("buildah")]

    def stop(self) -> int:
        """End the command as Kubernetes does, with SIGTERM to its first process."""
        if self._tool.poll() is None:
            for process in self.processes()[:1]:
                process.terminate()
        return self.wait(600)


def tool() -> str:
    """The tool that builds and runs images; skips the test, loudly, where there is none."""
    given = os.environ.get("DRYBEANS_TEST_IMAGE_TOOL", "")
    if not given:
        pytest.skip("NOT TESTED: the images: DRYBEANS_TEST_IMAGE_TOOL names no tool to build them")
    return given


@pytest.fixture(scope="module")
def images() -> None:
    """Build both images from the files as they are."""
    done = subprocess.run(
        [tool(), str(_ROOT)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    print(done.stdout)  # noqa: T201 - their sizes
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def database_server(request: pytest.FixtureRequest) -> str:
    """A MySQL where there is one, else a MariaDB."""
    real = {"DRYBEANS_TEST_DATABASE_URL", "DRYBEANS_TEST_MYSQL_TOOL"} & os.environ.keys()
    url: str = request.getfixturevalue("mysql" if real else "mariadb")
    return url


@pytest.fixture(scope="module")
def environment(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[dict[str, str]]:
    """What the containers are told: a database of their own, and a Redis of their own."""
    request.getfixturevalue("images")
    database_server: str = request.getfixturevalue("database_server")
    url = create_database(database_server)
    with RedisServer(server_folder / "redis-of-images") as redis:
        yield {
            "DRYBEANS_DATABASE_URL": url,
            "DRYBEANS_REDIS_URL": redis.url,
            "DRYBEANS_HOST": "127.0.0.1",
            "DRYBEANS_PORT": str(free_port()),
            "DRYBEANS_API_KEYS": "true",
            "DRYBEANS_WORKERS": "1",
        }
    drop_database(url)


@pytest.fixture(scope="module")
def containers(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Container]]:
    """All parts, each from the image that compose and Kubernetes run it from."""
    logs = tmp_path_factory.mktemp("containers")
    migrate = Container("api", environment, logs / "migrate", "python", "-m", "shared.db.migrate")
    assert migrate.wait(600) == 0, migrate.log.read_text()
    admin = ("python", "-m", "shared.admin", "keys", "create", "--name", "test")
    key = Container("api", environment, logs / "key", *admin)
    assert key.wait(600) == 0, key.log.read_text()
    environment["KEY"] = key.log.read_text().split()[0]
    flower = {
        "CELERY_BROKER_URL": environment["DRYBEANS_REDIS_URL"],
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(free_port()),
        "FLOWER_BASIC_AUTH": "operator:secret",
        "FLOWER_READ_ONLY": "true",
        "FLOWER_MAX_TASKS": "5000",
        "FLOWER_PURGE_OFFLINE_WORKERS": "300",
    }
    environment["FLOWER"] = f"http://127.0.0.1:{flower['FLOWER_PORT']}"
    running = {
        "api": Container("api", environment, logs / "api"),
        "worker": Container("worker", environment, logs / "worker"),
        "sweeper": Container(
            "worker", environment, logs / "sweeper", "python", "-m", "worker.sweep"
        ),
        "flower": Container("worker", flower, logs / "flower", "celery", "flower"),
    }
    yield running
    for container in running.values():
        container.stop()


@pytest.fixture
def client(environment: dict[str, str], containers: dict[str, Container]) -> Iterator[httpx.Client]:
    """A client of the API, when it is ready."""
    url = f"http://127.0.0.1:{environment['DRYBEANS_PORT']}"
    known = {"Authorization": f"Bearer {environment['KEY']}"}
    with httpx.Client(base_url=url, timeout=600, trust_env=False, headers=known) as opened:
        eventually(lambda: opened.get("/readyz").status_code == 200, containers["api"])
        yield opened


def eventually(look: Callable[[], Any], container: Container, seconds: float = 3600) -> Any:
    """Look until there is something to see; show the container's log when there never is."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if seen := look():
                return seen
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(container.log.read_text()[-5000:])


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("image", ["api", "worker"])
def test_nothing_in_an_image_can_be_written_but_temporary_files(image: str) -> None:
    """So a read-only file system takes nothing away."""
    systems = "( -path /proc -o -path /sys -o -path /dev )"
    look = f"find / -xdev {systems} -prune -o -writable ! -type l -print"
    done = subprocess.run(
        [tool(), "run", f"localhost/drybeans-{image}:test", *look.split()],
        capture_output=True,
        text=True,
        check=False,
    )

    assert set(done.stdout.split()) <= {"/tmp", "/var/tmp", "/run/lock"}  # noqa: S108


@pytest.mark.usefixtures("images")
def test_the_apis_image_holds_no_numbers(tmp_path: Path) -> None:
    """No numpy, pandas or scikit-learn, and so a third of the worker's size on top of its base."""
    code = (
        "import importlib.util, sys;"
        "sys.exit(any(map(importlib.util.find_spec, ['numpy', 'pandas', 'sklearn'])))"
    )

    assert Container("api", {}, tmp_path / "log", "python", "-c", code).wait(600) == 0


def test_a_stranger_is_refused(client: httpx.Client) -> None:
    """Keys are on, as compose and Kubernetes have them."""
    assert httpx.get(f"{client.base_url}/jobs", trust_env=False).status_code == 401


def test_a_bean_goes_through_the_images(client: httpx.Client) -> None:
    """The walkthrough's own request."""
    answer = client.post("/predict", json={"data": json.dumps([_BEAN])})

    assert answer.json() == {"predictions": '["DERMASON"]'}


def test_a_csv_goes_through_the_images(
    client: httpx.Client, containers: dict[str, Container]
) -> None:
    """Cut by the API, parsed and labelled by the worker, with its bad row named."""
    names = [f["name"] for f in client.get("/models/drybeans/2").json()["features"]]
    good = ",".join(map(str, _BEAN))
    lines = [",".join(names), *[good] * _ROWS, good.replace("33958.0", "round")]
    job = client.post(
        "/jobs", content="\n".join(lines) + "\n", headers={"Content-Type": "text/csv"}
    ).json()

    def finished() -> Any:
        now = client.get(f"/jobs/{job['id']}").json()
        return now if now["state"] in {"succeeded", "partial", "failed"} else None

    done = eventually(finished, containers["worker"])
    labels = client.get(f"/jobs/{job['id']}/results", headers={"Accept": "text/csv"}).text

    assert (done["state"], done["rows"]) == (
        "partial",
        {"total": _ROWS + 1, "succeeded": _ROWS, "failed": 1},
    )
    assert labels.count("DERMASON") == _ROWS


def test_the_worker_is_no_root_and_says_so_to_celery(
    client: httpx.Client, containers: dict[str, Container]
) -> None:
    """Celery takes an account without a name for root, and warns at each start."""
    client.post("/predict", json={"data": json.dumps([_BEAN])})

    assert {p.uids().real for p in containers["worker"].processes()} == {10001}
    assert "superuser" not in containers["worker"].log.read_text()


def test_flower_shows_the_worker_to_those_who_know_the_password(
    client: httpx.Client, containers: dict[str, Container], environment: dict[str, str]
) -> None:
    """And its health to everyone."""
    client.post("/predict", json={"data": json.dumps([_BEAN])})
    page = f"{environment['FLOWER']}/api/workers?refresh=1"
    knows = httpx.BasicAuth("operator", "secret")

    with httpx.Client(timeout=600, trust_env=False) as flower:
        health = eventually(
            lambda: flower.get(f"{environment['FLOWER']}/healthcheck"), containers["flower"]
        )
        workers = eventually(lambda: flower.get(page, auth=knows).json(), containers["flower"])
        stranger = flower.get(page)

    assert health.status_code == 200
    assert len(workers) == 1
    assert stranger.status_code == 401


def test_every_part_ends_well_when_it_is_told_to(
    client: httpx.Client, containers: dict[str, Container], environment: dict[str, str]
) -> None:
    """SIGTERM to process 1 is enough, and what was accepted is there. The last test of the file."""
    job = client.post("/jobs", json={"instances": [_BEAN]}, headers={"Prefer": "wait=30"}).json()
    for name, container in containers.items():
        memory = sum(p.memory_full_info().pss for p in container.processes()) >> 20
        print(f"{name}: {memory} MiB")  # noqa: T201 - for docs/running.md

    codes = {name: container.stop() for name, container in containers.items()}

    assert codes == dict.fromkeys(containers, 0)
    database = open_database(environment["DRYBEANS_DATABASE_URL"])
    state = database.read(
        lambda c: c.exec_driver_sql("SELECT state FROM jobs WHERE id = %s", (job["id"],)).scalar()
    )
    database.close()
    assert state == "succeeded"
