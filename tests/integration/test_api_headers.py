"""What browsers are told with every answer, and with every page."""

import pytest

from tests.service import Service

# One kind of database: headers see no difference.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

_PAGES = ["/", "/docs", "/ui/jobs", "/ui/jobs/x", "/ui/models", "/ui/models/none/9"]
_OTHERS = ["/healthz", "/openapi.json", "/jobs", "/jobs/unknown", "/nowhere", "/static/base.css"]


@pytest.mark.parametrize("path", [*_PAGES, *_OTHERS])
def test_every_answer_tells_browsers_to_be_careful(service: Service, path: str) -> None:
    """No guessing of types, no address passed on, no embedding in other sites."""
    with service.client.get(path) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("path", _PAGES)
def test_every_page_loads_from_here_only(service: Service, path: str) -> None:
    """No inline script or style, no other site, no frame around it; a page of an error too."""
    with service.client.get(path) as answer:
        assert answer.mimetype == "text/html"
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["Content-Security-Policy"].split(";")
        )
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in " ".join(policy.values())


def test_what_is_no_page_has_no_policy_for_pages(service: Service) -> None:
    """Results and problems stay short."""
    assert "Content-Security-Policy" not in service.client.get("/nowhere").headers
