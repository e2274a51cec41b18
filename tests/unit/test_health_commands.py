"""The commands that probes and image builds run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.observability.heartbeat_file import HeartbeatFile
from worker import alive
from worker.models import verify as prove

_MODELS = Path(__file__).parents[2] / "model_artifacts"


def test_a_worker_that_beat_lately_is_well(tmp_path: Path) -> None:
    """And Redis is not asked."""
    file = tmp_path / "alive"
    HeartbeatFile(file).beat()

    assert alive.main([str(file), "180"]) is None


def test_every_artifact_proves_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """What is committed can be shipped."""
    assert prove.main([str(_MODELS)]) is None
    assert "drybeans@1 proved itself" in capsys.readouterr().out


def test_a_changed_artifact_stops_the_build(tmp_path: Path) -> None:
    """The command ends with an error that says why."""
    folder = shutil.copytree(_MODELS, tmp_path / "models")
    model = folder / "drybeans" / "1" / "model.skops"
    model.write_bytes(model.read_bytes()[:-1])

    done = subprocess.run(
        [sys.executable, "-m", "worker.models.verify", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(_MODELS.parent)},
    )

    assert done.returncode == 1
    assert done.stderr.startswith("prove: ")


def test_a_folder_without_models_stops_the_build(tmp_path: Path) -> None:
    """An image that can do nothing is a mistake."""
    assert prove.main([str(tmp_path)]) == f"prove: there is no model in {tmp_path}"
