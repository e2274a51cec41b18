"""The manifests: valid for Kubernetes, true to the settings, careful, and consistent."""

import functools
import json
from pathlib import Path
from typing import Final

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.unit.k8s import manifests
from tests.unit.k8s.manifests import COMPONENTS, K8S, Document, name_of, of_kind

# The oldest that knows all that is used here, and the newest whose schemas there are.
_VERSIONS: Final = ("1.31", "1.37")
# Kinds that come with KEDA and with Prometheus' operator; tests of their own look at them.
_FOREIGN: Final = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}


@pytest.mark.parametrize("version", _VERSIONS)
def test_kubernetes_knows_every_field(documents: list[Document], version: str) -> None:
    """Strict: a misspelt field, which the cluster would drop in silence, is an error."""
    for document in documents:
        if document["apiVersion"] not in _FOREIGN:
            _validate(json.dumps(document), version)


@functools.cache
def _validate(document: str, version: str) -> None:
    # Most documents are alike in most forms, and a validation costs as much as all other checks.
    kubernetes_validate.validate(json.loads(document), version, strict=True)


def test_names_are_used_once(documents: list[Document]) -> None:
    """A second document of a kind and name would replace the first."""
    named = [(document["kind"], name_of(document)) for document in documents]

    # An overlay changes the settings by naming their ConfigMap again.
    assert len([n for n in named if n[0] != "ConfigMap"]) == len(
        {n for n in named if n[0] != "ConfigMap"}
    )


def test_every_selector_finds_its_pods(documents: list[Document]) -> None:
    """Deployments, Services, budgets and policies mean pods that there are."""
    labels = [template["metadata"]["labels"] for template in manifests.pods(documents).values()]
    for document in of_kind(documents, "Deployment", "StatefulSet"):
        wanted = document["spec"]["selector"]["matchLabels"].items()
        assert wanted <= document["spec"]["template"]["metadata"]["labels"].items()
    for document in of_kind(documents, "Service", "PodDisruptionBudget"):
        selector = document["spec"]["selector"]
        wanted = selector.get("matchLabels", selector).items()
        assert any(wanted <= found.items() for found in labels), name_of(document)


def test_no_two_owners_want_the_same_pods(documents: list[Document]) -> None:
    """Two Deployments whose selectors overlap would fight over pods."""
    owners = of_kind(documents, "Deployment", "StatefulSet")
    # Without patches applied, the part that a component replaces is still there.
    replaced = {"mysql"} if any(name_of(o) == "cloud-sql-proxy" for o in owners) else set()
    owners = [owner for owner in owners if name_of(owner) not in replaced]
    for owner in owners:
        wanted = owner["spec"]["selector"]["matchLabels"].items()
        found = [
            name_of(other)
            for other in owners
            if wanted <= other["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert found == [name_of(owner)]


def test_every_port_that_is_named_exists(documents: list[Document]) -> None:
    """Services, probes and policies use the names of container ports."""
    for document in of_kind(documents, "Service"):
        wanted = document["spec"]["selector"].items()
        ports = {
            port["name"]
            for template in manifests.pods(documents).values()
            if wanted <= template["metadata"]["labels"].items()
            for container in template["spec"]["containers"]
            for port in container.get("ports", [])
        }
        assert {port["targetPort"] for port in document["spec"]["ports"]} <= ports
    for _, container in manifests.containers(documents):
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {})
            for kind in ("httpGet", "tcpSocket"):
                assert {asked[kind]["port"]} <= ports if kind in asked else True


@pytest.mark.slow
@pytest.mark.parametrize("tag", ["0.2.0", "1234567"])
def test_a_release_has_a_migration_of_its_own(tmp_path: Path, tag: str) -> None:
    """The tag ends the Job's name and is a text, also where a commit has digits only."""
    copied = manifests.with_components((), "gke", tmp_path)
    file = copied / "kustomization.yaml"
    kustomization = yaml.safe_load(file.read_text())
    for image in kustomization["images"]:
        image["newTag"] = tag
    kustomization["labels"][0]["pairs"]["app.kubernetes.io/version"] = tag
    file.write_text(yaml.safe_dump(kustomization))

    rendered = manifests.render_text(copied)

    (job,) = of_kind(list(yaml.safe_load_all(rendered)), "Job")
    assert name_of(job) == f"migrate-{tag}"
    for document in yaml.safe_load_all(rendered):
        assert document["metadata"]["labels"]["app.kubernetes.io/version"] == tag


def test_every_part_says_what_it_is(documents: list[Document]) -> None:
    """By Kubernetes' recommended labels."""
    for owner in of_kind(documents, "Deployment", "StatefulSet", "Job"):
        assert owner["metadata"]["labels"]["app.kubernetes.io/component"]


def test_every_part_that_scales_has_a_budget(documents: list[Document]) -> None:
    """A drained node takes one pod at a time."""
    budgets = {name_of(found) for found in of_kind(documents, "PodDisruptionBudget")}

    assert budgets >= {"api", "worker", "worker-bulk", "sweeper"}


def test_every_image_has_a_tag_that_stays(documents: list[Document]) -> None:
    """`latest`, or no tag, is another image tomorrow."""
    for _, container in manifests.containers(documents):
        name, _, tag = container["image"].rpartition(":")
        assert name
        assert "/" not in tag
        assert tag != "latest"


def test_what_scales_the_api_is_there(documents: list[Document]) -> None:
    """The HPA names a Deployment; what others scale states no number of its own."""
    deployments = {name_of(found): found for found in of_kind(documents, "Deployment")}
    for scaler in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject"):
        assert scaler["spec"]["scaleTargetRef"]["name"] in deployments
    for name in ("api", "worker", "worker-bulk"):
        assert "replicas" not in deployments[name]["spec"]


def test_the_ingress_leads_to_a_service(documents: list[Document]) -> None:
    """By the name of its port."""
    services = {
        name_of(found): {port["name"] for port in found["spec"]["ports"]}
        for found in of_kind(documents, "Service")
    }
    for ingress in of_kind(documents, "Ingress"):
        assert ingress["spec"]["tls"]
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                assert service["port"]["name"] in services[service["name"]]


def test_no_secret_is_written_down(documents: list[Document]) -> None:
    """Secrets are made from .env by a command, and never by a file in git."""
    assert of_kind(documents, "Secret") == []


def test_the_namespace_refuses_careless_pods(documents: list[Document]) -> None:
    """Pod security is enforced by the cluster, not by our care alone."""
    (namespace,) = of_kind(documents, "Namespace")

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("folder", ["base", *(f"components/{name}" for name in COMPONENTS)])
def test_one_kind_a_file_and_every_file_in_use(folder: str) -> None:
    """A file that no kustomization names would be a manifest that nobody applies."""
    named = set(yaml.safe_load((K8S / folder / "kustomization.yaml").read_text())["resources"])
    there = {file.name for file in (K8S / folder).glob("*.yaml")} - {"kustomization.yaml"}
    kinds = [
        {document["kind"] for document in yaml.safe_load_all((K8S / folder / name).read_text())}
        for name in named
    ]

    assert named == there
    assert all(len(found) == 1 for found in kinds)
    assert folder == "base" or (K8S / folder / "README.md").is_file()
