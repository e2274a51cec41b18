"""The components that have Prometheus scrape the pods, and pods send traces."""

from urllib.parse import urlsplit

import pytest
import yaml

from shared.settings import Settings
from tests.unit.k8s import manifests
from tests.unit.k8s.manifests import K8S, Document, of_kind

_PLACE = K8S / "components" / "monitoring"
_PARTS = {"api", "worker", "worker-bulk", "sweeper"}


@pytest.fixture(scope="module")
def added() -> list[Document]:
    """What the component adds."""
    return manifests.read("components/monitoring")


def test_the_pods_listen_where_they_are_scraped(added: list[Document]) -> None:
    """The setting, the containers' port and the policy name the same number."""
    (monitor,) = of_kind(added, "PodMonitor")
    (policy,) = of_kind(added, "NetworkPolicy")
    port = int(manifests.config_maps(added)["drybeans"]["DRYBEANS_METRICS_PORT"])
    patches = yaml.safe_load((_PLACE / "kustomization.yaml").read_text())["patches"]
    opened, kept = (yaml.safe_load(patch["patch"])[0] for patch in patches)

    assert "metrics_port" in Settings.model_fields
    assert opened["value"] == [{"name": "metrics", "containerPort": port}]
    assert kept["value"] == {"name": "http", "containerPort": 5000}
    assert [e["port"] for e in monitor["spec"]["podMetricsEndpoints"]] == ["metrics"]
    assert policy["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port}]
    for document in (monitor["spec"]["selector"], policy["spec"]["podSelector"]):
        assert set(document["matchExpressions"][0]["values"]) == _PARTS


def test_only_prometheus_is_let_in(added: list[Document]) -> None:
    """By the name of its namespace."""
    (policy,) = of_kind(added, "NetworkPolicy")

    (rule,) = policy["spec"]["ingress"]
    (source,) = rule["from"]
    assert source == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    }


def test_traces_are_let_out_to_where_they_are_sent() -> None:
    """The address and the policy name the same namespace and port, and the setting exists."""
    sending = manifests.read("components/traces")
    told = manifests.config_maps(sending)["drybeans"]
    (policy,) = of_kind(sending, "NetworkPolicy")
    (rule,) = policy["spec"]["egress"]
    address = urlsplit(told["OTEL_EXPORTER_OTLP_ENDPOINT"])

    assert "traces" in Settings.model_fields
    assert told["DRYBEANS_TRACES"] == "true"
    assert rule["ports"] == [{"protocol": "TCP", "port": address.port}]
    (target,) = rule["to"]
    namespace = target["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert str(address.hostname).split(".")[1] == namespace
    (chosen,) = policy["spec"]["podSelector"]["matchExpressions"]
    assert set(chosen["values"]) == _PARTS - {"sweeper"}


@pytest.mark.slow
@pytest.mark.parametrize("overlay", ["local", "gke"])
def test_every_part_opens_its_port(overlay: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As kubectl renders it; the API keeps the port that it serves at."""
    documents = manifests.render(
        manifests.with_components(["monitoring"], overlay, tmp_path_factory.mktemp("k8s"))
    )

    ports = {
        name: {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for name, container in manifests.containers(documents)
        if name in _PARTS
    }
    assert ports.pop("api") == {"metrics": 9100, "http": 5000}
    assert list(ports.values()) == [{"metrics": 9100}] * 3
