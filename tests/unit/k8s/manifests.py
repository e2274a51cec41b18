"""The manifests in k8s/ as documents: as they are written, and as kubectl renders them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

Document = dict[str, Any]

# Long enough for what signs webhooks.
SECRET: Final = "secret" * 6
ROOT: Final = Path(__file__).parents[3]
K8S: Final = ROOT / "k8s"
COMPONENTS: Final = (
    *("network-policies", "keda", "external-mysql", "external-redis", "ingress"),
    "monitoring",
    "traces",
)
PODS_OF: Final = ("Deployment", "StatefulSet", "Job")
OWN_IMAGES: Final = ("drybeans-api", "drybeans-worker")


def read(*folders: str) -> list[Document]:
    """Read the resources that the kustomizations of `folders` name, and their ConfigMaps."""
    documents: list[Document] = []
    for folder in folders:
        place = K8S / folder
        kustomization = yaml.safe_load((place / "kustomization.yaml").read_text())
        for name in kustomization["resources"]:
            documents += yaml.safe_load_all((place / name).read_text())
        documents += [
            _config_map(place, made) for made in kustomization.get("configMapGenerator", [])
        ]
    return documents


def _config_map(place: Path, made: Document) -> Document:
    lines = [
        line for file in made.get("envs", []) for line in (place / file).read_text().split("\n")
    ]
    lines += made.get("literals", [])
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": made["name"]},
        "data": {name: value for name, _, value in pairs},
    }


def render_text(folder: Path) -> str:
    """Render a kustomization with kubectl; skip the test, loudly, where there is none."""
    if shutil.which("kubectl") is None:
        pytest.skip("NOT TESTED: rendered manifests: there is no kubectl on this machine")
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"KUBECONFIG": os.devnull},
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return done.stdout


def render(folder: Path) -> list[Document]:
    """Return the documents that kubectl renders, with the names that they have in the base."""
    # Without the hashes of generated ConfigMaps one check suits both forms.
    plain = re.sub(r"\b(drybeans|cloud-sql)-[a-z0-9]{10}\b", r"\1", render_text(folder))
    # Nor the version in the name of the Job.
    plain = re.sub(r"(?m)^(  name: migrate)-[\w.-]+$", r"\1", plain)
    return list(yaml.load_all(plain, yaml.CSafeLoader))


def with_components(components: Iterable[str], overlay: str, folder: Path) -> Path:
    """Copy the manifests and switch `components` on in one overlay, as its comments say."""
    copied = shutil.copytree(K8S, folder / "k8s")
    file = copied / "overlays" / overlay / "kustomization.yaml"
    kustomization = yaml.safe_load(file.read_text())
    kustomization["components"] += [f"../../components/{name}" for name in components]
    file.write_text(yaml.safe_dump(kustomization))
    return file.parent


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """Return the documents of some kinds."""
    return [document for document in documents if document["kind"] in kinds]


def name_of(document: Document) -> str:
    """Return the name of a document."""
    return str(document["metadata"]["name"])


def pods(documents: list[Document]) -> dict[str, Document]:
    """Return the pod template of everything that runs pods, by its name."""
    return {name_of(owner): owner["spec"]["template"] for owner in of_kind(documents, *PODS_OF)}


def containers(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Return each container with the name of what runs it."""
    for name, template in pods(documents).items():
        spec = template["spec"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            yield name, container


def is_own(container: Document) -> bool:
    """Return whether a container runs one of our images."""
    return container["image"].split("/")[-1].split(":")[0] in OWN_IMAGES


def config_maps(documents: list[Document]) -> dict[str, dict[str, str]]:
    """Return the data of each ConfigMap by its name; a later one of that name adds to it."""
    merged: dict[str, dict[str, str]] = {}
    for found in of_kind(documents, "ConfigMap"):
        merged.setdefault(name_of(found), {}).update(found["data"])
    return merged


def secret_keys() -> frozenset[str]:
    """Return the keys of the Secret `drybeans`, which is made of .env."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return frozenset(line.partition("=")[0] for line in lines if line and not line.startswith("#"))


def environment_of(container: Document, documents: list[Document]) -> dict[str, str]:
    """Work out a container's environment as the kubelet does; secrets become a word."""
    maps = config_maps(documents)
    known: dict[str, str] = {}
    for source in container.get("envFrom", []):
        known |= maps[source["configMapRef"]["name"]]
    stated: dict[str, str] = {}
    for entry in container.get("env", []):
        stated[entry["name"]] = _value(entry, maps, stated)
    return known | stated


def _value(entry: Document, maps: dict[str, dict[str, str]], stated: dict[str, str]) -> str:
    source = entry.get("valueFrom", {})
    if reference := source.get("secretKeyRef"):
        assert (reference["name"], reference["key"] in secret_keys()) == ("drybeans", True)
        return SECRET
    if reference := source.get("configMapKeyRef"):
        return maps[reference["name"]][reference["key"]]
    # Only what `env` itself states further up may be used; anything else stays as it is written.
    return re.sub(r"\$\((\w+)\)", lambda found: stated[found[1]], str(entry["value"]))
