"""API keys at the door: who comes in, how often, and that nobody sees what is another's."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import pytest
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from shared.db.api_keys import add_key, read_api_key, revoke_key
from shared.db.engine import Database
from shared.domain.keys import ApiKey, new_key_id, new_secret
from shared.observability.logs import EventFormatter
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN

# Written out once more: whoever opens another has to say so here too.
_PUBLIC: Final = {
    *("static", "home.home", "home.jobs", "home.job", "home.models", "home.model"),
    *("documents.docs", "documents.docs_asset", "documents.openapi"),
    *("health.healthz", "health.readyz", "protocols.live", "protocols.ready"),
}


@dataclass(frozen=True, slots=True)
class Client:
    """A client with a key of its own."""

    service: Service
    id: str
    secret: str

    def open(self, path: str, *, method: str = "GET", **options: Any) -> TestResponse:
        """Make a request with the key."""
        headers = {"Authorization": f"Bearer {self.secret}"} | options.pop("headers", {})
        return self.service.client.open(path, method=method, headers=headers, **options)

    def submit(self, **options: Any) -> TestResponse:
        """POST a job of one bean."""
        return self.open("/jobs", method="POST", json={"instances": [BEAN]}, **options)


def add_api_key(database: Database, **quotas: Any) -> tuple[str, str]:
    """Store a key with `quotas` and return its id and its text."""
    key_id = new_key_id()
    secret = new_secret(key_id)
    values = {"previous_hash": None, "previous_until": None, "last_used_at": None}
    values |= {"revoked_at": None, "requests_per_second": None, "queued_rows": None} | quotas
    key = ApiKey(
        id=key_id, name="test", secret_hash=secret.hash, created_at=datetime.now(UTC), **values
    )
    database.write(lambda c: add_key(c, key))
    return key_id, secret.text


def a_client(service: Service, **quotas: Any) -> Client:
    """Make a key with `quotas` and a client that holds it."""
    return Client(service, *add_api_key(service.database, **quotas))


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """A service that asks for keys."""
    return start(api_keys=True)


def _job_routes(service: Service) -> list[tuple[str, str]]:
    """Every method and path under which there is something of one job."""
    return [
        (method, rule.rule)
        for rule in service.client.application.url_map.iter_rules()
        # Pages hold nothing of a job: their scripts ask for it, with the key that they are given.
        if "job_id" in rule.arguments and not rule.endpoint.startswith("home.")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def test_no_route_shows_or_changes_another_keys_job(service: Service) -> None:
    """Every route with a job's id answers 404, as if there were no such job; none is forgotten."""
    mine, other = a_client(service), a_client(service)
    job = mine.submit().get_json()["id"]
    service.work_until(lambda: mine.open(f"/jobs/{job}").get_json()["state"] == "succeeded")
    before = mine.open(f"/jobs/{job}").get_json()
    routes = _job_routes(service)
    assert len(routes) >= 8

    for method, rule in routes:
        path = rule.replace("<job_id>", job)
        assert "<" not in path, "say here what else the route needs"
        answers = {
            name: client.open(path, method=method)
            for name, client in (("another's", other), ("its own", mine))
            if name == "another's" or method == "GET"
        }
        assert answers["another's"].status_code == 404, (method, rule)
        assert answers["another's"].get_json()["code"] == "job_not_found", (method, rule)
        if method == "GET":
            assert answers["its own"].status_code == 200, (method, rule)
        for answer in answers.values():
            answer.close()

    assert mine.open(f"/jobs/{job}").get_json() == before


def _answer(service: Service, rule: Rule, method: str) -> TestResponse:
    path = re.sub(r"<(?:\w+:)?\w+>", "x", rule.rule)
    return service.client.open(path, method=method)


def test_every_route_but_the_public_ones_asks_for_a_key(service: Service) -> None:
    """401 and how to come in; walks all routes, so that a new one cannot be left open."""
    opened = set()
    for rule in service.client.application.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            with _answer(service, rule, method) as answer:
                if answer.status_code != 401:
                    opened.add(rule.endpoint)
                    continue
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert answer.get_json()["code"] == "api_key_missing"

    assert opened == _PUBLIC


def test_lists_and_idempotency_keys_are_separate(service: Service) -> None:
    """The same Idempotency-Key of two API keys makes two jobs, and each lists its own."""
    one, two = a_client(service), a_client(service)

    jobs = [client.submit(headers={"Idempotency-Key": "same"}).get_json() for client in (one, two)]

    assert jobs[0]["id"] != jobs[1]["id"]
    for client, job in zip((one, two), jobs, strict=True):
        listed = client.open("/jobs").get_json()["jobs"]
        assert [each["id"] for each in listed] == [job["id"]]


@pytest.mark.parametrize(
    "shown", ["Bearer dbk_x", "Bearer", "Basic dXNlcjpwYXNz", "Bearer dbk_aaaaaaaaaaaa_" + "x" * 43]
)
def test_a_wrong_key_is_refused_and_written_down(
    service: Service, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The record says who was refused and where, and nothing of what was shown."""
    with caplog.at_level(logging.WARNING):
        answer = service.client.get("/jobs", headers={"Authorization": shown})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    (record,) = [r for r in caplog.records if r.message == "refused"]
    assert vars(record)["path"] == "/jobs"
    assert vars(record)["address"] == "127.0.0.1"
    assert "dbk_" not in repr(vars(record))
    assert "dXNlcjpwYXNz" not in repr(vars(record))


@pytest.mark.parametrize("style", ["text", "json"])
def test_the_record_of_a_refusal_stays_on_its_line(
    service: Service, style: Literal["text", "json"], caplog: pytest.LogCaptureFixture
) -> None:
    """A path with a line break in it forges no second line."""
    with caplog.at_level(logging.WARNING):
        service.client.get("/jobs/x%0a00:00:00.000 info forged")

    (record,) = [r for r in caplog.records if r.message == "refused"]
    assert "\n" not in EventFormatter(style).format(record)


def test_a_revoked_key_is_refused(service: Service, database: Database) -> None:
    """At once where it was not seen before; everywhere within seconds."""
    client = a_client(service)
    database.write(lambda c: revoke_key(c, client.id))

    assert client.open("/jobs").get_json()["code"] == "api_key_wrong"


def test_the_use_of_a_key_is_noted(service: Service) -> None:
    """So that an operator finds keys that nobody uses."""
    client = a_client(service)

    client.open("/jobs")

    key = service.database.read(lambda c: read_api_key(c, client.id))
    assert key is not None
    assert key.last_used_at is not None


def test_a_key_may_ask_only_so_often(service: Service) -> None:
    """429 and when to come again; another key is not affected."""
    limited, free = a_client(service, requests_per_second=1.0), a_client(service)

    answers = [limited.open("/jobs") for _ in range(4)]

    refused = answers[-1]
    assert answers[0].status_code == 200
    assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
    assert int(refused.headers["Retry-After"]) >= 1
    assert free.open("/jobs").status_code == 200


def test_a_key_may_have_only_so_many_rows_waiting(service: Service) -> None:
    """429 until some of them are done; looking is still allowed, and so is another key."""
    client, other = a_client(service, queued_rows=1), a_client(service)
    answers: list[TestResponse] = []

    def refused() -> bool:
        # The count of rows is a second old at most.
        answers.append(client.submit())
        return answers[-1].status_code != 202

    wait_for(refused, every=0.1)

    assert len(answers) > 1
    assert answers[-1].status_code == 429
    assert answers[-1].get_json()["code"] == "quota_exceeded"
    assert "Retry-After" in answers[-1].headers
    assert client.open("/jobs").status_code == 200
    assert other.submit().status_code == 202


def test_where_keys_are_off_nobody_is_asked(start: Callable[..., Service]) -> None:
    """As on one machine."""
    assert start().client.get("/jobs").status_code == 200


def test_a_key_does_not_permit_reading_metrics(service: Service) -> None:
    """Metrics cover the jobs of all keys; Prometheus has a separate port."""
    answer = a_client(service).open("/metrics")

    assert (answer.status_code, answer.get_json()["code"]) == (403, "not_permitted")
    assert answer.get_json()["detail"] == (
        "An API key does not permit reading metrics, which cover the jobs of all keys. They "
        "are served on the port of DRYBEANS_METRICS_PORT."
    )
