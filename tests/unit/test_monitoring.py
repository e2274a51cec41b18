"""The dashboard and the alerts ask for metrics that there are, by labels that these have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from shared.observability.metrics import ALL, FINDINGS

_ROOT: Final = Path(__file__).parents[2]
_PLACE: Final = _ROOT / "docs" / "monitoring"
_LABELS: Final = {m.name: {*m.labels} for metrics in ALL.values() for m in metrics}
# Prometheus adds these where it scrapes.
_ADDED: Final = {"instance", "job", "namespace", "pod", "le"}


def panels() -> Iterator[dict[str, Any]]:
    """Return the dashboard's panels that ask for something."""
    for panel in json.loads((_PLACE / "dashboard.json").read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def alerts() -> list[dict[str, Any]]:
    """Return the alerts."""
    (group,) = yaml.safe_load((_PLACE / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def questions() -> Iterator[Any]:
    """Return every expression with where it stands."""
    for panel in panels():
        for target in panel["targets"]:
            yield pytest.param(target["expr"], id=f"panel {panel['title']}")
    for rule in alerts():
        yield pytest.param(rule["expr"], id=rule["alert"])


def asked(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Return each metric of an expression with the labels that it is chosen by."""
    for name, chosen in re.findall(r"\b(drybeans_[a-z_]+)(\{[^}]*\})?", expression):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        yield base if base in _LABELS else name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen))


@pytest.mark.parametrize("expression", list(questions()))
def test_what_is_asked_for_is_there(expression: str) -> None:
    """A metric that was renamed would leave its panel empty, and its alert silent for ever."""
    found = dict(asked(expression))

    assert found or "kubelet_" in expression
    for name, chosen in found.items():
        assert name in _LABELS
        assert chosen <= _LABELS[name]
    known = {label for name in found for label in _LABELS[name]} | _ADDED
    grouped = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", expression)
    made = set(re.findall(r'label_replace\(.*?, "(\w+)", ', expression))
    assert {label.strip() for group in grouped for label in group.split(",")} - {""} <= known | made


def test_every_metric_is_shown() -> None:
    """What nobody sees need not be counted."""
    shown = {name for panel in panels() for t in panel["targets"] for name, _ in asked(t["expr"])}

    assert set(_LABELS) - shown <= {"drybeans_http_request_duration_seconds"}


def test_the_alerts_name_findings_that_there_are() -> None:
    """A label's value can be misspelt too."""
    for rule in alerts():
        for words in re.findall(r'finding=~?"([^"]*)"', rule["expr"]):
            assert set(words.split("|")) <= set(FINDINGS)


def test_every_alert_tells_what_to_do() -> None:
    """It says what is wrong, how bad it is, and the document what to do."""
    document = (_ROOT / "docs" / "monitoring.md").read_text()
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"].endswith(".")
        assert f"| `{rule['alert']}` |" in document


def test_panels_lie_beside_each_other() -> None:
    """None covers another, and each has a number of its own."""
    places = [panel["gridPos"] for panel in panels()]
    cells = {
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    }

    assert len(cells) == sum(place["w"] * place["h"] for place in places)
    assert all(place["x"] + place["w"] <= 24 for place in places)
    numbers = [panel["id"] for panel in panels()]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", str(_PLACE / "prometheus.yml")),
        ("test", "rules", str(Path(__file__).parent / "alerts.test.yml")),
    ],
    ids=["check", "test"],
)
def test_prometheus_takes_the_alerts(words: tuple[str, ...]) -> None:
    """They parse, and go off when they should and only then."""
    if shutil.which("promtool") is None:
        pytest.skip("NOT TESTED: alerts by promtool: Debian's prometheus has it")

    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
