"""Loads model artifacts once they have proven themselves, and publishes new ones whole."""

import dataclasses
import functools
import hashlib
import importlib
import importlib.metadata
import io
import json
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import skops.io as sio
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from shared.domain.errors import ArtifactRefused, ManifestInvalid
from shared.models.manifest import Golden, Manifest, manifest_document
from shared.models.registry import (
    ALIASES_FILE,
    DEFAULT,
    MANIFEST_FILE,
    last_published,
    read_aliases,
    read_manifest,
    read_model,
)

Floats: TypeAlias = NDArray[np.float64]
Estimator: TypeAlias = Any
"""A fitted scikit-learn classifier; the library has no type for one."""

MODEL_FILE: Final = "model.skops"
_TOLERANCE: Final = 1e-6
"""How far a golden probability may be off: other CPUs and BLAS builds round differently."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Artifact:
    """A model that has proven itself: what its manifest says, and the fitted classifier."""

    manifest: Manifest
    estimator: Estimator


def load(folder: Path) -> Artifact:
    """Load the artifact in `folder`.

    Nothing of the model file is interpreted before its size and hash are those of the manifest
    and the libraries it needs are here in the same versions. Then it may only hold types that
    skops or the manifest trusts, must be a fitted classifier of the manifest's features and
    classes, and must answer the golden rows as the manifest says. Raises `ArtifactRefused`.
    """
    try:
        manifest = read_manifest(folder)
    except ManifestInvalid as error:
        raise ArtifactRefused(error.detail) from error
    content = read_model(folder, manifest)
    check_libraries(manifest)
    estimator = _interpret(content, manifest)
    _check_kind(estimator, manifest)
    _check_golden(estimator, manifest)
    return Artifact(manifest=manifest, estimator=estimator)


def publish(
    root: Path,
    manifest: Manifest,
    estimator: Estimator,
    *,
    replace_unpublished: bool = False,
    default: bool = True,
) -> Path:
    """Write the fitted `estimator` and `manifest` under `root` and return the artifact's folder.

    The manifest's size, hash, libraries and scikit-learn's own types are worked out here; other
    types that skops does not trust must be named in it.
    The artifact is written aside, loaded back as a worker would, and only then moved to its
    place, so that nobody sees half of one. `default` lets the model's plain name stand for this
    version. Raises `ArtifactRefused` when it would not load, or when the version is there
    already, unless it is not published yet and `replace_unpublished` allows to write over it.
    """
    target = root / manifest.name / str(manifest.version)
    _check_free(target, manifest, replace_unpublished=replace_unpublished)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".publishing-", dir=root) as aside:
        folder = Path(aside) / manifest.name / str(manifest.version)
        folder.mkdir(parents=True)
        _write(folder, manifest, estimator)
        load(folder)
        target.parent.mkdir(exist_ok=True)
        # Again: another publisher may have come first while this one was loading.
        _check_free(target, manifest, replace_unpublished=replace_unpublished)
        if target.exists():
            shutil.move(target, Path(aside) / "replaced")
        try:
            folder.rename(target)
        except OSError as error:
            raise ArtifactRefused(f"{target} cannot be written ({error.strerror}).") from error
    if default:
        _set_default(target.parent, manifest.version)
    return target


def _check_free(target: Path, manifest: Manifest, *, replace_unpublished: bool) -> None:
    if not target.exists():
        return
    if manifest.version <= last_published(target.parent):
        raise ArtifactRefused(
            f"{manifest.id} is published: an alias stands for it or for a later version, so jobs "
            "may be pinned to it. Publish the next version instead."
        )
    if not replace_unpublished:
        raise ArtifactRefused(
            f"{manifest.id} is there already. It is not published, so --replace-unpublished may "
            "write over it."
        )


def golden_of(estimator: Estimator, rows: Floats) -> Golden:
    """Record what `estimator` says of `rows`, (n, features), for a manifest."""
    labels, probabilities = answers(estimator, rows)
    return Golden(
        rows=tuple(map(tuple, rows.tolist())),
        labels=tuple(labels),
        probabilities=None if probabilities is None else tuple(map(tuple, probabilities.tolist())),
    )


def untrusted_types(content: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """Name the types in a skops file that skops does not trust: scikit-learn's own, and others.

    Its trees and splitters are among the former; a manifest may trust them without a second look.
    """
    names = frozenset(sio.get_untrusted_types(data=content))
    own = frozenset(name for name in names if _is_sklearns_own(name))
    return own, names - own


def _is_sklearns_own(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    if not module.startswith("sklearn."):
        return False
    # What a module of scikit-learn merely imports from elsewhere is not its own.
    found = getattr(importlib.import_module(module), attribute, None)
    return isinstance(found, type) and found.__module__.startswith("sklearn.")


def check_libraries(manifest: Manifest) -> None:
    """Check that the libraries are here with which the artifact was made: `ArtifactRefused`."""
    for library, needed in manifest.libraries.items():
        found = _installed(library)
        if found != needed:
            raise ArtifactRefused(
                f"{manifest.id} was made with {library} {needed}; here is {found or 'none'}. "
                "Install that version, or train and publish the model anew."
            )


def _installed(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _interpret(content: bytes, manifest: Manifest) -> Estimator:
    try:
        unknown = set(sio.get_untrusted_types(data=content)) - set(manifest.trusted_types)
        # Looked at first: loading would already import the module of an unknown type.
        estimator = None if unknown else sio.loads(content, trusted=list(manifest.trusted_types))
    except Exception as error:  # a foreign file can make its reader raise anything
        raise ArtifactRefused(
            f"The model file of {manifest.id} is not a skops file that can be read ({error})."
        ) from error
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ArtifactRefused(
            f"The model file of {manifest.id} holds types that are not trusted: {names}."
        )
    return estimator


def _check_kind(estimator: Estimator, manifest: Manifest) -> None:
    def refuse(what: str) -> ArtifactRefused:
        return ArtifactRefused(f"The model file of {manifest.id} holds {what}.")

    kind = type(estimator).__name__
    if not hasattr(estimator, "fit"):
        raise refuse(f"no estimator but an object of type {kind}")
    if not is_classifier(estimator):
        raise refuse(f"no classifier but a {kind}")
    try:
        check_is_fitted(estimator)
        classes = tuple(map(str, estimator.classes_))
    except (ValueError, AttributeError) as error:
        raise refuse(f"a {kind} that was never fitted") from error
    if classes != manifest.classes:
        raise refuse(f"a {kind} of the classes {', '.join(classes)}, which are not the manifest's")
    width = getattr(estimator, "n_features_in_", len(manifest.features))
    if width != len(manifest.features):
        raise refuse(f"a {kind} of {width} features; the manifest has {len(manifest.features)}")
    if "probabilities" in manifest.outputs and not hasattr(estimator, "predict_proba"):
        raise refuse(f"a {kind}, which gives no probabilities though the manifest says so")


def _check_golden(estimator: Estimator, manifest: Manifest) -> None:
    golden = manifest.golden
    try:
        labels, probabilities = answers(estimator, np.array(golden.rows))
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise ArtifactRefused(f"{manifest.id} cannot predict its golden rows ({error}).") from error
    wrong = sum(found != said for found, said in zip(labels, golden.labels, strict=True))
    if wrong:
        raise ArtifactRefused(
            f"{manifest.id} gives {wrong} of its {len(labels)} golden rows another label than its "
            "manifest says."
        )
    if golden.probabilities is not None:
        off = float(np.abs(np.asarray(probabilities) - np.array(golden.probabilities)).max())
        if not off <= _TOLERANCE:
            raise ArtifactRefused(
                f"{manifest.id} gives its golden rows probabilities that are off by {off:.2g}."
            )


def answers(estimator: Estimator, rows: Floats) -> tuple[list[str], Floats | None]:
    """Ask a fitted `estimator` for labels and, when it has them, probabilities of `rows`."""
    table: Any = rows
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        import pandas as pd  # noqa: PLC0415 - only a model fitted on a table of names needs it

        table = pd.DataFrame(rows, columns=names)
    labels = [str(label) for label in estimator.predict(table)]
    with_chances = hasattr(estimator, "predict_proba")
    return labels, np.asarray(estimator.predict_proba(table)) if with_chances else None


def _write(folder: Path, manifest: Manifest, estimator: Estimator) -> None:
    content = sio.dumps(estimator, compression=zipfile.ZIP_DEFLATED)
    complete = dataclasses.replace(
        manifest,
        model_file=MODEL_FILE,
        model_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        trusted_types=tuple(sorted(untrusted_types(content)[0].union(manifest.trusted_types))),
        libraries=_libraries_of(content) | dict(manifest.libraries),
    )
    document = json.dumps(manifest_document(complete), indent=1, allow_nan=False)
    (folder / MODEL_FILE).write_bytes(content)
    (folder / MANIFEST_FILE).write_text(_compact(document) + "\n", encoding="utf-8")


def _compact(document: str) -> str:
    """Put each innermost list of indented JSON on one line: a row of numbers is read as a row."""
    # A line break inside a text is escaped, so only the indentation is touched.
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\n\s*", " ", found[0]), document)


def _libraries_of(content: bytes) -> dict[str, str]:
    """Name the distributions, besides NumPy and SciPy, whose types a skops file holds."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = archive.read("schema.json").decode()
    modules = set(re.findall(r'"__module__": "(\w+)', schema)) - set(sys.stdlib_module_names)
    found = {name for module in modules for name in _distributions().get(module, ())}
    return {name: importlib.metadata.version(name) for name in sorted(found - {"numpy", "scipy"})}


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Return which installed distributions bring each package; it reads them all, so only once."""
    return importlib.metadata.packages_distributions()


def _set_default(folder: Path, version: int) -> None:
    aliases = read_aliases(folder) | {DEFAULT: version}
    aside = folder / f".{ALIASES_FILE}"
    aside.write_text(json.dumps(aliases) + "\n", encoding="utf-8")
    aside.replace(folder / ALIASES_FILE)
