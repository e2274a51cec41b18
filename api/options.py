"""The options of a job, the same whether they come in JSON, in a query or in a form."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from api.reading import Faults, pointer
from shared.domain.errors import ModelUnknown
from shared.domain.manifest import Manifest

OPTIONS: Final = frozenset({"model", "outputs", "labels", "retention_seconds"})
LABEL_PREFIX: Final = "label."
_MOST_LABELS: Final = 16
_LABEL_LENGTH: Final = 64


class Resolve(Protocol):
    """Finds the manifest that a model's name stands for; raises `ModelUnknown`."""

    def __call__(self, name: str, /) -> Manifest:
        """Find it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a client asks for beside the rows."""

    manifest: Manifest
    outputs: tuple[str, ...]
    labels: Mapping[str, str]
    retention: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """Reads the options; `longest` is the default and the limit of `retention_seconds`."""

    resolve: Resolve
    default_model: str
    longest: timedelta

    def __call__(self, document: Mapping[str, Any], known: frozenset[str]) -> Options:
        """Read the options in `document`, in which only `known` members may be.

        Raises `RequestInvalid` with every fault.
        """
        faults = Faults()
        for name in sorted(document.keys() - known):
            detail = f"There is no {name[:80]!r} here; known are {', '.join(sorted(known))}."
            faults.add(pointer(name), "unknown_member", detail)
        labels = _read_labels(document.get("labels", {}), faults)
        retention = _read_retention(document.get("retention_seconds"), self.longest, faults)
        manifest = _read_model(document.get("model", self.default_model), self.resolve, faults)
        outputs = _read_outputs(document.get("outputs", ["label"]), manifest, faults)
        faults.raise_any()
        assert manifest is not None  # noqa: S101 - else there is a fault
        return Options(manifest=manifest, outputs=outputs, labels=labels, retention=retention)


def _read_model(name: object, resolve: Resolve, faults: Faults) -> Manifest | None:
    if not isinstance(name, str):
        faults.add("/model", "not_text", 'model must be text such as "drybeans" or "drybeans@1".')
        return None
    try:
        return resolve(name)
    except ModelUnknown as error:
        faults.add("/model", error.code, error.detail)
        return None


def _read_outputs(outputs: object, manifest: Manifest | None, faults: Faults) -> tuple[str, ...]:
    possible = manifest.outputs if manifest else ("label", "probabilities")
    if not (isinstance(outputs, list) and outputs and all(name in possible for name in outputs)):
        detail = f"outputs must be a list of one or more of: {', '.join(possible)}."
        faults.add("/outputs", "outputs", detail)
        return ()
    return tuple(name for name in possible if name == "label" or name in outputs)


def _read_labels(labels: object, faults: Faults) -> dict[str, str]:
    if not isinstance(labels, dict) or len(labels) > _MOST_LABELS:
        detail = f"labels must be an object of at most {_MOST_LABELS} pairs of text."
        faults.add("/labels", "labels", detail)
        return {}
    for name, value in labels.items():
        if not (_is_label(name) and _is_label(value)):
            detail = (
                f"A label is a pair of texts of 1 to {_LABEL_LENGTH} characters, without spaces "
                "at either end."
            )
            faults.add(pointer("labels", name), "label", detail)
    return labels


def _is_label(text: object) -> bool:
    # MySQL takes texts that differ only in spaces at the end for the same.
    return isinstance(text, str) and 0 < len(text) <= _LABEL_LENGTH and text == text.strip()


def _read_retention(seconds: object, longest: timedelta, faults: Faults) -> timedelta:
    if seconds is None:
        return longest
    most = round(longest.total_seconds())
    whole = isinstance(seconds, int) and not isinstance(seconds, bool)
    if not whole or not 1 <= seconds <= most:  # type: ignore[operator]
        detail = f"retention_seconds must be a whole number from 1 to {most}."
        faults.add("/retention_seconds", "retention_seconds", detail)
        return longest
    return timedelta(seconds=seconds)  # type: ignore[arg-type]
