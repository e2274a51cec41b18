"""Fixtures of the integration tests: the whole service in this process, on real servers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.service import MODEL_ROOT, Service
from worker.models.loader import ModelLoader


@pytest.fixture(scope="session")
def models() -> ModelLoader:
    """The project's own models, each loaded once for all tests."""
    return ModelLoader(MODEL_ROOT)


@pytest.fixture
def start(
    database_url: str, redis_url: str, models: ModelLoader
) -> Iterator[Callable[..., Service]]:
    """Starts the API and a worker in this process with the settings that it is given."""
    with ExitStack() as running:

        def start_service(**settings: Any) -> Service:
            service = Service(database_url, redis_url, **({"models": models} | settings))
            running.callback(service.stop)
            return service

        yield start_service


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """The API and a worker in this process, on each kind of database in turn."""
    return start()
