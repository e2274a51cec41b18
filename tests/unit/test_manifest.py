"""Manifests are checked whole before they count."""

import copy
import json
from typing import Any

import pytest

from shared.domain.errors import ManifestInvalid
from shared.models.manifest import manifest_document, parse_manifest
from tests.models import a_feature, a_manifest


def _document() -> Any:
    return json.loads(json.dumps(manifest_document(a_manifest())))


def _changed(path: str, value: object) -> Any:
    document = _document()
    place = document
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in parents:
        place = place[part]
    place[last] = value
    return document


def test_a_manifest_survives_the_way_through_json() -> None:
    """What was written is what is read."""
    manifest = a_manifest()

    assert parse_manifest(json.loads(json.dumps(manifest_document(manifest)))) == manifest


def test_an_id_is_name_and_version() -> None:
    """Name and version in one word name an artifact everywhere."""
    assert a_manifest(name="toy", version=3).id == "toy@3"


def test_columns_hold_every_spelling_in_lower_case() -> None:
    """A feature is found by its name and by its aliases, whatever their case."""
    manifest = a_manifest(features=(a_feature("Area"), a_feature("AspectRation", aliases=("AR",))))

    assert manifest.columns == {"area": 0, "aspectration": 1, "ar": 1}


def test_members_nobody_knows_are_passed_over() -> None:
    """A later release may add members without making older readers refuse."""
    assert parse_manifest(_document() | {"colour": "beige"}) == a_manifest()


def test_a_model_without_probabilities_needs_no_golden_ones() -> None:
    """Not every classifier has probabilities."""
    document = _changed("outputs", ["label"])
    document["golden"]["probabilities"] = None

    assert parse_manifest(document).golden.probabilities is None


@pytest.mark.parametrize(
    "path, value",
    [
        ("format", 2),
        ("format", None),
        ("name", "Dry Beans"),
        ("name", "../beans"),
        ("name", None),
        ("version", 0),
        ("version", "1"),
        ("version", True),
        ("description", 7),
        ("features", []),
        ("features", "Area"),
        ("features/0", None),
        ("features/0/name", None),
        ("features/0/aliases", ["width"]),
        ("features/0/minimum", float("nan")),
        ("features/0/maximum", 10**400),
        ("features/0/minimum", 10),
        ("features/0/histogram", {"edges": [0, 1], "counts": [1, 2]}),
        ("features/0/histogram", {"edges": [0, 0, 1], "counts": [1, 2]}),
        ("features/0/histogram", {"edges": [0, 1], "counts": [-1]}),
        ("classes", ["a"]),
        ("classes", ["a", "b", "b"]),
        ("outputs", []),
        ("outputs", ["probabilities"]),
        ("outputs", ["label", "votes"]),
        ("label_rule", None),
        ("model", None),
        ("model/file", "../../model.skops"),
        ("model/sha256", "abc"),
        ("model/bytes", 0),
        ("model/trusted_types", "os.system"),
        ("libraries", []),
        ("libraries", {"scikit-learn": 1.9}),
        ("golden", None),
        ("golden/rows", []),
        ("golden/rows", [[1, 2]]),
        ("golden/rows/0/0", "1"),
        ("golden/labels", []),
        ("golden/labels", ["z"]),
        ("golden/probabilities", None),
        ("golden/probabilities", [[0.5, 0.5]]),
        ("metrics", None),
        ("training", "by hand"),
        ("sample", []),
        ("sample", [[1, 2, 3, 4]]),
    ],
)
def test_a_flaw_is_named_by_its_place(path: str, value: object) -> None:
    """A broken manifest is refused, and the refusal points at the flaw."""
    with pytest.raises(ManifestInvalid) as refusal:
        parse_manifest(_changed(path, value))

    assert any(f"/{path}".startswith(fault.pointer) or fault.pointer.startswith(f"/{path}")
               or fault.pointer == "/features" for fault in refusal.value.faults)  # fmt: skip
    assert all(fault.pointer for fault in refusal.value.faults)


def test_all_flaws_are_named_at_once() -> None:
    """Whoever mends a manifest need not try again after every flaw."""
    document = copy.deepcopy(_document())
    document["name"] = ""
    document["features"][1]["unit"] = None
    del document["sample"]

    with pytest.raises(ManifestInvalid, match=r"/name: .*/features/1/unit: .*/sample: ") as refusal:
        parse_manifest(document)

    assert [f.pointer for f in refusal.value.faults] == ["/name", "/features/1/unit", "/sample"]


@pytest.mark.parametrize("document", [None, [], "manifest", 7, {}])
def test_what_is_no_manifest_at_all_is_refused(document: object) -> None:
    """Any JSON value gets a clear answer."""
    with pytest.raises(ManifestInvalid, match="/name"):
        parse_manifest(document)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "path, value, flaw",
    [
        ("metrics/odd", _nested(100), "nested more than 32 levels deep"),
        ("training/odd", {"a": _nested(32)}, "nested more than 32 levels deep"),
        ("metrics/odd", 2**63, "an integer of over 63 bits"),
        ("metrics/odd", [float("nan")], "a finite number is needed"),
        ("training/odd", {"a": float("-inf")}, "a finite number is needed"),
        ("training/odd", {"\ud800": 1}, "not Unicode text"),
        ("description", "\udfff", "not Unicode text"),
        ("version", 2**31, "a whole number of at most 2147483647 is needed"),
        ("model/bytes", 2**63, "a whole number of at most 9223372036854775807 is needed"),
    ],
)
def test_what_cannot_be_written_as_json_or_stored_is_refused(
    path: str, value: object, flaw: str
) -> None:
    """It is read from the manifest without complaint, and would fail whoever shows it."""
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest(_changed(path, value))

    assert refused.value.detail == f"The manifest is not valid: /{path}: {flaw}"


def test_metrics_of_any_shape_are_kept() -> None:
    """Nobody prescribes what is measured, up to 32 levels deep."""
    odd = {"a": _nested(31), "b": [None, True, 1.5, "ü", {"c": {}}], "d": -(2**63) + 1}

    assert parse_manifest(_changed("metrics", odd)).metrics == odd
