"""A full disk under SQLite: refused while it lasts, and nothing accepted is harmed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.db.engine import open_database
from shared.db.migrate import upgrade
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN
from worker.models.loader import ModelLoader


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB, which root can mount on Linux."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("NOT TESTED: a full disk: mounting one needs root on Linux")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("NOT TESTED: a full disk: this machine lets nobody mount")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Fill `disk` to its last byte with a file."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


def test_a_full_disk_refuses_work_and_spoils_none(
    small_disk: Path, redis_url: str, models: ModelLoader
) -> None:
    """503 while the disk is full; what was accepted before is finished when there is room again."""
    url = f"sqlite:///{small_disk / 'drybeans.db'}"
    database = open_database(url)
    upgrade(database)
    database.close()
    service = Service(url, redis_url, models=models, republish_seconds=0.05)
    bulk = {"instances": [BEAN] * 5000}

    def submit() -> int:
        return service.client.post("/jobs", json=bulk).status_code

    accepted = service.client.post("/jobs", json=bulk).get_json()["id"]
    filler = fill(small_disk)
    answers = [submit() for _ in range(5)]
    filler.unlink()

    assert set(answers) <= {202, 503}
    assert 503 in answers
    wait_for(lambda: submit() == 202)
    done = service.finish(accepted)
    assert (done["state"], done["rows"]["succeeded"]) == ("succeeded", 5000)
    service.stop()
