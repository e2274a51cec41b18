"""From the drop of a CSV to the download of its labels, and all that can go wrong on the way."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.beans import a_csv, bean_labels
from tests.chaos.proxy import Proxy
from tests.e2e.service import Service
from tests.e2e.views import COUNTS, cells, choose, drop, job_of, with_bad_rows
from tests.waiting import wait_for


def downloaded(page: Page, name: str) -> bytes:
    """Click a download and read the file that comes."""
    with page.expect_download() as waiting:
        page.get_by_role("link", name=name).click()
    return Path(waiting.value.path()).read_bytes()


def test_a_file_of_few_rows_shows_what_lies_outside_training(page: Page) -> None:
    """Too few for drift, which the page says; a value far out is counted all the same."""
    near = a_csv(7)
    first = near.splitlines()[1]
    far = near.replace(first, "9e9" + first[first.index(",") :])

    shown = []
    for text in (near, far):
        page.goto("/#file")
        drop(page, text)
        job_of(page)
        expect(page.locator("#drift")).to_contain_text("Drift requires at least")
        shown.append(page.locator("#drift p").inner_text())

    few = "Drift requires at least 100 successful rows; this job has 7."
    assert shown == [
        f"{few} All values are within the training range.",
        f"{few} Values outside the training range:",
    ]
    assert cells(page, "Drift by column") == [["Area", "", "–", "", "1"]]


def test_a_dropped_csv_is_followed_to_its_labels(embedded: Service, page: Page) -> None:
    """Chart, the three bad rows with line and reason, and both downloads."""
    page.goto("/#file")
    page.get_by_label("Tag").fill("batch=7")
    drop(page, with_bad_rows(a_csv(700)))
    job = job_of(page)

    assert cells(page, "Failed rows") == [
        ["6", "MajorAxisLength", "'wide' is not a number."],
        ["13", "Area", "The value is missing."],
        ["19", "–", "The line has 15 fields; the header has 16."],
    ]
    assert sum(int(count) for _, _, count, _ in cells(page, COUNTS)) == 697
    assert len(cells(page, "Drift by column")) == 16
    assert [line[2] for line in cells(page, "First rows")[:4]] == bean_labels(4)
    expect(page.locator("#state")).to_have_text("partial")
    expect(page.locator("#facts")).to_contain_text("batch=7")
    with embedded.client() as client:
        path = f"/jobs/{job}/results?format=csv"
        assert downloaded(page, "Results (CSV)") == client.get(path).content
    assert downloaded(page, "Failed rows (CSV)").count(b"\n") == 4
    page.reload()
    expect(page.locator("#state")).to_have_text("partial")


def test_a_csv_with_the_wrong_columns_is_refused_with_their_names(page: Page) -> None:
    """At once, and another file can be chosen."""
    page.goto("/#file")
    choose(page, a_csv().replace("Area,", "Surface,", 1))

    expect(page.locator("#upload")).to_contain_text("Area")
    expect(page.get_by_label("Choose a CSV file")).to_be_visible()
    choose(page)
    job_of(page)


def test_an_upload_can_be_canceled(proxied: tuple[Page, Proxy]) -> None:
    """Its progress is shown until then, and nothing is left of it on the page."""
    page, proxy = proxied
    page.goto("/#file")
    proxy.freeze()
    choose(page, a_csv(3_000))
    expect(page.locator("#upload progress")).to_be_visible()
    page.get_by_role("button", name="Cancel upload").click()

    expect(page.locator("#upload")).to_have_text(
        "Upload of beans.csv canceled. No rows were stored."
    )
    proxy.thaw()


def test_a_canceled_upload_shows_the_same_count_everywhere(embedded: Service, page: Page) -> None:
    """Its header, its card, the list and the API: canceled, no rows, and nothing to retry."""
    label = uuid4().hex

    def sent() -> Iterator[bytes]:
        yield from [a_csv(40_000).encode()] * 4
        wait_for(lambda: any(job["rows"]["total"] for job in listed(embedded, label)))
        raise httpx.WriteError("The sender stops.")

    with pytest.raises(httpx.WriteError):
        upload(embedded, f"/jobs?label.upload={label}", sent())
    wait_for(lambda: listed(embedded, label)[0]["state"] == "canceled")

    (job,) = listed(embedded, label)
    assert job["rows"] == {"total": 0, "succeeded": 0, "failed": 0}
    page.goto(f"/ui/jobs?label=upload={label}")
    expect(page.locator(".job .number")).to_have_text("No rows stored")
    page.get_by_role("link", name=job["id"]).click()
    expect(page.locator("#state")).to_have_text("canceled")
    expect(page.locator("#progress-text")).to_contain_text("No rows stored, in ")
    expect(page.locator("#notices")).to_contain_text("Job canceled")
    expect(page.locator("#notices")).to_contain_text(
        "The upload ended before the end of the file, so none of its rows are kept; send it again."
    )
    expect(page.locator("#results")).to_be_hidden()
    expect(page.get_by_role("button", name="Retry remaining rows")).to_be_hidden()


def upload(service: Service, path: str, body: Iterator[bytes]) -> None:
    """Send a CSV piece by piece."""
    with service.client() as client:
        client.post(path, content=body, headers={"Content-Type": "text/csv"})


def listed(service: Service, label: str) -> list[dict[str, Any]]:
    """Return the jobs with this label."""
    with service.client() as client:
        found: list[dict[str, Any]] = client.get(f"/jobs?label.upload={label}").json()["jobs"]
        return found


def test_a_job_can_be_canceled(page: Page, idle: Callable[[], Any]) -> None:
    """While it waits it says so; afterwards it can be run again."""
    page.goto("/#file")
    choose(page)
    job = job_of(page)
    expect(page.locator("#state")).to_have_text("queued")
    page.get_by_role("button", name="Cancel job").click()
    expect(page.locator("#state")).to_have_text("canceled")
    idle()
    page.get_by_role("button", name="Retry remaining rows").click()

    page.wait_for_url(lambda url: "/ui/jobs/" in url and job not in url)
    expect(page.locator("#state")).to_have_text("succeeded")


def test_a_lost_connection_recovers_by_itself(
    proxied: tuple[Page, Proxy], idle: Callable[[], Any]
) -> None:
    """The page says that it is lost, and goes on with the job when it is there again."""
    page, proxy = proxied
    page.goto("/#file")
    choose(page)
    job_of(page)
    expect(page.locator("#connection")).to_have_text("Live")
    proxy.refuse()
    expect(page.locator("#connection")).to_contain_text("Connection lost")
    idle()
    proxy.accept()

    expect(page.locator("#state")).to_have_text("succeeded")
    assert len(cells(page, COUNTS)) == 7


def test_an_upload_over_a_lost_connection_is_sent_again(proxied: tuple[Page, Proxy]) -> None:
    """It says what happened, and a click is enough."""
    page, proxy = proxied
    page.goto("/#file")
    proxy.freeze()
    choose(page)
    expect(page.locator("#upload progress")).to_be_visible()
    proxy.refuse()
    proxy.thaw()
    expect(page.get_by_role("alert")).to_contain_text("The service does not respond")
    proxy.accept()
    page.get_by_role("button", name="Retry upload").click()

    job_of(page)
    expect(page.locator("#state")).to_have_text("succeeded")
