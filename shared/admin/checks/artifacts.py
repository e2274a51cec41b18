"""Are the models whole, and are the libraries here with which they were made?"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from shared.admin.checks.finding import CheckResult, ok, wrong
from shared.admin.command import Stage
from shared.domain.errors import ArtifactRefused, ManifestInvalid, ModelUnknown
from shared.models.manifest import Manifest
from shared.models.registry import ModelRegistry, check_model

_ABOUT: Final = "artifacts"
# Where this one is not, no worker runs.
_WORKERS_OWN: Final = "scikit-learn"


def check_artifacts(stage: Stage) -> Iterator[CheckResult]:
    """Look at every artifact as a worker does before it interprets any of it."""
    root = stage.settings.model_root
    try:
        catalog = ModelRegistry.read(root)
        default = catalog.resolve(stage.settings.default_model)
    except ManifestInvalid as error:
        yield wrong(_ABOUT, error.detail, "Mend or remove it, or publish the model again.")
        return
    except ModelUnknown as error:
        yield wrong(
            _ABOUT, f"{error.detail} ({root.absolute()})",
            "Mend DRYBEANS_MODEL_ROOT or DRYBEANS_DEFAULT_MODEL.",
        )  # fmt: skip
        return
    for manifest in catalog.all():
        yield from _check(catalog, manifest)
    yield ok(_ABOUT, f"Jobs that name no model get {default.id}.")


def _check(catalog: ModelRegistry, manifest: Manifest) -> Iterator[CheckResult]:
    try:
        check_model(catalog.folder(manifest), manifest)
    except ArtifactRefused as error:
        yield wrong(_ABOUT, error.detail, "Put the right file there, or publish the model again.")
        return
    if installed(_WORKERS_OWN) is None:
        yield ok(_ABOUT, f"{manifest.id} is whole; its libraries are only where workers run.")
        return
    differ = [
        f"{library} {needed} (here is {installed(library) or 'none'})"
        for library, needed in manifest.libraries.items()
        if installed(library) != needed
    ]
    if differ:
        yield wrong(
            _ABOUT, f"{manifest.id} was made with {', '.join(differ)}.",
            "Install these versions, or train and publish the model anew.",
        )  # fmt: skip
    else:
        yield ok(_ABOUT, f"{manifest.id} is whole, and its libraries are here.")


def installed(library: str) -> str | None:
    """Return the installed version of a library, None when there is none."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None
