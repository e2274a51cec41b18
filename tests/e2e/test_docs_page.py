"""The page of the API: it shows the OpenAPI document and tries its operations."""

from typing import Any, Final

import pytest
from playwright.sync_api import Page, Response, expect

from tests.e2e.service import Service
from tests.working import BEAN

# A finished job without a webhook can neither be canceled nor retried, nor its webhook redelivered.
_EXPECTED_ERRORS: Final = {"retryJob": 409, "cancelJob": 409, "redeliverWebhook": 409}


def test_the_api_is_shown_with_what_is_served_from_here(page: Page) -> None:
    """Operations can be opened, under a policy without other sites and inline scripts."""
    page.goto("/docs")

    expect(page.get_by_role("heading", name="drybeans")).to_be_visible()
    page.locator("#operations-jobs-submitJob").get_by_role("button").first.click()
    expect(page.get_by_text("Idempotency-Key").first).to_be_visible()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_operation_can_be_tried_without_any_input(embedded: Service, page: Page) -> None:
    """Try it out and Execute succeed with the prefilled values; job_id is the newest job's."""
    with embedded.client() as client:
        wait = {"Prefer": "wait=30"}
        client.post("/jobs", json={"instances": [BEAN]}, headers=wait).raise_for_status()
        document = client.get("/openapi.json").json()
    page.goto("/docs")
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    # Other operations need the job, so it is deleted last.
    operations.sort(key=lambda one: one[1] == "delete")
    found = {one[2]["operationId"]: try_out(page, *one) for one in operations}

    wrong = {
        name: (
            response.status,
            response.request.url,
            response.request.post_data,
            response.text()[:300],
        )
        for name, response in found.items()
        if not response.ok and response.status != _EXPECTED_ERRORS.get(name)
    }
    assert wrong == {}
    assert len(found) > 25


def try_out(page: Page, path: str, method: str, operation: dict[str, Any]) -> Response:
    """Open an operation, click on "Try it out" and "Execute", and return the response."""
    block = page.locator(f"#operations-{operation['tags'][0]}-{operation['operationId']}")
    block.get_by_role("button").first.click()
    block.get_by_role("button", name="Try it out").click()
    start = path.split("{", maxsplit=1)[0]
    with page.expect_response(
        lambda response: response.request.method == method.upper() and start in response.url
    ) as expected:
        block.get_by_role("button", name="Execute").click()
    block.get_by_role("button").first.click()
    return expected.value
