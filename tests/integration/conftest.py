"""Fixtures of the integration tests: the whole service in this process, on real servers."""

from collections.abc import Iterator

import pytest

from tests.service import MODEL_ROOT, Service
from worker.models import Models


@pytest.fixture(scope="session")
def models() -> Models:
    """The project's own models, each loaded once for all tests."""
    return Models(MODEL_ROOT)


@pytest.fixture
def service(database_url: str, redis_url: str, models: Models) -> Iterator[Service]:
    """The API and a worker in this process, on each kind of database in turn."""
    running = Service(database_url, redis_url, models=models)
    yield running
    running.stop()
