"""Tensors of the Open Inference Protocol: parse rows and write labels.

The protocol: https://github.com/kserve/open-inference-protocol, "V2 inference REST".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.schemas.job import ResultRow, Tensor
from shared.domain.errors import RequestInvalid
from shared.models.manifest import Manifest

_NUMBERS: Final = frozenset({"FP64", "FP32", "INT64", "INT32", "INT16", "INT8", "UINT8"})
LABELS: Final = "predict"
PROBABILITIES: Final = "predict_proba"

INPUTS: Final[dict[str, Any]] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string", "enum": sorted(_NUMBERS)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            # Flat, or nested as in the shape.
            "data": {
                "type": "array",
                "items": {"anyOf": [{"type": "number"}, {"type": "array", "items": {}}]},
            },
        },
        "required": ["name", "datatype", "shape", "data"],
    },
}
"""The JSON schema of the tensors that `parse_tensors` reads."""


def parse_tensors(inputs: object, manifest: Manifest) -> list[list[Any]]:
    """Return the rows of one tensor of shape [rows, features], or of one tensor per feature.

    Raise `RequestInvalid`. The values are validated with the rows, as for any job.
    """
    if not isinstance(inputs, list) or not all(isinstance(tensor, dict) for tensor in inputs):
        raise RequestInvalid("inputs must be a list of tensors.")
    names = [feature.name for feature in manifest.features]
    if len(inputs) == 1 and len(names) > 1:
        return _one_tensor(inputs[0], len(names))
    return _columns(inputs, manifest)


def _one_tensor(tensor: Mapping[str, Any], width: int) -> list[list[Any]]:
    shape, data = _read(tensor)
    if len(shape) != 2 or shape[1] != width:  # noqa: PLR2004 - rows and features
        raise RequestInvalid(f"The tensor's shape must be [rows, {width}]; it is {list(shape)}.")
    return [data[at : at + width] for at in range(0, len(data), width)]


def _columns(inputs: Sequence[Mapping[str, Any]], manifest: Manifest) -> list[list[Any]]:
    columns: dict[int, list[Any]] = {}
    for tensor in inputs:
        name = tensor.get("name")
        position = manifest.columns.get(name.lower()) if isinstance(name, str) else None
        if position is None or position in columns:
            raise RequestInvalid(f"{str(name)[:80]!r} is not a feature or is repeated.")
        columns[position] = _read(tensor)[1]
    missing = [f.name for at, f in enumerate(manifest.features) if at not in columns]
    if missing:
        raise RequestInvalid(
            f"Send one tensor of shape [rows, {len(manifest.features)}], or one for each "
            f"feature. Missing: {', '.join(missing)}."
        )
    if len({len(column) for column in columns.values()}) != 1:
        raise RequestInvalid("The tensors of the features have different lengths.")
    return [list(row) for row in zip(*(columns[at] for at in sorted(columns)), strict=True)]


def _read(tensor: Mapping[str, Any]) -> tuple[tuple[int, ...], list[Any]]:
    kind, shape, data = tensor.get("datatype"), tensor.get("shape"), tensor.get("data")
    if kind not in _NUMBERS:
        raise RequestInvalid(f"datatype must be one of {', '.join(sorted(_NUMBERS))}.")
    if not (isinstance(shape, list) and shape and all(_is_size(size) for size in shape)):
        raise RequestInvalid("shape must be a list of integers of at least 0.")
    if not isinstance(data, list):
        raise RequestInvalid("data must be a list; binary tensors are not supported.")
    flat = _flatten(data, len(shape))
    size = 1
    for length in shape:
        size *= length
    if len(flat) != size:
        raise RequestInvalid(f"The tensor has {len(flat)} values; its shape requires {size}.")
    return tuple(shape), flat


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _flatten(data: list[Any], depth: int) -> list[Any]:
    """Flatten lists up to `depth` deep; the protocol allows nested data as well as flat."""
    for _ in range(depth - 1):
        if not any(isinstance(item, list) for item in data):
            break
        data = [value for item in data for value in (item if isinstance(item, list) else [item])]
    return data


def write_outputs(
    rows: Sequence[ResultRow], manifest: Manifest, names: Sequence[str]
) -> list[Tensor]:
    """Return the outputs `names` of `rows` as tensors, of shape [rows] or [rows, classes]."""
    labels = [row["label"] for row in rows]
    tensors: dict[str, Tensor] = {
        LABELS: {"name": LABELS, "shape": [len(rows)], "datatype": "BYTES", "data": labels}
    }
    if PROBABILITIES in names:
        tensors[PROBABILITIES] = {
            "name": PROBABILITIES,
            "shape": [len(rows), len(manifest.classes)],
            "datatype": "FP64",
            "data": [value for row in rows for value in row["probabilities"].values()],
        }
    return [tensors[name] for name in names]
