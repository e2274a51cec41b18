"""Pages and documents of models whose manifests hold metrics of any shape."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.app import create_app
from api.jobs.model_catalog import ModelCatalog
from shared.models.manifest import Histogram
from tests.models import a_feature, an_artifact
from tests.service import Service
from worker.models.loader import ModelLoader

ODD: tuple[Any, ...] = (
    None, True, 3, -1.5, "", "many", [], [[]], [1, 2], {}, {"a": None}, 1e300,
    [[1, 2, 3]], [[1, 2], [3, 4], [5, 6]], [["x"] * 3] * 3, [[-1] * 3] * 3,
)  # fmt: skip
PLACES = (
    "metrics/held_out", "metrics/held_out/rows", "metrics/held_out/split",
    "metrics/held_out/accuracy", "metrics/held_out/log_loss", "metrics/held_out/baselines",
    "metrics/held_out/baselines/majority", "metrics/held_out/baselines/majority/accuracy",
    "metrics/held_out/per_class", "metrics/held_out/per_class/a",
    "metrics/held_out/per_class/a/precision", "metrics/held_out/per_class/a/rows",
    "metrics/held_out/confusion", "training/rows", "training/data", "training/model",
)  # fmt: skip
PATHS = ("/", "/ui/models", "/ui/models/toy/1", "/models", "/models/toy", "/models/toy/1")


def nested(place: str, value: Any) -> dict[str, Any]:
    """Return metrics and training with `value` at `place`."""
    for name in reversed(place.split("/")):
        value = {name: value}
    found: dict[str, Any] = {"metrics": {}, "training": {}} | value
    return found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_model_with_odd_metrics_is_shown(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Whatever stands where figures are expected: it is left out, and no page fails."""
    far = Histogram(edges=(-1e299, 0.0, 5e-324, 1e299), counts=(1, 2, 0))
    features = tuple(a_feature(name, histogram=far) for name in ("Area", "Length", "Width"))
    file = an_artifact(tmp_path, features=features) / "manifest.json"
    document = json.loads(file.read_text())
    service = Service(database_url, redis_url, models=ModelLoader(tmp_path), default_model="toy")
    moment = iter(range(10**6))
    catalog = ModelCatalog(tmp_path, clock=lambda: float(next(moment)))
    services = replace(service.services, catalog=catalog)
    client = create_app(services).test_client()
    failed = []
    for place in PLACES:
        for value in ODD:
            file.write_text(json.dumps(document | nested(place, value)))
            failed += [
                (path, place, value) for path in PATHS if client.get(path).status_code != 200
            ]
    service.stop()

    assert failed == []
