"""The pages where keys are on: they ask for one, and keep it in the tab only."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.api_process import ApiProcess
from tests.e2e.service import Service
from tests.e2e.views import COUNTS, cells, choose, job_of


@pytest.fixture(scope="module")
def settings(embedded: Service) -> dict[str, str]:
    """Where the running service keeps what it knows, with keys on."""
    given = embedded.part("gunicorn").environ()
    names = ("DRYBEANS_DATABASE_URL", "DRYBEANS_REDIS_URL")
    return {name: given[name] for name in names} | {"DRYBEANS_API_KEYS": "true"}


@pytest.fixture(scope="module")
def guarded(server_folder: Path, settings: dict[str, str]) -> Iterator[str]:
    """The address of a second API beside the first, which asks for keys."""
    with ApiProcess(server_folder / "guarded", settings) as api:
        yield api.url


def new_key(settings: dict[str, str]) -> str:
    """Make a key as an operator does."""
    command = [sys.executable, "-m", "shared.admin", "keys", "create", "--name", "page"]
    said = subprocess.run(command, env=settings, capture_output=True, text=True, check=True).stdout
    return next(word for word in said.split() if word.startswith("dbk_"))


def delete_by_keyboard(page: Page) -> None:
    """Delete job that the page shows, which is not done without being asked again."""
    delete = page.get_by_role("button", name="Delete job")
    delete.press("Enter")
    expect(page.get_by_role("button", name="Keep job")).to_be_focused()
    page.keyboard.press("Escape")
    expect(delete).to_be_focused()
    delete.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/jobs")


def test_a_key_is_asked_for_and_opens_all(
    guarded: str, settings: dict[str, str], open_at: Callable[..., Page]
) -> None:
    """A wrong one is asked for again; the right one uploads, follows, downloads and deletes."""
    page = open_at(guarded)
    page.goto("/ui/jobs")
    field = page.get_by_label("API key", exact=True)
    field.fill("dbk_wrong")
    page.get_by_role("button", name="Save key").click()
    expect(page.locator("#key-error")).to_contain_text("not valid")
    field.fill(key := new_key(settings))
    page.get_by_role("button", name="Save key").click()
    expect(page.get_by_text("No jobs yet")).to_be_visible()

    page.get_by_role("link", name="New job").click()
    choose(page)
    job = job_of(page)
    assert len(cells(page, COUNTS)) == 7
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Results (CSV)").click()
    path, shown = f"{guarded}/jobs/{job}/results?format=csv", {"Authorization": f"Bearer {key}"}
    expected = httpx.get(path, headers=shown, trust_env=False).content
    assert Path(waiting.value.path()).read_bytes() == expected
    delete_by_keyboard(page)
    expect(page.get_by_text("No jobs yet")).to_be_visible()
    assert httpx.get(path, headers=shown, trust_env=False).status_code == 410
    kept = page.evaluate("[document.cookie, JSON.stringify(localStorage), {...sessionStorage}]")
    assert kept == ["", "{}", {"drybeans.key": key}]
    assert key not in json.dumps(page.url)


def test_who_gives_no_key_is_told_that_one_is_needed(
    guarded: str, open_at: Callable[..., Page]
) -> None:
    """The page shows the refusal and stays usable; the key can be given later."""
    page = open_at(guarded)
    page.goto("/ui/jobs")
    page.get_by_role("button", name="Cancel").click()

    expect(page.locator("#jobs")).to_contain_text("Send an API key")
    expect(page.get_by_role("button", name="API key")).to_be_visible()
