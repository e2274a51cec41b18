"""What tests do on the pages again and again."""

from typing import Any

from playwright.sync_api import Page

from tests.beans import a_csv

COUNTS = "Rows by label"


def with_bad_rows(csv: str) -> str:
    """Spoil three rows of a CSV: a word, an empty cell, and a cell that is missing."""
    lines = csv.splitlines()
    lines[5] = lines[5].replace(lines[5].split(",")[2], "wide", 1)
    lines[12] = "," + lines[12].partition(",")[2]
    lines[18] = lines[18].rpartition(",")[0]
    return "\n".join(lines) + "\n"


def drop(page: Page, csv: str) -> None:
    """Drop a file on the place for it, as a hand does."""
    script = """csv => {
      const dropped = new DataTransfer();
      dropped.items.add(new File([csv], "beans.csv", {type: "text/csv"}));
      return dropped;
    }"""
    dropped = page.evaluate_handle(script, csv)
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})


def choose(page: Page, csv: str | None = None) -> None:
    """Choose a file by its button."""
    text = a_csv() if csv is None else csv
    file: Any = {"name": "beans.csv", "mimeType": "text/csv", "buffer": text.encode()}
    page.get_by_label("Choose a CSV file").set_input_files(file)


def cells(page: Page, region: str) -> list[list[str]]:
    """Read the body of the table in `region`, a list of texts for each row."""
    table = page.get_by_role("region", name=region, exact=True)
    table.wait_for()
    lines = table.locator("tbody tr")
    return [
        [cell.strip() for cell in line.locator("th, td").all_inner_texts()] for line in lines.all()
    ]


def job_of(page: Page) -> str:
    """Wait until the page is a job's, and read its id in the address."""
    page.wait_for_url("**/ui/jobs/*")
    return page.url.rpartition("/")[2]
