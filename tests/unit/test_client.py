"""The Python client: what it sends, and what it makes of the answers."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, get_args, get_origin

import httpx
import pytest

from api.client import (
    AnswerInvalid,
    AsyncClient,
    Client,
    InputInvalid,
    NotAllowed,
    WaitTimedOut,
)
from tests.client_answers import QUICK, Answers, a_client, a_job, a_row, news, torn


def test_rows_are_submitted_as_json_with_a_key_of_their_own() -> None:
    """Options stand beside the rows, and two calls are two jobs."""
    answers = Answers(*[httpx.Response(202, json=a_job())] * 2)

    with a_client(answers) as client:
        jobs = [
            client.submit([[1.0, 2.0]], model="m", retention=timedelta(hours=1)) for _ in range(2)
        ]

    first, second = answers.requests
    assert jobs[0].id == a_job()["id"]
    assert json.loads(first.content) == {
        "instances": [[1.0, 2.0]], "model": "m", "retention_seconds": 3600
    }  # fmt: skip
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    """Compressed data says so, options stand in the query, and the length is told."""
    path = tmp_path / "beans.csv"
    path.write_bytes(b"\x1f\x8bpacked")
    answers = Answers(httpx.Response(202, json=a_job()))
    told: list[tuple[int, int | None]] = []

    with a_client(answers) as client:
        client.submit(
            path, outputs=["label", "probabilities"], labels={"batch": "7"},
            progress=lambda *now: told.append(now),
        )  # fmt: skip

    (request,) = answers.requests
    assert request.content == path.read_bytes()
    assert request.headers["Content-Encoding"] == "gzip"
    assert request.headers["Content-Length"] == "8"
    assert dict(request.url.params) == {"outputs": "label,probabilities", "label.batch": "7"}
    assert told == [(8, 8)]


def test_a_key_is_shown_and_its_refusal_told() -> None:
    """As a bearer token."""
    answers = Answers(httpx.Response(401, json={"code": "api_key_wrong", "detail": "No."}))

    with a_client(answers, api_key="dbk_x") as client, pytest.raises(NotAllowed):
        client.models()

    assert answers.requests[0].headers["Authorization"] == "Bearer dbk_x"


def test_an_answer_of_something_else_is_an_error() -> None:
    """Not a traceback: the address leads to another program."""
    for answer in (httpx.Response(200, text="<html>"), httpx.Response(200, json=[1])):
        with a_client(Answers(answer)) as client, pytest.raises(AnswerInvalid):
            client.status("x")


@pytest.mark.parametrize("count", [0, 3])
def test_json_is_one_array(tmp_path: Path, count: int) -> None:
    """Made of lines, whatever the pieces in which they come."""
    rows = [a_row(at) for at in range(count)]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]

    with a_client(Answers(httpx.Response(200, content=iter(pieces)))) as client:
        client.download("x", tmp_path / "out.json")

    assert json.loads((tmp_path / "out.json").read_text()) == rows


def test_waiting_ends_in_time() -> None:
    """The job goes on; only the waiting ends."""
    answers = Answers(*[httpx.Response(200, json=a_job())] * 5)

    with a_client(answers) as client, pytest.raises(WaitTimedOut, match="still queued"):
        client.wait("x", within=0.05)


def test_all_pages_of_a_list_are_read() -> None:
    """By the token that each page gives for the next."""
    pages = [
        {"jobs": [a_job()], "next_page_token": "t"}, {"jobs": [a_job()], "next_page_token": None}
    ]  # fmt: skip
    answers = Answers(*(httpx.Response(200, json=page) for page in pages))

    with a_client(answers) as client:
        assert len(list(client.jobs(state="queued", labels={"a": "b"}))) == 2

    assert answers.requests[1].url.params["page_token"] == "t"
    assert answers.requests[1].url.params["label.a"] == "b"


@pytest.mark.parametrize(
    "source, words",
    [
        pytest.param("no/such.csv", "cannot be read", id="no file"),
        pytest.param(BytesIO(b'{"instances": ['), "not JSON", id="broken JSON"),
        pytest.param(BytesIO(b"[" * 100_000), "not JSON", id="deep JSON"),
        pytest.param(BytesIO(b'{"rows": []}'), "neither", id="other JSON"),
        pytest.param([[float("nan")]], "finite", id="not finite"),
    ],
)
def test_what_cannot_be_sent_is_told_before(source: Any, words: str) -> None:
    """No request is made."""
    with a_client(Answers()) as client, pytest.raises(InputInvalid, match=words):
        client.submit(source)


@pytest.mark.parametrize("url", ["beans", "ftp://beans", "http://", ""])
def test_an_address_must_be_one(url: str) -> None:
    """Said when the client is made, not when it is used."""
    with pytest.raises(InputInvalid, match="address"):
        Client(url)


def test_a_job_id_cannot_lead_elsewhere() -> None:
    """It is a part of a path, and nothing but that."""
    with a_client(Answers()) as client, pytest.raises(InputInvalid):
        client.delete("../models?x")


def test_the_async_client_does_the_same(tmp_path: Path) -> None:
    """Submit a file, follow it, read its rows and save them."""
    path = tmp_path / "beans.csv"
    path.write_text("a\n1\n")
    line = json.dumps(a_row(0)).encode() + b"\n"
    answers = Answers(
        httpx.ReadError("reset"), httpx.Response(202, json=a_job()),
        news(a_job(), a_job(state="succeeded")), torn(line), httpx.Response(200, content=line),
        httpx.Response(200, content=b"row\n"),
    )  # fmt: skip

    async def use() -> tuple[list[str], list[str | None]]:
        transport = httpx.MockTransport(answers)
        async with AsyncClient("http://beans", patience=QUICK, transport=transport) as client:
            job = await client.submit(path)
            states = [now.state async for now in client.watch(job.id)]
            labels = [row.label async for row in client.results(job.id)]
            await client.download(job.id, tmp_path / "out.csv")
        return states, labels

    assert asyncio.run(use()) == (["queued", "succeeded"], ["SIRA"])
    assert answers.requests[1].content == b"a\n1\n"
    assert (tmp_path / "out.csv").read_text() == "row\n"


def verbs(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Return the public methods of a client."""
    return ((n, m) for n, m in inspect.getmembers(kind, inspect.isfunction) if n[0] != "_")


def test_both_clients_have_the_same_verbs() -> None:
    """With the same parameters; only waiting differs."""
    asynchronous = dict(verbs(AsyncClient))

    assert asynchronous.keys() == dict(verbs(Client)).keys()
    for name, method in verbs(Client):
        one, other = inspect.signature(method), inspect.signature(asynchronous[name])
        assert one.parameters == other.parameters, name
        gives, other_gives = one.return_annotation, other.return_annotation
        streams = get_origin(gives) is Iterator
        assert inspect.iscoroutinefunction(asynchronous[name]) is not streams, name
        assert get_args(gives) == get_args(other_gives)
        assert other_gives == gives or (streams and get_origin(other_gives) is AsyncIterator)
        assert method.__doc__ == asynchronous[name].__doc__
