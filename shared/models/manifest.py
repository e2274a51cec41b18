"""What an artifact says of itself: the manifest beside the model, checked before it counts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from shared.domain.errors import FieldError, ManifestInvalid
from shared.domain.jobs import ModelPin
from shared.models.nodes import Node

FORMAT: Final = 1
OUTPUTS: Final = ("label", "probabilities")

_LAST_VERSION: Final = 2**31 - 1

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How a feature was distributed in training.

    Bin i holds values from `edges[i]` up to, but not including, `edges[i + 1]`; the outermost bins
    are open to their sides. The inner edges are the training deciles, so bins are about even.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One column that the model takes; `aliases` are other names it goes by.

    `minimum` and `maximum` are the range seen in training. `histogram` is None for a column that
    never changed there.
    """

    name: str
    unit: str
    description: str
    aliases: tuple[str, ...]
    minimum: float
    maximum: float
    histogram: Histogram | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Made-up rows with the answers that a rightly loaded model gives; they prove a loaded model.

    `probabilities` is None for a model that has none.
    """

    rows: tuple[tuple[float, ...], ...]
    labels: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One version of a model. `classes` stand in the order of the estimator's `classes_`.

    `libraries` names the distributions, with their exact versions, that the model needs.
    `columns` maps every accepted spelling of a feature, in lower case, to the feature's position.
    """

    name: str
    version: int
    description: str
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    outputs: tuple[str, ...]
    label_rule: str
    model_file: str
    model_bytes: int
    sha256: str
    trusted_types: tuple[str, ...]
    libraries: Mapping[str, str]
    golden: Golden
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    sample: tuple[tuple[float, ...], ...]
    columns: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out `columns` once: every request reads it."""
        columns = {
            spelling.lower(): position
            for position, feature in enumerate(self.features)
            for spelling in (feature.name, *feature.aliases)
        }
        object.__setattr__(self, "columns", columns)

    @property
    def id(self) -> str:
        """Name and version in one word, such as "drybeans@2"."""
        return f"{self.name}@{self.version}"

    @property
    def pin(self) -> ModelPin:
        """Return what a job that is accepted for this artifact is pinned to."""
        return ModelPin(self.name, self.version, self.sha256)


def parse_manifest(document: object) -> Manifest:
    """Check `document`, a decoded manifest.json, and give it a type.

    Raises `ManifestInvalid`, whose `faults` name everything that is wrong, not only the first.
    """
    faults: list[FieldError] = []
    manifest = _manifest(Node(document, faults, code=ManifestInvalid.code))
    if not faults:
        _check_whole(manifest, faults)
    if faults:
        listed = "; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults)
        raise ManifestInvalid(f"The manifest is not valid: {listed}", faults=tuple(faults))
    return manifest


def manifest_document(manifest: Manifest) -> dict[str, Any]:
    """Write `manifest` as the document that `parse_manifest` reads."""
    return {
        "format": FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "features": [_feature_document(feature) for feature in manifest.features],
        "classes": manifest.classes,
        "outputs": manifest.outputs,
        "label_rule": manifest.label_rule,
        "model": {
            "file": manifest.model_file,
            "sha256": manifest.sha256,
            "bytes": manifest.model_bytes,
            "trusted_types": manifest.trusted_types,
        },
        "libraries": manifest.libraries,
        "metrics": manifest.metrics,
        "training": manifest.training,
        "sample": manifest.sample,
        "golden": {
            "rows": manifest.golden.rows,
            "labels": manifest.golden.labels,
            "probabilities": manifest.golden.probabilities,
        },
    }


def _feature_document(feature: Feature) -> dict[str, Any]:
    histogram = feature.histogram
    return {
        "name": feature.name,
        "unit": feature.unit,
        "description": feature.description,
        "aliases": feature.aliases,
        "minimum": feature.minimum,
        "maximum": feature.maximum,
        "histogram": histogram and {"edges": histogram.edges, "counts": histogram.counts},
    }


def _texts(node: Node) -> tuple[str, ...]:
    return node.each(Node.text)


def _numbers(node: Node) -> tuple[float, ...]:
    return node.each(Node.number)


def _table(node: Node) -> tuple[tuple[float, ...], ...]:
    return node.each(_numbers, least=1)


def _manifest(node: Node) -> Manifest:
    if node["format"].count() != FORMAT:
        node["format"].fault(f"only format {FORMAT} is known")
    model, golden = node["model"], node["golden"]
    return Manifest(
        name=node["name"].text(_NAME),
        version=node["version"].count(least=1, most=_LAST_VERSION),
        description=node["description"].text(),
        features=node["features"].each(_feature, least=1),
        classes=node["classes"].each(Node.text, least=2),
        outputs=_texts(node["outputs"]),
        label_rule=node["label_rule"].text(),
        model_file=model["file"].text(_FILE),
        model_bytes=model["bytes"].count(least=1),
        sha256=model["sha256"].text(_SHA256),
        trusted_types=_texts(model["trusted_types"]),
        libraries=node["libraries"].members(Node.text),
        golden=Golden(
            rows=_table(golden["rows"]),
            labels=_texts(golden["labels"]),
            probabilities=golden["probabilities"].optional(_table),
        ),
        metrics=node["metrics"].members(Node.value),
        training=node["training"].members(Node.value),
        sample=_table(node["sample"]),
    )


def _feature(node: Node) -> Feature:
    return Feature(
        name=node["name"].text(),
        unit=node["unit"].text(),
        description=node["description"].text(),
        aliases=_texts(node["aliases"]),
        minimum=node["minimum"].number(),
        maximum=node["maximum"].number(),
        histogram=node["histogram"].optional(_histogram),
    )


def _histogram(node: Node) -> Histogram:
    return Histogram(edges=_numbers(node["edges"]), counts=node["counts"].each(Node.count))


def _check_whole(manifest: Manifest, faults: list[FieldError]) -> None:
    """Check what no part can know alone: that the parts fit each other."""
    golden, rows = manifest.golden, len(manifest.golden.rows)
    chances = golden.probabilities
    checks: list[tuple[str, str, bool]] = [
        ("/classes", "a class is named twice", _distinct(manifest.classes)),
        ("/outputs", f"some of {OUTPUTS} with label", _outputs_known(manifest.outputs)),
        ("/features", "two features share a name or alias", _spelled_apart(manifest)),
        ("/golden/rows", "a row does not fit the features", _fit(golden.rows, manifest.features)),
        ("/sample", "a row does not fit the features", _fit(manifest.sample, manifest.features)),
        ("/golden/labels", "one label for each row", len(golden.labels) == rows),
        ("/golden/labels", "not a class", set(golden.labels) <= set(manifest.classes)),
        (
            "/golden/probabilities",
            "needed just when the outputs have probabilities",
            (chances is not None) == ("probabilities" in manifest.outputs),
        ),
    ]
    if chances is not None:
        fits = len(chances) == rows and _fit(chances, manifest.classes)
        checks.append(("/golden/probabilities", "one for each row and class", fits))
    for index, feature in enumerate(manifest.features):
        fits = feature.minimum <= feature.maximum
        checks.append((f"/features/{index}", "minimum exceeds maximum", fits))
        fits = feature.histogram is None or _bins_fit(feature.histogram)
        checks.append((f"/features/{index}/histogram", "edges ascend, one more than counts", fits))
    faults += [
        FieldError(pointer=pointer, code=ManifestInvalid.code, detail=detail)
        for pointer, detail, holds in checks
        if not holds
    ]


def _distinct(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names)


def _outputs_known(outputs: Sequence[str]) -> bool:
    return "label" in outputs and set(outputs) <= set(OUTPUTS) and _distinct(outputs)


def _spelled_apart(manifest: Manifest) -> bool:
    spellings = [
        {spelling.lower() for spelling in (feature.name, *feature.aliases)}
        for feature in manifest.features
    ]
    return sum(map(len, spellings)) == len(manifest.columns)


def _fit(rows: Sequence[Sequence[float]], columns: Sequence[object]) -> bool:
    return all(len(row) == len(columns) for row in rows)


def _bins_fit(histogram: Histogram) -> bool:
    edges = histogram.edges
    ascending = all(low < high for low, high in pairwise(edges))
    return ascending and len(edges) == len(histogram.counts) + 1 and len(edges) > 1
