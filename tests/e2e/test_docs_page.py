"""The page that shows the OpenAPI document."""

from playwright.sync_api import Page, expect


def test_the_api_is_shown_with_what_is_served_from_here(page: Page) -> None:
    """Operations can be opened, under a policy without other sites and inline scripts."""
    page.goto("/docs")

    expect(page.get_by_role("heading", name="drybeans")).to_be_visible()
    page.locator("#operations-jobs-submitJob").get_by_role("button").first.click()
    expect(page.get_by_text("Idempotency-Key").first).to_be_visible()
