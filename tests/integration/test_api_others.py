"""The home page, the models, and whether the service is healthy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models import a_feature, an_artifact
from tests.service import MODEL_ROOT, Service
from worker.models.loader import ModelLoader


def test_the_home_page_says_what_to_send(service: Service) -> None:
    """A page with the model's columns and rows to try."""
    answer = service.client.get("/")

    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    assert "drybeans@2" in answer.text
    assert "ShapeFactor4" in answer.text


def test_what_the_home_page_needs_is_served_from_here(service: Service) -> None:
    """No other site learns who looks at it."""
    page = service.client.get("/").text
    links = [part.split('"')[0] for mark in ('src="', 'href="') for part in page.split(mark)[1:]]

    for link in links:
        assert not link.startswith(("http:", "https:", "//"))
        if link.startswith("/static"):
            with service.client.get(link) as answer:
                assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/?model=drybeans@1", "/ui/jobs", "/ui/jobs/x", "/ui/models", "/ui/models/drybeans/2"],
)
def test_pages_are_open_where_keys_are_on(start: Callable[..., Service], path: str) -> None:
    """A key is asked for by the page; it cannot come with a navigation."""
    answer = start(api_keys=True).client.get(path)

    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "style=" not in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize("path", ["/", "/ui/models", "/ui/models/toy/1"])
def test_pages_show_a_model_that_tells_little(
    database_url: str, redis_url: str, tmp_path: Path, path: str
) -> None:
    """Any classifier can take the place of the one that ships: no metrics, no histogram."""
    features = (a_feature("Width", histogram=None, unit="1"), a_feature("Mass"), a_feature("Age"))
    an_artifact(tmp_path, features=features, metrics={}, training={})
    service = Service(database_url, redis_url, models=ModelLoader(tmp_path), default_model="toy")

    answer = service.client.get(path)

    service.stop()
    assert answer.status_code == 200
    assert "toy" in answer.text
    assert "bean" not in answer.text.replace("drybeans", "")


@pytest.mark.parametrize("path", ["/?model=none", "/ui/models/drybeans/9"])
def test_a_page_of_no_model_is_a_page_that_says_so(service: Service, path: str) -> None:
    """A person sees words, not JSON."""
    answer = service.client.get(path)

    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "Model not found" in answer.text
    assert "drybeans@2" in answer.text


def test_the_models_are_listed_with_their_default(service: Service) -> None:
    """Name, version, classes, and where there is more."""
    models = service.client.get("/models").get_json()["models"]

    assert [(m["name"], m["version"], m["default"]) for m in models] == [
        ("drybeans", 1, False),
        ("drybeans", 2, True),
    ]
    assert models[1]["links"]["self"] == "/models/drybeans/2"
    assert len(models[1]["classes"]) == 7


def test_a_model_says_what_it_takes_and_gives(service: Service) -> None:
    """All that is needed to send rows to it, and to trust it."""
    model = service.client.get("/models/drybeans/2").get_json()

    assert len(model["features"]) == 16
    assert model["features"][0]["name"] == "Area"
    assert model["features"][0]["unit"]
    assert model["outputs"] == ["label", "probabilities"]
    assert model["label_rule"]
    assert model["metrics"]
    assert all(len(row) == 16 for row in model["sample"])


@pytest.mark.parametrize("path", ["/models/drybeans", "/models/drybeans/default"])
def test_a_model_without_a_version_is_its_default(service: Service, path: str) -> None:
    """Plain name and alias stand for the same version."""
    assert service.client.get(path).get_json()["version"] == 2


@pytest.mark.parametrize("path", ["/models/beans", "/models/drybeans/3", "/models/drybeans/x"])
def test_a_model_that_there_is_not_is_not_found(service: Service, path: str) -> None:
    """404 names those that there are."""
    answer = service.client.get(path)

    assert (answer.status_code, answer.get_json()["code"]) == (404, "model_not_found")
    assert "drybeans@2" in answer.get_json()["detail"]


def test_a_models_sample_can_be_sent_as_it_is(service: Service) -> None:
    """The first thing that somebody tries works."""
    sample = service.client.get("/models/drybeans").get_json()["sample"]

    job = service.client.post("/jobs", json={"instances": sample}).get_json()

    assert service.finish(job["id"])["state"] == "succeeded"


def test_a_healthy_service_says_so(service: Service) -> None:
    """The process lives; database and Redis answer."""
    assert service.client.get("/healthz").get_json() == {"status": "ok"}
    ready = service.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.get_json()["checks"]["database"] == "ok"
    assert ready.get_json()["checks"]["redis"] == "ok"


def test_a_service_without_redis_is_degraded_and_ready(
    database_url: str, models: ModelLoader
) -> None:
    """It still takes jobs, so no balancer may take it away."""
    service = Service(database_url, "redis://127.0.0.1:1/0", models=models)

    ready = service.client.get("/readyz")

    assert (ready.status_code, ready.get_json()["status"]) == (200, "degraded")
    assert ready.get_json()["checks"]["redis"] == "down"
    assert service.client.get("/healthz").status_code == 200
    service.stop()


def test_a_service_without_its_database_is_alive_and_not_ready(redis_url: str) -> None:
    """It need not be restarted, but nothing should be sent to it."""
    url = "mysql+pymysql://nobody:secret@127.0.0.1:1/drybeans"
    service = Service(url, redis_url, models=ModelLoader(MODEL_ROOT))

    ready = service.client.get("/readyz")

    assert ready.status_code == 503
    assert ready.get_json()["checks"]["database"] == "down"
    assert "Retry-After" in ready.headers
    assert "secret" not in ready.text
    assert service.client.get("/healthz").status_code == 200
    service.stop()
