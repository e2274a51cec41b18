"""Every view: lists and models, in light and dark, on a phone, and for screen readers."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.beans import a_csv
from tests.e2e.service import Service
from tests.e2e.views import cells, choose, job_of, with_bad_rows
from tests.working import BEAN

_PATHS: Final = [
    *("/", "/#paste", "/#file", "/ui/jobs", "/ui/jobs?label=none=such", "/ui/models"),
    *("/ui/models/drybeans/1", "/ui/models/drybeans/2", "/ui/models/none/1"),
]


def violations(page: Page, *, colours_only: bool) -> list[str]:
    """Return what axe-core finds wrong with the page when it has loaded."""
    expect(page.locator(".loading")).to_have_count(0)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if colours_only:
        options["runOnly"] = ["color-contrast"]
    found: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found]


def too_wide(page: Page) -> int:
    """Tell by how many pixels the page is wider than its window."""
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(script))


def violations_in_use(page: Page, look: Callable[[Page], list[str]]) -> dict[str, list[str]]:
    """Look at answers, errors, a job and a question, as they come up."""
    found = {}
    page.goto("/")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_role("button", name="Use sample data").click()
    page.locator("#f0").fill("9e9")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.locator("#row-result .label").wait_for()
    found["answer"] = look(page)
    page.goto("/#file")
    choose(page, "nothing\n1\n")
    page.get_by_role("alert").wait_for()
    found["refused"] = look(page)
    choose(page, with_bad_rows(a_csv(50)))
    cells(page, "First rows")
    found["job"] = look(page)
    assert too_wide(page) == 0
    page.get_by_role("button", name="Delete job").click()
    found["asked"] = look(page)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_has_an_accessibility_violation(
    embedded: Service, open_at: Callable[..., Page], scheme: str
) -> None:
    """Axe-core finds nothing in any view, nor in the answers and errors that they show."""
    look = partial(violations, colours_only=scheme == "dark")
    phone = {"width": 390, "height": 800}
    page = open_at(embedded.url, color_scheme=scheme, reduced_motion="reduce", viewport=phone)
    found = {}
    for path in _PATHS:
        page.goto("about:blank")
        page.goto(path)
        found[path] = look(page)
        assert too_wide(page) == 0, path
    found |= violations_in_use(page, look)

    assert {where: wrong for where, wrong in found.items() if wrong} == {}


def test_light_and_dark_follow_the_system(embedded: Service, open_at: Callable[..., Page]) -> None:
    """The ground is bright in one and dark in the other."""
    grounds = {}
    for scheme in ("light", "dark"):
        page = open_at(embedded.url, color_scheme=scheme)
        page.goto("/")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        grounds[scheme] = max(int(part) for part in colour[4:-1].split(","))

    assert grounds["light"] > 200
    assert grounds["dark"] < 60


def test_the_list_is_filtered_and_paged(embedded: Service, page: Page) -> None:
    """By label, state and model; the address holds it all, so that going back works."""
    batch = uuid4().hex
    with embedded.client() as client:
        for _ in range(26):
            client.post("/jobs", json={"instances": [BEAN], "labels": {"batch": batch}})
    page.goto("/ui/jobs")
    page.get_by_label("Tag").fill(f"batch={batch}")
    page.get_by_role("button", name="Filter").click()
    items = page.locator(".joblist li")
    expect(items).to_have_count(25)
    page.get_by_role("link", name="Older").click()
    expect(items).to_have_count(1)
    page.get_by_role("link", name="Newest").click()
    expect(items).to_have_count(25)

    page.get_by_label("Model").select_option("drybeans@1")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No jobs match these filters")).to_be_visible()
    page.go_back()
    items.first.get_by_role("link").click()
    job_of(page)


def test_a_job_that_is_not_there_says_so(page: Page) -> None:
    """With a way on."""
    page.goto(f"/ui/jobs/{uuid4()}")

    expect(page.get_by_role("alert").first).to_contain_text("No job has this id.")
    expect(page.get_by_role("link", name="All jobs")).to_be_visible()


def test_the_versions_of_a_model_stand_side_by_side(embedded: Service, page: Page) -> None:
    """And each shows metrics against baselines, its confusion matrix and its training ranges."""
    with embedded.client() as client:
        metrics = client.get("/models/drybeans/2").json()["metrics"]["held_out"]
    page.goto("/ui/models")
    accuracy = next(line for line in cells(page, "Versions of drybeans") if "Accuracy" in line[0])
    assert len(accuracy) == 3
    page.get_by_role("link", name="Version 2").click()

    matrix = [line[1:] for line in cells(page, "Counts by true and predicted class")]
    assert [[int(cell.replace("·", "0")) for cell in line] for line in matrix] == metrics[
        "confusion"
    ]
    assert cells(page, "Metrics against baselines")[0][1] == f"{metrics['accuracy']:.4f}"
    assert len(cells(page, "Features with their training ranges")) == 16
