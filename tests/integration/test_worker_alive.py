"""The worker's health, with a Redis that answers and one that does not."""

from pathlib import Path

import pytest

from worker import alive


def test_a_worker_that_is_deaf_while_redis_speaks_is_ill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    """It is up, takes nothing, and only a restart helps."""
    monkeypatch.setenv("DRYBEANS_REDIS_URL", redis_url)

    wrong = alive.main([str(tmp_path / "alive"), "180"])

    assert wrong == "no sign of life for inf s"


def test_a_worker_that_cannot_beat_for_want_of_redis_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart would not bring Redis back, and would delay the worker's own return."""
    monkeypatch.setenv("DRYBEANS_REDIS_URL", "redis://127.0.0.1:1/0")

    assert alive.main([str(tmp_path / "alive"), "180"]) is None
