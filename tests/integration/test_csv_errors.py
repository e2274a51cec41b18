"""How many bad rows a job may have: as many as its client says, and then no more."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from shared.db.tables import chunks
from tests.beans import a_csv, beans, names, written
from tests.service import Body, Service
from tests.uploads import CHUNK, MANY, look, parts, the_job

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
