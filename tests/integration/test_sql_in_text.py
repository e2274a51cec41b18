"""Text of clients that would be SQL, if it ever got into a statement as anything but a value."""

from typing import Final
from urllib.parse import quote

import pytest

from tests.beans import bean_labels, beans, names, written
from tests.service import Service

_HOSTILE: Final = [
    "'; DELETE FROM jobs; -- ",
    "\\'; DELETE FROM jobs; -- ",
    '"; DROP TABLE results; # ',
    "%s %(id)s :id ? `jobs` /* */",
    "\u02bc; DELETE FROM chunks; COMMIT; \u5f5c' OR 1=1",
    "\\",
]
"""Quotes, escaped quotes, comments, placeholders of drivers, and a last backslash."""


@pytest.mark.parametrize("text", _HOSTILE)
def test_text_that_looks_like_sql_is_text(service: Service, text: str) -> None:
    """In labels, keys and ids, which the API and workers store, several statements in a packet."""
    text = text.strip()
    kept = service.submit(written([names(), *beans(2)]))
    cell = '"' + text.replace('"', '""') + '"'
    csv = written([["id", *names()], *([cell, *row] for row in beans(3))])
    headers = {"Idempotency-Key": text} if text.isascii() else {}

    job = service.submit(csv, f"?label.{quote(text)}={quote(text)}", headers=headers)
    service.work_until(lambda: service.job(job)["state"] == "succeeded")

    assert service.job(job)["labels"] == {text: text}
    found = service.client.get(f"/jobs?label.{quote(text)}={quote(text)}").get_json()["jobs"]
    assert [one["id"] for one in found] == [job]
    rows = service.client.get(f"/jobs/{job}/results").get_json()["results"]
    assert [(row["id"], row["label"]) for row in rows] == [(text, one) for one in bean_labels(3)]
    service.work_until(lambda: service.job(kept)["state"] == "succeeded")
