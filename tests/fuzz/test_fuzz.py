"""The bounded form of the fuzz: some hundred requests, to every operation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service
from tests.fuzz.run import Fuzz
from tests.fuzz.stage import guarded_service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    # schemathesis uses what its own dependencies are about to drop.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def guarded(server_folder: Path) -> Iterator[tuple[Service, str]]:
    """All parts with API keys on, and a key."""
    with guarded_service(server_folder / "fuzz") as started:
        yield started


def test_every_generated_request_gets_a_documented_answer(guarded: tuple[Service, str]) -> None:
    """No 5xx, and no status, type, header or member that the document does not have."""
    service, key = guarded

    report = Fuzz(service.url, key).run(300, first_seed=1)

    assert report.failures == {}
    assert {200, 202, 404, 422} <= set(report.statuses)
    assert len(report.operations) > 20


def test_without_a_key_nothing_but_what_is_public_is_answered(
    guarded: tuple[Service, str],
) -> None:
    """401 for all the rest, whatever is sent."""
    service, _ = guarded

    report = Fuzz(service.url).run(100, first_seed=1)

    assert report.failures == {}
    assert set(report.statuses) <= {200, 401, 405}
    assert report.statuses[401] > 50
