"""Webhooks from the job to the receiver: who is told, how often, and what its owner can see."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update
from standardwebhooks.webhooks import Webhook

from shared.db.schema import deliveries, jobs
from shared.db.types import now
from shared.domain.webhooks import DELAYS, show_secret
from shared.observability.metrics import SweepMetrics
from tests.receiver import Receiver, receiving
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN
from worker.webhooks.dispatcher import WebhookDispatcher, new_dispatcher

SECRET = show_secret(b"s" * 32)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with receiving() as running:
        yield running


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """A service that signs webhooks and may send them to loopback."""
    return start(
        webhook_secrets=SecretStr(SECRET), webhook_networks="127.0.0.0/8", sweep_seconds=0.02
    )


@pytest.fixture
def courier(service: Service) -> Iterator[WebhookDispatcher]:
    """A courier at work, as in the sweeper."""
    made = new_dispatcher(service.settings, SweepMetrics())
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=[stop])
    thread.start()
    yield made
    stop.set()
    thread.join()
    made.database.close()


def submit_to(service: Service, url: str) -> str:
    """Submit a bean with a webhook, run it, and give its id."""
    answer = service.client.post("/jobs", json={"instances": [BEAN], "webhook": url})
    assert answer.status_code == 202, answer.text
    job: str = answer.get_json()["id"]
    assert answer.get_json()["webhook"]["state"] == "waiting"
    assert service.finish(answer.get_json()["id"])["state"] == "succeeded"
    return job


def webhook_of(service: Service, job: str) -> dict[str, Any]:
    """Read what the job's document says of its webhook."""
    document: dict[str, Any] = service.client.get(f"/jobs/{job}").get_json()["webhook"]
    return document


def hurry(service: Service) -> None:
    """Let the time come for every next attempt."""
    service.database.write(lambda c: c.execute(update(deliveries).values(next_attempt_at=now())))


def failed_with(service: Service, job: str, status: int) -> bool:
    """Return whether the last attempt was answered with `status`."""
    return bool(webhook_of(service, job)["last_status"] == status)


def delivered(service: Service, job: str) -> bool:
    """Return whether the receiver has taken it."""
    return bool(webhook_of(service, job)["state"] == "delivered")


def counted(courier: WebhookDispatcher, outcome: str) -> float | None:
    """Return how many attempts came to `outcome`."""
    name = "drybeans_webhook_attempts_total"
    return courier.metrics.registry.get_sample_value(name, {"outcome": outcome})


@pytest.mark.usefixtures("courier")
def test_a_receiver_is_told_that_a_job_has_finished(service: Service, receiver: Receiver) -> None:
    """Signed, thin and once; the job's document says that it was delivered."""
    job = submit_to(service, receiver.url)

    wait_for(partial(delivered, service, job))

    (got,) = receiver.got
    document = Webhook(SECRET).verify(got.body, got.headers)
    assert (document["type"], document["data"]["id"]) == ("job.succeeded", job)
    seen = webhook_of(service, job)
    assert (seen["attempts"], seen["last_status"], seen["next_attempt_at"]) == (1, 204, None)


@pytest.mark.usefixtures("courier")
def test_an_attempt_that_fails_is_made_again_under_the_same_id(
    service: Service, receiver: Receiver
) -> None:
    """The receiver can tell that it is the same message."""
    receiver.statuses = [500, 503, 200]
    job = submit_to(service, receiver.url)

    for status in (500, 503):
        wait_for(partial(failed_with, service, job, status))
        hurry(service)
    wait_for(partial(delivered, service, job))

    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert len(receiver.got) == 3


@pytest.mark.usefixtures("courier")
@pytest.mark.parametrize("status, state", [(410, "gone"), (302, "pending")])
def test_what_the_receiver_answers_decides(
    service: Service, receiver: Receiver, status: int, state: str
) -> None:
    """410 is the end of it; another failure is tried again after a while."""
    receiver.statuses = [status]
    job = submit_to(service, receiver.url)

    wait_for(lambda: webhook_of(service, job)["last_status"] == status)

    assert webhook_of(service, job)["state"] == state


def test_a_receiver_that_asks_for_peace_gets_it(
    service: Service, receiver: Receiver, courier: WebhookDispatcher
) -> None:
    """`Retry-After` puts the next attempt off; what attempts came to is counted."""
    receiver.statuses, receiver.headers = [503], {"Retry-After": "3600"}
    job = submit_to(service, receiver.url)

    wait_for(lambda: webhook_of(service, job)["last_status"] == 503)

    seen = webhook_of(service, job)
    last, following = (
        datetime.fromisoformat(seen[f"{which}_attempt_at"]) for which in ("last", "next")
    )
    assert timedelta(hours=1) <= following - last < timedelta(hours=1.2)
    wait_for(lambda: counted(courier, "again") == 1)
    assert counted(courier, "delivered") == 0


@pytest.mark.usefixtures("courier")
def test_a_delivery_that_was_given_up_can_be_asked_for_again(
    service: Service, receiver: Receiver
) -> None:
    """Its attempts begin anew; the message keeps its id."""
    receiver.statuses = [500, 200]
    job = submit_to(service, receiver.url)
    wait_for(lambda: webhook_of(service, job)["last_status"] == 500)
    last = update(deliveries).values(attempts=len(DELAYS) + 1, state="failed")
    service.database.write(lambda c: c.execute(last))
    assert webhook_of(service, job)["state"] == "failed"

    answer = service.client.post(f"/jobs/{job}/webhook/redeliver")

    assert answer.status_code == 202
    wait_for(partial(delivered, service, job))
    assert webhook_of(service, job)["attempts"] == 1


def test_there_is_no_redelivery_of_what_is_not_there(service: Service) -> None:
    """409 says why: the job has not ended, or has no webhook."""
    url = "https://example.com/"
    waiting = service.client.post("/jobs", json={"instances": [BEAN], "webhook": url}).get_json()
    without = service.client.post("/jobs", json={"instances": [BEAN]}).get_json()

    codes = [
        service.client.post(f"/jobs/{job['id']}/webhook/redeliver").get_json()["code"]
        for job in (waiting, without)
    ]

    assert codes == ["job_unfinished", "no_webhook"]


@pytest.mark.usefixtures("courier")
def test_a_slow_receiver_holds_up_no_other(service: Service, receiver: Receiver) -> None:
    """While many messages to one host hang, another host is told at once."""
    receiver.hold.clear()
    slow = [submit_to(service, receiver.url) for _ in range(6)]
    with receiving(host="127.0.0.2") as quick:
        job = submit_to(service, quick.url.replace("127.0.0.1", "127.0.0.2"))
        wait_for(partial(delivered, service, job))

    assert {webhook_of(service, each)["state"] for each in slow} == {"pending"}
    assert len(receiver.got) <= 4
    receiver.hold.set()
    for each in slow:
        wait_for(partial(delivered, service, each))


def test_a_deleted_job_forgets_its_webhook(service: Service, receiver: Receiver) -> None:
    """Its URL may hold a secret of the receiver's."""
    job = submit_to(service, receiver.url)

    assert service.client.delete(f"/jobs/{job}").status_code == 204

    left = service.database.read(lambda c: c.execute(select(deliveries)).all())
    kept = service.database.read(lambda c: c.scalar(select(jobs.c.webhook_url)))
    assert (left, kept) == ([], None)


@pytest.mark.parametrize("way", ["json", "query", "form"])
@pytest.mark.parametrize("url", ["http://10.0.0.1/", "ftp://example.com/", "https://u:p@x.example"])
def test_a_webhook_that_cannot_be_is_refused_at_once(service: Service, way: str, url: str) -> None:
    """422 with a pointer to it, however the option comes."""
    if way == "json":
        answer = service.client.post("/jobs", json={"instances": [BEAN], "webhook": url})
    elif way == "query":
        answer = service.client.post(
            "/jobs", query_string={"webhook": url}, data="x", content_type="text/csv"
        )
    else:
        answer = service.client.post(
            "/jobs", data={"webhook": url, "file": (BytesIO(b"x"), "b.csv")}
        )

    document = answer.get_json()
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in document["errors"]] == ["/webhook"]


def test_without_a_secret_to_sign_with_there_are_no_webhooks(start: Callable[..., Service]) -> None:
    """The refusal names the setting."""
    answer = start().client.post(
        "/jobs", json={"instances": [BEAN], "webhook": "https://example.com/"}
    )

    assert answer.status_code == 422
    assert "DRYBEANS_WEBHOOK_SECRETS" in answer.get_json()["detail"]
