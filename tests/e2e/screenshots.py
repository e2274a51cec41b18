"""Take the screenshots in docs/screenshots: python -m tests.e2e.screenshots."""

import tempfile
from pathlib import Path
from random import Random
from typing import Any, Final

from playwright.sync_api import Page

from tests.beans import default_model, names, written
from tests.e2e.browser import open_browser, open_page
from tests.e2e.service import Service
from tests.e2e.views import with_bad_rows

_FOLDER: Final = Path(__file__).parents[2] / "docs" / "screenshots"
_WIDE: Final = {"width": 1180, "height": 900}
_PHONE: Final = {"width": 390, "height": 900}


def predict(page: Page) -> None:
    """Show a typed row and its answer."""
    page.goto("/")
    page.get_by_role("button", name="Use sample data").click()
    page.get_by_role("button", name="Predict", exact=True).click()
    page.locator("#row-result .label").wait_for()


def job(page: Page) -> None:
    """Show a finished job of a CSV of which three rows failed."""
    page.goto("/#file")
    page.get_by_label("Include class probabilities").check()
    page.get_by_label("Tag").fill("batch=7")
    csv = with_bad_rows(varied_beans(2000))
    file: Any = {"name": "beans.csv", "mimeType": "text/csv", "buffer": csv.encode()}
    page.get_by_label("Choose a CSV file").set_input_files(file)
    page.locator("#failed table").wait_for()
    page.locator("#first table").wait_for()


def jobs(page: Page) -> None:
    """Show the list of jobs."""
    page.goto("/ui/jobs")
    page.locator(".joblist").wait_for()


def model(page: Page) -> None:
    """Show the model that ships."""
    page.goto("/ui/models/drybeans/2")


_SHOTS: Final = [
    *((predict, "light"), (predict, "dark"), (predict, "phone")),
    *((job, "light"), (job, "dark"), (job, "phone")),
    *((jobs, "light"), (model, "light"), (model, "dark")),
]


def varied_beans(count: int) -> str:
    """Write a CSV of `count` beans that differ a little from the golden ones."""
    chance = Random(7)
    rows = [chance.choice(default_model().golden.rows) for _ in range(count)]
    varied = [[f"{value * chance.gauss(1, 0.01):.9g}" for value in row] for row in rows]
    return written([names(), *varied])


def make(url: str, folder: Path) -> None:
    """Take the views of the service at `url`, in light, in dark or on a phone, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        for show, scheme in _SHOTS:
            size = _PHONE if scheme == "phone" else _WIDE
            colours = "dark" if scheme == "dark" else "light"
            with open_page(browser, url, viewport=size, color_scheme=colours) as page:
                show(page)
                page.screenshot(path=folder / f"{show.__name__}-{scheme}.png")


def main() -> None:
    """Start a service, take the screenshots, and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        service.start()
        try:
            make(service.url, _FOLDER)
        finally:
            service.stop()


if __name__ == "__main__":
    main()
