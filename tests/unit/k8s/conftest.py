"""The forms in which the manifests are looked at."""

from typing import Any, Final

import pytest

from tests.unit.k8s import manifests
from tests.unit.k8s.manifests import COMPONENTS, K8S

_FORMS: Final = (
    "base",
    *(f"base+{name}" for name in COMPONENTS),
    "rendered local",
    "rendered gke",
    *(f"rendered local+{name}" for name in COMPONENTS[1:]),
    "rendered gke+all",
)


def _param(form: str) -> Any:
    # kubectl takes a second for each.
    return pytest.param(form, marks=pytest.mark.slow if form.startswith("rendered") else ())


@pytest.fixture(scope="session", params=map(_param, _FORMS))
def documents(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The documents as they are written, and as kubectl renders them with each component."""
    form: str = request.param
    if not form.startswith("rendered"):
        base, _, component = form.partition("+")
        return manifests.read(base, *([f"components/{component}"] if component else []))
    overlay, _, added = form.removeprefix("rendered ").partition("+")
    if not added:
        return manifests.render(K8S / "overlays" / overlay)
    names = COMPONENTS[1:] if added == "all" else (added,)
    return manifests.render(
        manifests.with_components(names, overlay, tmp_path_factory.mktemp("k8s"))
    )
