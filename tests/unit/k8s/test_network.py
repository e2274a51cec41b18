"""Who may talk to whom: the policies, worked out for every pair and compared with one table."""

from itertools import product
from typing import Any, Final

import pytest

from tests.unit.k8s import manifests
from tests.unit.k8s.manifests import Document, of_kind

_PORTS: Final = {"api": 5000, "mysql": 3306, "redis": 6379, "flower": 5555}
_PARTS: Final = (
    *("api", "worker", "worker-bulk", "sweeper", "migrate", "flower", "mysql", "redis"),
    *("anyone", "keda"),
)
_ALLOWED: Final = {
    *(("anyone", "api"), ("keda", "api"), ("keda", "mysql")),
    *((name, "mysql") for name in ("api", "worker", "worker-bulk", "sweeper", "migrate")),
    *((name, "redis") for name in ("api", "worker", "worker-bulk", "sweeper", "flower")),
}


@pytest.fixture(scope="module")
def base() -> list[Document]:
    """The base with its policies."""
    return manifests.read("base", "components/network-policies")


@pytest.mark.parametrize("source, target", list(product(_PARTS, _PORTS)))
def test_only_these_may_talk(base: list[Document], source: str, target: str) -> None:
    """Every pair of parts; `anyone` is whoever is outside of the namespace."""
    if source != target:
        assert _may_talk(base, source, target) is ((source, target) in _ALLOWED)


@pytest.mark.parametrize("part", [part for part in _PARTS if part not in {"anyone", "keda"}])
def test_everyone_may_ask_for_names(base: list[Document], part: str) -> None:
    """Without DNS nobody finds anybody."""
    rules = [
        rule for policy in _of(base, part, "Egress") for rule in policy["spec"].get("egress", [])
    ]

    assert any({"protocol": "UDP", "port": 53} in rule.get("ports", []) for rule in rules)


def test_only_the_sweeper_reaches_the_world_and_nothing_private(base: list[Document]) -> None:
    """It calls webhooks, whose addresses clients choose."""
    open_to_all = [
        (policy["spec"]["podSelector"], block)
        for policy in of_kind(base, "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for block in [to["ipBlock"] for to in rule.get("to", []) if "ipBlock" in to]
        if block["cidr"] == "0.0.0.0/0"
    ]

    ((selector, block),) = open_to_all
    assert selector == {"matchLabels": {"app.kubernetes.io/name": "sweeper"}}
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"}
    assert private <= set(block["except"])


def _may_talk(documents: list[Document], source: str, target: str) -> bool:
    inside = source not in {"anyone", "keda"}
    leaves = not inside or any(
        _admits(rule, "to", target, target)
        for policy in _of(documents, source, "Egress")
        for rule in policy["spec"].get("egress", [])
    )
    enters = any(
        _admits(rule, "from", source, target)
        for policy in _of(documents, target, "Ingress")
        for rule in policy["spec"].get("ingress", [])
    )
    return leaves and enters


def _of(documents: list[Document], part: str, direction: str) -> list[Document]:
    """The policies of one direction that select a part; deny-all selects it too."""
    found = [
        policy
        for policy in of_kind(documents, "NetworkPolicy")
        if direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], part)
    ]
    assert any(policy["spec"]["podSelector"] == {} for policy in found)
    return found


def _admits(rule: Document, side: str, peer: str, target: str) -> bool:
    ports = [port["port"] for port in rule.get("ports", [])]
    return {_PORTS[target], "http"} & set(ports) != set() and (
        side not in rule or any(_is(found, peer) for found in rule[side])
    )


def _is(found: dict[str, Any], peer: str) -> bool:
    if "namespaceSelector" in found:
        return bool(
            found["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == peer
        )
    inside = peer not in {"anyone", "keda"}
    return inside and "podSelector" in found and _selects(found["podSelector"], peer)


def _selects(selector: dict[str, Any], part: str) -> bool:
    wanted = selector.get("matchLabels", {}).get("app.kubernetes.io/name", part)
    listed = [e["values"] for e in selector.get("matchExpressions", [])]
    return wanted == part and all(part in values for values in listed)
