"""The running service, on SQLite and on each real server in turn, and a browser to look at it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.chaos.proxy import Proxy
from tests.e2e.browser import open_browser, open_page
from tests.e2e.service import Service
from tests.servers import RedisServer, ServerMissing
from tests.servers.schema import create_database, drop_database


@pytest.fixture(scope="session", params=["embedded", "mariadb", "mysql"])
def service(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[Service]:
    """All parts, running: with what they embed, and on a real database and Redis."""
    folder = server_folder / f"up-{request.param}"
    if request.param == "embedded":
        yield from _run(Service(folder))
        return
    database = create_database(request.getfixturevalue(request.param))
    # Not the one that other tests flush and publish to.
    with RedisServer(folder / "redis") as redis:
        given = {"DRYBEANS_DATABASE_URL": database, "DRYBEANS_REDIS_URL": redis.url}
        yield from _run(Service(folder, given))
    drop_database(database)


def _run(service: Service) -> Iterator[Service]:
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def embedded(server_folder: Path) -> Iterator[Service]:
    """All parts with what they embed, for the pages: they see no difference."""
    yield from _run(Service(server_folder / "up-pages"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser of this module: while it runs this thread has an event loop, which others mind."""
    with ExitStack() as running:
        try:
            opened = running.enter_context(open_browser())
        except ServerMissing as error:
            message = f"NOT TESTED: the pages: {error}; tests/servers/install.sh installs it"
            if os.environ.get("CI") == "true":
                pytest.fail(message, pytrace=False)
            pytest.skip(message)
        yield opened


@pytest.fixture
def open_at(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page in a session of its own, at a service's address and with a context's options."""
    with ExitStack() as opened:
        yield lambda url, **options: opened.enter_context(open_page(browser, url, **options))


@pytest.fixture
def page(embedded: Service, open_at: Callable[..., Page]) -> Page:
    """A page that knows the running service's address."""
    return open_at(embedded.url)


@pytest.fixture
def proxied(embedded: Service, open_at: Callable[..., Page]) -> Iterator[tuple[Page, Proxy]]:
    """A page that reaches the service through a proxy, which can be cut."""
    with Proxy(embedded.port) as proxy:
        yield open_at(f"http://127.0.0.1:{proxy.port}"), proxy


@pytest.fixture
def idle(embedded: Service) -> Iterator[Callable[[], Any]]:
    """Stops the workers from working; what it gives lets them work on."""
    worker = embedded.part("worker.main")
    processes = [worker, *worker.children(recursive=True)]
    for process in processes:
        process.suspend()

    def resume() -> None:
        for process in processes:
            process.resume()

    yield resume
    resume()
