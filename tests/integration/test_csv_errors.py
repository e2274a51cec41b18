"""How many bad rows a job may have: as many as its client says, and then no more."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from shared.db.schema import chunks, results
from shared.zstd import compress
from tests.beans import a_csv, beans, names, written
from tests.marks import ON_SQLITE
from tests.service import Body, Service
from tests.uploads import CHUNK, MANY, look, parts, the_job

# How requests are read does not depend on the database.
pytestmark = ON_SQLITE

Start = Callable[..., Service]


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

    assert done["error"]["detail"] == "1 row failed; the job allows 0."
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


@pytest.mark.parametrize("character", [chr(code) for code in range(0x1C, 0x20)])
def test_a_control_character_fails_its_row_and_no_other(service: Service, character: str) -> None:
    """A report and a job say the same of it, and the rows around it have their labels."""
    rows = beans(300)
    rows[7][4] += character
    text = written([names(), *rows])

    report = service.post("/jobs?validate_only=true", text)
    job = service.run_csv(text)

    assert report.status_code == 200, report.text
    error = {
        "row": 7,
        "line": 9,
        "code": "not_a_number",
        "field": names()[4],
        "detail": f"{rows[7][4]!r} is not a number.",
    }
    assert report.get_json()["errors"] == [error]
    assert (job["state"], job["rows"]) == (
        "partial",
        {"total": 300, "succeeded": 299, "failed": 1},
    )
    assert [row for row in service.rows(job) if "error" in row] == [
        {"row": 7, "line": 9, "error": {name: error[name] for name in ("code", "field", "detail")}}
    ]


def test_bytes_that_are_not_utf8_end_an_upload(start: Start) -> None:
    """Far into a file, too: nothing of it stays, and two ids never become one."""
    service = start(chunk_bytes=CHUNK)
    lines = a_csv(MANY).encode().splitlines(keepends=True)
    lines[0] = b"id," + lines[0]
    lines[1:] = [
        b"M\xfcller," + line if at == 300 else b"M," + line for at, line in enumerate(lines[1:])
    ]

    answer = service.post("/jobs", Body(*lines))

    assert (answer.status_code, answer.get_json()["code"]) == (422, "request_invalid")
    assert answer.get_json()["detail"] == (
        "Line 302, column 1: the byte 0xFC is not UTF-8, so the file is in another encoding, "
        'perhaps windows-1252. Save the file as UTF-8 (in Excel: "CSV UTF-8") and send it again.'
    )
    job = the_job(service)
    assert (job["state"], job["error"]["code"]) == ("failed", "request_invalid")


def test_a_job_may_have_so_many_rows_and_no_more(start: Start) -> None:
    """Counted while they arrive; a report has the same limit."""
    service = start(chunk_bytes=CHUNK, max_job_rows=99)

    taken = service.run_csv(Body(*parts(a_csv(99))))
    refused = service.post("/jobs", Body(*parts(a_csv(100))))
    report = service.post("/jobs?validate_only=true", a_csv(100))

    assert taken["rows"]["succeeded"] == 99
    for answer in (refused, report):
        assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")
        assert answer.get_json()["detail"] == (
            "The CSV has more than 99 rows; send it as several jobs."
        )


def test_a_small_body_does_not_become_a_large_job(start: Start) -> None:
    """A few kilobytes of Zstandard could be a hundred million rows for everybody to wait for."""
    service = start(max_compression_ratio=50)
    bomb = compress(a_csv(0).encode() + b"x\n" * (1 << 24))

    answer = service.post("/jobs", bomb, headers={"Content-Encoding": "zstd"})

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")
    assert answer.get_json()["detail"] == (
        "The compressed body expands to more than 50 times its size; send it without "
        "Content-Encoding."
    )
    assert service.client.get("/jobs").get_json()["jobs"] == []


def test_a_flood_of_wrong_lines_is_a_job_like_any_other(service: Service) -> None:
    """A hundred thousand rows of one letter: every one of them has its error."""
    many = 100_000
    job = service.run_csv(a_csv(0) + "x\n" * many)

    assert (job["state"], job["rows"]["failed"]) == ("failed", many)
    most = select(func.max(chunks.c.row_count))
    assert service.database.read(lambda c: c.scalar(most)) <= 40_000
    size = select(func.max(func.length(results.c.errors)))
    assert service.database.read(lambda c: c.scalar(size)) < 1000
    last = look(service, job["id"], f"/results?offset={many - 1}")["results"]
    assert [(row["line"], row["error"]["code"]) for row in last] == [(many + 1, "too_few_fields")]
