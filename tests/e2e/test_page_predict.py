"""The page at the root in a real browser: one row, pasted rows, with and without a mouse."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from shared.domain.numerals import number_error
from tests.beans import a_csv, bean_labels, default_model
from tests.csv_files import NO_NUMBERS, ODD_NUMBERS
from tests.e2e.views import cells, job_of


def test_a_sample_row_gets_its_label_and_the_probability_of_each_class(page: Page) -> None:
    """The likeliest class comes first, and its job can be opened."""
    page.goto("/")
    page.get_by_role("button", name="Use sample data").click()
    page.get_by_role("button", name="Predict", exact=True).click()

    label = page.locator("#row-result .label").inner_text()
    shown = cells(page, "Probabilities")
    assert shown[0][0] == label
    assert {name for name, *_ in shown} == {*default_model().classes}
    page.get_by_role("link", name="View job").click()
    job_of(page)
    expect(page.locator("#state")).to_have_text("succeeded")


def test_what_is_missing_or_strange_is_said_beside_its_field(page: Page) -> None:
    """The first wrong field is focused; a value outside the training range is only a hint."""
    page.goto("/")
    page.get_by_role("button", name="Use sample data").click()
    first, second = page.locator("#f0"), page.locator("#f1")

    first.fill("9e9")
    expect(page.locator("#h0")).to_contain_text("Above the training range")
    second.fill("wide")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator("#h1")).to_contain_text("Enter a number")
    expect(second).to_be_focused()
    second.fill("700")
    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page.locator("#row-result")).to_contain_text(
        "1 measurement is outside the training range"
    )


def test_a_label_disappears_when_the_values_beside_it_change(page: Page) -> None:
    """An edited, refused or reset form shows no label of other values."""
    page.goto("/")
    label = page.locator("#row-result .label")
    sample = page.get_by_role("button", name="Use sample data")
    predict = page.get_by_role("button", name="Predict", exact=True)
    sample.click()
    first = page.locator("#f0")
    changes: list[Callable[[], None]] = [
        lambda: first.fill("9e9"),
        lambda: first.fill("wide"),
        sample.click,
        lambda: page.get_by_role("button", name="Clear").click(),
    ]
    for change in changes:
        sample.click()
        predict.click()
        expect(label).to_be_visible()
        change()
        expect(label).to_have_count(0)


def test_pasted_rows_that_change_lose_their_labels(page: Page) -> None:
    """The table of labels belongs to the text that was sent."""
    page.goto("/#paste")
    page.locator("#rows").fill(a_csv(3))
    page.get_by_role("button", name="Predict", exact=True).click()
    cells(page, "Predictions")

    page.locator("#rows").fill(a_csv(2))

    expect(page.get_by_role("region", name="Predictions", exact=True)).to_have_count(0)


def test_a_model_without_probabilities_still_gives_its_label(page: Page) -> None:
    """The form belongs to the model that is chosen."""
    page.goto("/")
    page.get_by_label("Model", exact=True).select_option("drybeans@1")
    page.wait_for_url("**model=drybeans*")
    page.get_by_role("button", name="Use sample data").click()
    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page.locator("#row-result .label")).not_to_be_empty()
    expect(page.locator("#row-result")).to_contain_text("does not output probabilities")


@pytest.mark.parametrize("kind", ["csv", "tsv", "json"])
def test_pasted_rows_get_a_label_each(page: Page, kind: str) -> None:
    """As a CSV or TSV with its header, or as a JSON list of lists."""
    rows = [list(row) for row in default_model().golden.rows[::5]]
    text = {"csv": a_csv(7), "tsv": a_csv(7, delimiter="\t"), "json": str(rows)}[kind]
    page.goto("/#paste")
    page.get_by_label("Rows (CSV").fill(text)
    page.get_by_role("button", name="Predict", exact=True).click()

    assert [line[1] for line in cells(page, "Predictions")] == bean_labels(7)


def test_a_bad_row_among_pasted_ones_says_why(page: Page) -> None:
    """The others keep their labels; what is no JSON at all is told as such."""
    page.goto("/#paste")
    rows = page.get_by_label("Rows (CSV")
    head, first, second, *_ = a_csv(2).splitlines()
    rows.fill("\n".join([head, first, "wide" + second[second.index(",") :]]))
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_role("heading", name="2 rows, 1 failed")).to_be_visible()
    expect(page.get_by_role("region", name="Predictions")).to_contain_text(
        "'wide' is not a number."
    )

    rows.fill("[[1, 2")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Invalid JSON")


def test_a_row_is_predicted_without_a_mouse(page: Page) -> None:
    """Tab, arrows and Enter reach all there is; the first stop skips to the content."""
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.get_by_role("tab", name="One row").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="CSV file")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Choose a CSV file")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Home")
    page.keyboard.press("Tab")
    expect(page.locator("#f0")).to_be_focused()
    page.get_by_role("button", name="Use sample data").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")

    expect(page.locator("#row-result .label")).not_to_be_empty()


def test_the_page_and_the_service_agree_on_what_is_a_number(page: Page) -> None:
    """The page judges the text of a field as the service judges the cell of a CSV."""
    page.goto("/")
    texts = [*ODD_NUMBERS, *NO_NUMBERS, *(f"{chr(code)}1{chr(code)}" for code in range(1 << 16))]
    # What a browser cannot hand over: half of a pair.
    texts = [text for text in texts if not any("\ud800" <= one <= "\udfff" for one in text)]

    found = page.evaluate(
        """async (texts) => {
          const { isBlank, parseNumber } = await import("/static/numbers.js");
          return texts.map((text) => [isBlank(text), Number.isNaN(parseNumber(text))]);
        }""",
        texts,
    )

    errors = [number_error(text) for text in texts]
    assert [blank for blank, _ in found] == [bool(e and e[0] == "missing") for e in errors]
    assert [wrong for _, wrong in found] == [error is not None for error in errors]


def test_a_label_that_comes_after_a_change_is_not_shown(
    page: Page, idle: Callable[[], None]
) -> None:
    """The values that it belongs to are gone; a new prediction may be asked for at once."""
    page.goto("/")
    predict = page.get_by_role("button", name="Predict", exact=True)
    page.get_by_role("button", name="Use sample data").click()
    predict.click()
    expect(predict).to_be_disabled()
    page.locator("#f0").fill("wide")

    expect(predict).to_be_enabled()
    predict.click()
    expect(page.locator("#h0")).to_contain_text("Enter a number")
    with page.expect_response(lambda response: "/jobs" in response.url):
        idle()
    page.wait_for_load_state("networkidle")
    expect(page.locator("#row-result")).to_contain_text("No prediction yet")
    expect(page.locator("#row-result .label")).to_have_count(0)
