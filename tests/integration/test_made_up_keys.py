"""Made-up API keys and requests over the limit, with a real Redis."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event

from api.http.auth import KeyAuthenticator
from api.http.rate_limit import RateLimiter
from shared.db.engine import Database
from shared.domain.errors import KeyWrong
from shared.domain.keys import checksum, new_key_id
from tests.api_process import ApiProcess
from tests.integration.test_api_keys import Client, a_client, add_api_key
from tests.service import Service


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """A service that asks for keys."""
    return start(api_keys=True)


@contextmanager
def key_queries() -> Iterator[list[str]]:
    """Record every statement that reads API keys."""
    seen: list[str] = []

    def note(*call: Any) -> None:
        if "api_keys" in call[2]:
            seen.append(call[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _status_of(service: Service, text: str) -> int:
    return service.client.get("/jobs", headers={"Authorization": f"Bearer {text}"}).status_code


def test_a_wrong_checksum_is_refused_without_a_query(service: Service) -> None:
    """Whatever the rest of the key says."""
    texts = [f"dbk_{new_key_id()}_{'x' * 43}{number:06}" for number in range(50)]

    with key_queries() as seen:
        assert {_status_of(service, text) for text in texts} == {401}

    assert seen == []


def test_an_unknown_key_that_is_repeated_costs_one_query(service: Service) -> None:
    """Its absence is remembered for some seconds."""
    text = f"dbk_{new_key_id()}_{'x' * 43}"

    with key_queries() as seen:
        assert {_status_of(service, text + checksum(text)) for _ in range(5)} == {401}

    assert len(seen) == 1


def test_a_key_without_a_checksum_continues_to_work(service: Service) -> None:
    """As the first release made them."""
    client = a_client(service)

    assert Client(service, client.id, client.secret[:-6]).submit().status_code == 202


def test_made_up_keys_evict_no_valid_key(database: Database, redis_url: str) -> None:
    """Ten times as many of them as are remembered; the valid key is still cached."""
    authenticator = KeyAuthenticator(
        database, RateLimiter(redis_url), clock=lambda: 0.0, max_unknown=5
    )
    key_id, secret = add_api_key(database)
    assert authenticator.authenticate(f"Bearer {secret}").owner == key_id
    for _ in range(50):
        with pytest.raises(KeyWrong):
            authenticator.authenticate(f"Bearer dbk_{new_key_id()}_{'x' * 43}")

    with key_queries() as seen:
        assert authenticator.authenticate(f"Bearer {secret}").owner == key_id

    assert seen == []


def test_two_processes_count_the_requests_of_a_key_together(
    database_url: str, database: Database, redis_url: str, tmp_path: Path
) -> None:
    """One request in a quarter of an hour is one, whichever process is asked."""
    settings = {
        "DRYBEANS_DATABASE_URL": database_url,
        "DRYBEANS_REDIS_URL": redis_url,
        "DRYBEANS_API_PROCESSES": "2",
        "DRYBEANS_API_KEYS": "true",
    }
    _, secret = add_api_key(database, requests_per_second=0.001)
    limits = httpx.Limits(max_keepalive_connections=0)
    headers = {"Authorization": f"Bearer {secret}"}

    async def ask(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(
            base_url=url, headers=headers, trust_env=False, timeout=300, limits=limits
        ) as client:
            return list(await asyncio.gather(*[client.get("/jobs") for _ in range(40)]))

    with ApiProcess(tmp_path / "api", settings) as api:
        responses = asyncio.run(ask(api.url))

    assert Counter(response.status_code for response in responses) == {200: 1, 429: 39}


def test_without_redis_each_process_counts_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is refused because of Redis, the log says so, and the limit still holds."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        url = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
    limiter = RateLimiter(url)

    with caplog.at_level(logging.WARNING):
        assert [limiter.allows("a", 0.001) for _ in range(3)] == [True, False, False]

    assert [record.message for record in caplog.records] == ["requests_counted_locally"]
