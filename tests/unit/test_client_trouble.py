"""The Python client when something breaks: what it sends again, and where it goes on."""

import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import (
    ClientError,
    Patience,
    Refused,
    Unreachable,
)
from tests.client_answers import Answers, a_client, a_job, a_row, news, torn

BUSY = httpx.Response(503, json={"code": "overloaded", "detail": "Too many rows wait."})


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(BUSY, id="busy"),
        pytest.param(httpx.ReadError("reset"), id="broken"),
        pytest.param(httpx.ConnectError("refused"), id="unreachable"),
        pytest.param(httpx.Response(502, text="<html>"), id="proxy"),
        pytest.param(
            httpx.Response(409, json={"code": "idempotency_key_in_flight", "detail": "Wait."}),
            id="in flight",
        ),
    ],
)
def test_a_stream_is_sent_again_whole_and_under_its_key(failure: Any) -> None:
    """What standard input gave once is kept, so the second try is the same request."""
    answers = Answers(failure, httpx.Response(202, json=a_job()))
    notices: list[str] = []

    with a_client(answers, notice=notices.append) as client:
        client.submit(BytesIO(b"a,b\n" + b"1,2\n" * 100_000))

    first, second = answers.requests
    assert first.content == second.content
    assert len(second.content) == 400_004
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert len(notices) == 1
    assert "trying again" in notices[0]


def test_a_retry_is_not_sent_twice_when_its_answer_is_lost() -> None:
    """Each would make a job; the service has no key to know it by."""
    answers = Answers(httpx.ReadError("reset"))

    with a_client(answers) as client, pytest.raises(Unreachable):
        client.retry("x")

    assert len(answers.requests) == 1


def test_a_retry_that_was_not_received_is_sent_again() -> None:
    """A refused connection, or a service that has too much to do."""
    refused = httpx.ConnectError("refused")
    answers = Answers(refused, BUSY, httpx.Response(202, json=a_job()))

    with a_client(answers) as client:
        client.retry("x")

    assert len(answers.requests) == 3


def test_what_cannot_succeed_is_not_sent_again() -> None:
    """The error has the code, the sentence and every fault of the service."""
    fault = {"pointer": "Area", "code": "missing_column", "detail": "Area is missing."}
    problem = {"code": "request_invalid", "detail": "The header does not fit.", "errors": [fault]}
    answers = Answers(httpx.Response(422, json=problem))

    with a_client(answers) as client, pytest.raises(Refused) as caught:
        client.submit([[1.0]])

    assert caught.value.status == 422
    assert caught.value.code == "request_invalid"
    assert str(caught.value) == "The header does not fit."
    assert [error.detail for error in caught.value.errors] == ["Area is missing."]


def test_patience_ends() -> None:
    """After three tries, and at once when the service asks for more than there is."""
    answers = Answers(*[httpx.ConnectError("refused")] * 3)
    with (
        a_client(answers, patience=Patience(seconds=0.0, first=0.0)) as client,
        pytest.raises(Unreachable, match="http://beans"),
    ):
        client.status("x")

    late = httpx.Response(503, json={}, headers={"Retry-After": "3600"})
    with a_client(Answers(late)) as client, pytest.raises(ClientError):
        client.status("x")


def test_rows_go_on_where_the_connection_broke() -> None:
    """Each row is given once, in order."""
    rows = [json.dumps(a_row(at)).encode() + b"\n" for at in range(4)]
    whole = httpx.Response(200, content=b"".join(rows))
    answers = Answers(torn(rows[0], rows[1], rows[2][:9]), torn(rows[0]), whole)

    with a_client(answers) as client:
        found = [row.row for row in client.results("x")]

    assert found == [0, 1, 2, 3]


def test_a_download_is_whole_or_not_there(tmp_path: Path) -> None:
    """It begins anew when the connection breaks, and replaces its target at the end."""
    target = tmp_path / "out.csv"
    target.write_text("of yesterday")
    with a_client(Answers(torn(b"row,la"), httpx.Response(200, content=b"row,label\n"))) as client:
        client.download("x", target)
    assert target.read_text() == "row,label\n"

    hasty = Patience(seconds=0.0, first=0.0)
    answers = Answers(*(torn(b"half") for _ in range(3)))
    with a_client(answers, patience=hasty) as client, pytest.raises(Unreachable):
        client.download("x", target)
    assert target.read_text() == "row,label\n"
    assert list(tmp_path.iterdir()) == [target]


def test_watching_goes_on_after_the_stream_broke() -> None:
    """It asks for the job, and opens another stream."""
    started, done = a_job(state="running"), a_job(state="succeeded")
    answers = Answers(
        news(a_job(), breaks=True), httpx.Response(200, json=started), news(started, done)
    )

    with a_client(answers) as client:
        states = [job.state for job in client.watch("x")]

    assert states == ["queued", "running", "succeeded"]


def test_watching_polls_where_no_stream_comes_through() -> None:
    """A proxy that answers for itself is no reason to wait for ever."""
    held, queued = httpx.Response(200, text="soon"), httpx.Response(200, json=a_job())
    odd = httpx.Response(500, text="<html>")
    done = httpx.Response(200, json=a_job(state="partial"))
    answers = Answers(held, queued, odd, queued, held, queued, queued, done)

    with a_client(answers) as client:
        states = [job.state for job in client.watch("x")]

    assert states == ["queued", "partial"]
    assert answers.requests[-1].headers["Prefer"] == "wait=20"


def test_canceling_and_deleting_twice_is_once() -> None:
    """The first request may have done it, and its answer have been lost."""
    finished = httpx.Response(409, json={"code": "job_finished", "detail": "Too late."})
    canceled = httpx.Response(200, json=a_job(state="canceled"))
    gone = httpx.Response(410, json={"code": "job_deleted", "detail": "Gone."})

    with a_client(Answers(finished, canceled, gone)) as client:
        assert client.cancel("x").state == "canceled"
        client.delete("x")


def test_retry_after_may_be_a_date() -> None:
    """As RFC 9110 has it; one that has passed asks for nothing."""
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    answers = Answers(httpx.Response(429, json={}, headers=past), httpx.Response(200, json=a_job()))

    with a_client(answers) as client:
        assert client.status("x").created_at < datetime.now(UTC)
