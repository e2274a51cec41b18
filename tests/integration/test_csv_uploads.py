"""Uploads of CSV: compressed, in forms, larger than a chunk, broken off, canceled, aborted."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import func, select

from shared.db.tables import chunks, inputs, jobs, results
from shared.zstd import compress
from tests.beans import COUNT, a_csv, bean_labels, beans, names, written
from tests.service import Body, Service, break_off, in_parts

Start = Callable[..., Service]
MANY = 400
CHUNK = 2000
"""Bytes: a dozen beans."""


def parts(text: str | None = None) -> list[bytes]:
    """Give a CSV, one of `MANY` beans unless said otherwise, in the parts in which it arrives."""
    return in_parts(a_csv(MANY) if text is None else text, each=700)


def the_job(service: Service) -> dict[str, Any]:
    """Read the only job that there is, behind the API."""
    ids = service.database.read(lambda c: c.scalars(select(jobs.c.id)).all())
    assert len(ids) == 1
    return look(service, ids[0])


def look(service: Service, job: str, path: str = "") -> dict[str, Any]:
    """Read a document of a job with a client of its own, also while another request runs."""
    answer = service.client.application.test_client().get(f"/jobs/{job}{path}")
    document: dict[str, Any] = answer.get_json()
    return document


def stored(service: Service, job: str) -> dict[str, int]:
    """Count what the database holds of a job's rows."""
    return {
        table.name: service.database.read(
            lambda c, t=table: c.scalar(
                select(func.count()).select_from(t).where(t.c.job_id == job)
            )
        )
        for table in (inputs, results)
    }


def form(data: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    """Write a form with a file, and its headers, as `curl -F` does."""
    head = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="../etc/x.csv"\r\n\r\n'
    body = "".join([*head, file]).encode() + data + b"\r\n--b--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("count", [COUNT, 5000])
@pytest.mark.parametrize(
    "encoding, encode", [("gzip", gzip.compress), ("zstd", compress)], ids=["gzip", "zstd"]
)
def test_a_compressed_csv_is_accepted(
    service: Service, encoding: str, encode: Callable[[bytes], bytes], count: int
) -> None:
    """With its Content-Encoding, small and large."""
    job = service.run_csv(encode(a_csv(count).encode()), headers={"Content-Encoding": encoding})

    assert service.labels(job) == bean_labels(count)


@pytest.mark.parametrize("count", [COUNT, 5000])
def test_a_form_with_a_file_is_accepted(service: Service, count: int) -> None:
    """As browsers and `curl -F` send it; options are fields before the file."""
    body, headers = form(a_csv(count).encode(), model="drybeans@1", **{"label.batch": "7"})

    job = service.run_csv(body, headers=headers)

    assert (job["model"]["version"], job["labels"]) == (1, {"batch": "7"})
    assert job["rows"]["succeeded"] == count


def test_options_stand_in_the_query_of_a_raw_csv(service: Service) -> None:
    """The same as in JSON."""
    query = "?model=drybeans@2&outputs=label,probabilities&label.a=b&retention_seconds=60"

    job = service.run_csv(a_csv(), query)

    assert (job["model"]["version"], job["outputs"]) == (2, ["label", "probabilities"])
    assert job["labels"] == {"a": "b"}
    assert all(row["probabilities"][row["label"]] > 0 for row in service.rows(job))


@pytest.mark.parametrize(
    "query, pointer",
    [
        ("?on_error=ignore", "/on_error"),
        ("?max_errors=-1", "/max_errors"),
        ("?max_errors=few", "/max_errors"),
        ("?model=cats", "/model"),
        ("?outputs=colour", "/outputs"),
        ("?retention_seconds=1e3", "/retention_seconds"),
        ("?delimiter=;", "/delimiter"),
    ],
)
def test_a_wrong_option_is_refused_by_name(service: Service, query: str, pointer: str) -> None:
    """Before the rows are even looked at; an unknown one is a mistake too."""
    answer = service.post(f"/jobs{query}", a_csv())

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.get_json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "body, encoding, status, code",
    [
        (a_csv().encode(), "gzip", 400, "body_malformed"),
        (gzip.compress(a_csv().encode())[:-10], "gzip", 400, "body_malformed"),
        (compress(a_csv().encode())[:-10], "zstd", 400, "body_malformed"),
        (a_csv().encode(), "br", 415, "body_type_unsupported"),
    ],
)
def test_a_body_that_is_not_as_it_says_is_refused(
    service: Service, body: bytes, encoding: str, status: int, code: str
) -> None:
    """And leaves no job behind."""
    answer = service.post("/jobs", body, headers={"Content-Encoding": encoding})

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert service.client.get("/jobs").get_json()["jobs"] == []


@pytest.mark.parametrize("before", [b"", a_csv().encode()])
def test_a_bomb_of_zeros_is_refused(service: Service, before: bytes) -> None:
    """A gibibyte in a mebibyte; it is over once a line is too long."""
    deep = zlib.compressobj(9, wbits=31)
    bomb = deep.compress(before) + b"".join(deep.compress(bytes(1 << 20)) for _ in range(64))

    answer = service.post("/jobs", bomb + deep.flush(), headers={"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upload_over_the_limit_is_refused(start: Start, *, streamed: bool) -> None:
    """By its announced length, or once so much has come; nothing of it stays."""
    service = start(max_upload_bytes=20_000, chunk_bytes=CHUNK)

    answer = service.post("/jobs", Body(*parts()) if streamed else b"".join(parts()))

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")
    assert "larger than" in answer.get_json()["detail"]
    if streamed:
        job = the_job(service)
        assert (job["state"], job["error"]["code"]) == ("failed", "body_too_large")
        assert stored(service, job["id"]) == {"inputs": 0, "results": 0}


def test_a_large_csv_becomes_many_chunks_whose_rows_stay_in_order(start: Start) -> None:
    """However the stream is cut, and whichever chunk is finished first."""
    service = start(chunk_bytes=CHUNK)

    job = service.run_csv(Body(*parts()))

    count = select(func.count()).select_from(chunks)
    assert service.database.read(lambda c: c.scalar(count)) > MANY / 20
    assert job["state"] == "succeeded"
    rows = service.rows(job)
    assert [row["row"] for row in rows] == list(range(MANY))
    assert [row["line"] for row in rows] == list(range(2, MANY + 2))
    assert [row["label"] for row in rows] == bean_labels(MANY)


def test_workers_start_before_the_upload_ends(start: Start) -> None:
    """The job is `receiving` meanwhile; what is finished can be read, and asked for as partial."""
    service = start(chunk_bytes=CHUNK)
    seen: dict[str, Any] = {}

    def meanwhile() -> None:
        job = the_job(service)["id"]
        service.work_until(lambda: look(service, job)["rows"]["succeeded"] > 0)
        seen["job"] = look(service, job)
        seen["whole"] = look(service, job, "/results")
        seen["partial"] = look(service, job, "/results?partial=true&limit=5")

    half = len(parts()) // 2
    answer = service.post("/jobs", Body(*parts()[:half], meanwhile, *parts()[half:]))

    assert answer.status_code == 202
    assert seen["job"]["state"] == "receiving"
    assert 0 < seen["job"]["rows"]["succeeded"] <= seen["job"]["rows"]["total"] < MANY
    assert seen["whole"]["code"] == "job_unfinished"
    assert [row["label"] for row in seen["partial"]["results"]] == bean_labels(5)
    assert "partial=true" in seen["partial"]["next"]
    job = service.finish(answer.get_json()["id"])
    assert service.labels(job) == bean_labels(MANY)


def test_redis_never_knows_more_than_a_window_of_an_uploads_chunks(
    start: Start, redis_url: str
) -> None:
    """The others wait in the database, so that many uploads share the workers."""
    service = start(chunk_bytes=CHUNK, window_chunks=3)

    job = service.submit(Body(*parts()))

    with Redis.from_url(redis_url) as redis:
        service.work_until(lambda: redis.llen("bulk") == 0)
        released = select(jobs.c.chunks_released, jobs.c.chunks_finished)
        row = service.database.read(lambda c: c.execute(released).one())
    assert row.chunks_released - row.chunks_finished <= 3
    assert service.labels(service.finish(job)) == bean_labels(MANY)


@pytest.mark.parametrize("count, queue", [(COUNT, "interactive"), (1001, "bulk")])
def test_a_small_csv_is_a_small_job(service: Service, count: int, queue: str) -> None:
    """It does not wait behind large ones."""
    job = service.submit(a_csv(count))

    assert service.job(job)["queue"]["name"] == queue


@pytest.mark.parametrize("worked", [False, True])
def test_a_broken_off_upload_fails_its_job_and_leaves_no_rows(
    start: Start, *, worked: bool
) -> None:
    """Half of a file would be read as the whole; also when its first chunks have results."""
    service = start(chunk_bytes=CHUNK)
    before: Sequence[Any] = [lambda: work_some(service)] if worked else []

    answer = service.post("/jobs", Body(*parts()[:30], *before, *parts()[30:40], break_off))

    assert (answer.status_code, answer.get_json()["code"]) == (400, "upload_incomplete")
    job = the_job(service)
    assert (job["state"], job["error"]["code"]) == ("failed", "upload_incomplete")
    assert stored(service, job["id"]) == {"inputs": 0, "results": 0}
    service.work()
    assert look(service, job["id"]) == job
    assert service.rows(job) == []


def work_some(service: Service) -> None:
    """Run some chunks of the only job."""
    job = the_job(service)["id"]
    service.work_until(lambda: look(service, job)["rows"]["succeeded"] > 0)


def test_an_upload_broken_off_before_its_first_chunk_leaves_nothing(service: Service) -> None:
    """There is nothing to clean up."""
    answer = service.post("/jobs", Body(a_csv().encode(), break_off))

    assert answer.get_json()["code"] == "upload_incomplete"
    assert service.client.get("/jobs").get_json()["jobs"] == []


@pytest.mark.parametrize(
    "line, code, words",
    [
        ('"two\nlines",', "request_invalid", "Line 252 has a quoted field"),
        ("9" * 70_000, "body_too_large", "A line is longer than 65536 bytes"),
    ],
)
def test_a_flaw_far_down_refuses_the_whole_file(
    start: Start, line: str, code: str, words: str
) -> None:
    """The rows after it cannot be told apart, so none of them counts."""
    service = start(chunk_bytes=CHUNK)

    answer = service.post("/jobs", Body(*parts(a_csv(250) + line + written(beans(250)))))

    assert answer.status_code in {413, 422}
    assert answer.get_json()["detail"].startswith(words)
    job = the_job(service)
    assert (job["state"], job["error"]["code"]) == ("failed", code)
    assert stored(service, job["id"]) == {"inputs": 0, "results": 0}


def test_a_job_canceled_while_it_arrives_stops_its_upload(start: Start) -> None:
    """The client that still sends is told with 409."""
    service = start(chunk_bytes=CHUNK)

    def cancel() -> None:
        job = the_job(service)["id"]
        other = service.client.application.test_client()
        assert other.post(f"/jobs/{job}/cancel").status_code == 200

    answer = service.post("/jobs", Body(*parts()[:30], cancel, *parts()[30:]))

    assert (answer.status_code, answer.get_json()["code"]) == (409, "upload_stopped")
    job = the_job(service)
    assert job["state"] == "canceled"
    assert service.work() <= 4
    assert look(service, job["id"]) == job


def damaged(count: int, *bad: int) -> str:
    """Write `count` beans of which those numbered `bad` have no area."""
    rows = [["", *row[1:]] if at in bad else row for at, row in enumerate(beans(count))]
    return written([names(), *rows])


@pytest.mark.parametrize(
    "query, state, code",
    [
        ("", "partial", None),
        ("?on_error=continue", "partial", None),
        ("?on_error=abort", "failed", "too_many_errors"),
        ("?max_errors=1", "failed", "too_many_errors"),
        ("?max_errors=2", "partial", None),
        ("?on_error=abort&max_errors=2", "partial", None),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [CHUNK, 1 << 22], ids=["chunks", "one chunk"])
def test_a_job_fails_when_more_rows_do_than_its_client_allows(
    start: Start, query: str, state: str, code: str | None, chunk_bytes: int
) -> None:
    """`on_error=abort` allows none; without a limit the good rows count."""
    job = start(chunk_bytes=chunk_bytes).run_csv(Body(*parts(damaged(100, 3, 60))), query)

    assert job["state"] == state
    assert (job["error"] or {}).get("code") == code


def test_an_aborted_job_leaves_its_other_chunks_alone(start: Start) -> None:
    """Nobody works for a job that has failed; its errors can be read."""
    service = start(chunk_bytes=CHUNK, window_chunks=2)
    job = service.submit(Body(*parts(damaged(MANY, 0))), "?on_error=abort")

    done = service.finish(job)

    assert done["error"]["detail"] == "1 rows failed; at most 0 may."
    assert done["rows"]["succeeded"] < 30
    pending = select(func.count()).select_from(chunks).where(chunks.c.state == "pending")
    assert service.database.read(lambda c: c.scalar(pending)) == 0
    assert b"2,missing,Area" in service.client.get(f"/jobs/{job}/errors").data


def test_an_upload_is_stopped_when_too_many_of_its_rows_have_failed(start: Start) -> None:
    """The rest need not be sent: the client is told with 409, and the job says why."""
    service = start(chunk_bytes=CHUNK)
    sent = parts(damaged(MANY, 0))
    half = len(sent) // 2

    def meanwhile() -> None:
        service.work_until(lambda: the_job(service)["state"] == "failed")

    answer = service.post("/jobs?on_error=abort", Body(*sent[:half], meanwhile, *sent[half:]))

    assert (answer.status_code, answer.get_json()["code"]) == (409, "upload_stopped")
    job = the_job(service)
    assert (job["state"], job["error"]["code"]) == ("failed", "too_many_errors")


def test_a_flood_of_wrong_lines_is_a_job_like_any_other(service: Service) -> None:
    """A hundred thousand rows of one letter: every one of them has its error."""
    many = 100_000
    job = service.run_csv(a_csv(0) + "x\n" * many)

    assert (job["state"], job["rows"]["failed"]) == ("failed", many)
    most = select(func.max(chunks.c.row_count))
    assert service.database.read(lambda c: c.scalar(most)) <= 40_000
    last = look(service, job["id"], f"/results?offset={many - 1}")["results"]
    assert [(row["line"], row["error"]["code"]) for row in last] == [(many + 1, "too_few_fields")]
