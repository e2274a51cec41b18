"""Following a job through a real server, which gives a stream its turn piece by piece."""

from tests.e2e.service import Service
from tests.working import BEAN


def test_a_job_is_followed_to_its_end(service: Service) -> None:
    """From a stream that stays open until there is nothing more to tell."""
    with service.client() as client:
        job = client.post("/jobs", json={"instances": [BEAN]}).json()
        with client.stream("GET", job["links"]["events"]) as answer:
            text = answer.read().decode()

    assert answer.status_code == 200
    assert text.count("event: end") == 1
    assert '"state":"succeeded"' in text.rpartition("event: job")[2]


def test_the_apis_page_shows_its_document(service: Service) -> None:
    """The page, its script and the document come from the same place."""
    with service.client() as client:
        assert "swagger-ui-bundle.js" in client.get("/docs").text
        assert client.get("/docs/swagger-ui-bundle.js").status_code == 200
        assert client.get("/openapi.json").json()["openapi"].startswith("3.1")
