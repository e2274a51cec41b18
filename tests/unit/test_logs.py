"""Log lines: an event and its fields, for people or for machines."""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, Literal
from uuid import UUID

import pytest

from shared.observability.logs import EventFormatter, bind, start_logging


def line(style: Literal["text", "json"], event: str = "job_finished", **fields: object) -> str:
    """Format one record."""
    record = logging.LogRecord("worker.batch.run", logging.INFO, __file__, 1, event, (), None)
    record.created = 1767323045.678
    vars(record).update(fields)
    return EventFormatter(style).format(record)


def a_traceback(style: Literal["text", "json"]) -> str:
    """Format the record of an exception."""
    why: Any = None
    try:
        int("no such bean")
    except ValueError:
        why = sys.exc_info()
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "oops", (), why)
    return EventFormatter(style).format(record)


def test_text_is_time_level_event_and_fields() -> None:
    """One short line, as a person reads it in a terminal."""
    assert line("text", job="j1", rows=3) == "03:04:05.678 info job_finished job=j1 rows=3"


def test_json_is_one_object_a_line() -> None:
    """Every field can be searched for; the time is in UTC."""
    shown = line("json", job="j1", rows=3)

    assert "\n" not in shown
    assert json.loads(shown) == {
        "time": "2026-01-02T03:04:05.678000+00:00",
        "level": "info",
        "logger": "worker.batch.run",
        "event": "job_finished",
        "job": "j1",
        "rows": 3,
    }


def test_a_field_of_any_type_can_be_logged() -> None:
    """What JSON does not know is written as text; a log line never fails its caller."""
    number = UUID(int=7)
    shown = json.loads(line("json", job=number, error=ValueError("x"), path={1}))

    assert (shown["job"], shown["error"], shown["path"]) == (str(number), "x", "{1}")


def test_what_was_bound_stands_in_every_line() -> None:
    """Ids are said once, where a request or a message enters; a field of the event's own wins."""
    bind(request_id="r1", rows=1)
    try:
        assert line("text", rows=3).endswith("job_finished request_id=r1 rows=3")
        bind(message="m1")
        assert line("text").endswith("job_finished message=m1")
    finally:
        bind()
    assert line("text").endswith("job_finished")


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_exception_comes_with_its_traceback(style: Literal["text", "json"]) -> None:
    """Who reads the log can find the line."""
    shown = a_traceback(style)

    assert "no such bean" in shown
    assert __file__.rpartition("/")[2] in shown
    if style == "json":
        assert "\n" not in shown


@pytest.fixture
def _own_logging() -> Iterator[None]:
    """Return the handlers and levels that the tests had."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_own_logging")
def test_logs_go_to_standard_error_from_the_chosen_level_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Standard output stays free; libraries that tell of every message are held back."""
    start_logging("info", "text")

    logging.getLogger("api").info("seen", extra={"rows": 1})
    logging.getLogger("api").debug("too_fine")
    logging.getLogger("celery.app.trace").info("chatty")

    shown = capsys.readouterr()
    assert shown.out == ""
    assert [text.split(" ", 1)[1] for text in shown.err.splitlines()] == ["info seen rows=1"]


@pytest.mark.parametrize("sent", ["x\n03:04:06.000 info forged", "x\r\x1b[2Jy", "x\u2028y"])
def test_what_a_client_sends_stays_on_its_line(sent: str) -> None:
    """Nobody can forge a second line of the log, or steer a terminal."""
    shown = line("text", path=sent, event=sent)

    assert shown.isprintable()
    assert shown.count("x") >= 2
