"""docs/gke.md can be followed line by line: its commands, flags, names, paths and placeholders."""

import functools
import os
import re
import runpy
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.unit.k8s import manifests
from tests.unit.k8s.manifests import name_of, of_kind

_ROOT: Final = Path(__file__).parents[2]
_GUIDE: Final = (_ROOT / "docs" / "gke.md").read_text()
_BLOCKS: Final = [
    block.replace("\\\n", " ").strip()
    for block in re.findall(r"```sh\n(.*?)```", _GUIDE, re.DOTALL)
]
_GIVEN: Final = {
    "PROJECT_ID": "beans-1234",
    "REGION": "europe-central2",
    "TAG": "1.2.3",
    "MY_ADDRESS": "198.51.100.7",
    "REDIS_ADDRESS": "10.1.2.3",
    "REDIS_PASSWORD": "abc",
}


def commands(program: str) -> list[str]:
    """Return each call of `program` in the guide, those inside of other commands too."""
    starts = rf"(?:^|\$\(|\| ){program} "
    return [block[found.end() :] for block in _BLOCKS for found in re.finditer(starts, block)]


def test_each_block_is_one_command() -> None:
    """So that one click copies what one Enter runs."""
    assert len(_BLOCKS) > 40
    assert [
        block for block in _BLOCKS if "\n" in block or "&&" in block or ";" in _unquoted(block)
    ] == []


def _unquoted(text: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", text)


@functools.cache
def _gcloud() -> dict[str, Any]:
    """All that gcloud can be told, from the list that its own completion uses."""
    program = shutil.which("gcloud")
    if program is not None:
        tree = Path(program).resolve().parents[1] / "data" / "cli" / "gcloud_completions.py"
        if tree.is_file():
            found: dict[str, Any] = runpy.run_path(str(tree))["STATIC_COMPLETION_CLI_TREE"]
            return found
    pytest.skip("NOT TESTED: gcloud's flags in docs/gke.md: there is no gcloud on this machine")


@pytest.mark.parametrize("command", commands("gcloud"))
def test_gcloud_has_these_commands_and_flags(command: str) -> None:
    """With values that it takes, where it takes only some."""
    node = _gcloud()
    known = dict(node["flags"])
    words = shlex.split(command.replace("$(", "").replace(")", ""))
    while words and words[0] in node["commands"]:
        node = node["commands"][words.pop(0)]
        known |= node["flags"]

    assert not node["commands"], "the command ends early"
    for word in words:
        if word.startswith("--"):
            flag, _, value = word.partition("=")
            name = flag if flag in known else flag.replace("--no-", "--", 1)
            assert name in known
            assert not isinstance(known[name], list) or value in known[name] or "$" in value


@functools.cache
def _kubectl_help(*words: str) -> str:
    if shutil.which("kubectl") is None:
        pytest.skip("NOT TESTED: kubectl's flags in docs/gke.md: there is no kubectl here")
    environment = os.environ | {"KUBECONFIG": os.devnull}
    return subprocess.run(
        ["kubectl", *words], capture_output=True, text=True, check=True, env=environment
    ).stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", commands("kubectl"))
def test_kubectl_has_these_commands_and_flags(command: str) -> None:
    """By its own help."""
    words = shlex.split(command.partition(" | ")[0].rstrip(")"))
    depth = {"create": 3, "rollout": 2, "config": 2}.get(words[0], 1)
    told = _kubectl_help(*words[:depth], "--help") + _kubectl_help("options")

    flags = {w.partition("=")[0] for w in words[: words.index("--") if "--" in words else None]}
    for flag in flags:
        if flag.startswith("--"):
            assert re.search(rf"^ +(-\w, )?{flag}=", told, re.MULTILINE), flag


def test_kubectl_is_told_names_that_exist() -> None:
    """Of the base, by kind and name."""
    there = {(d["kind"].lower(), name_of(d)) for d in manifests.read("base")}
    kinds = {"hpa": "horizontalpodautoscaler"}
    named = re.findall(
        r"\b(deployment|statefulset|service|job|hpa)[/ ]([a-z][a-z-]+)",
        "\n".join(commands("kubectl")),
    )

    assert len(named) > 15
    # The version ends the name of the Job.
    assert {(kinds.get(kind, kind), name.rstrip("-")) for kind, name in named} <= there


def test_every_file_that_is_named_exists() -> None:
    """In commands and in sentences."""
    named = set(re.findall(r"\b(?:k8s/[\w/.-]+|cloudbuild\.yaml|Dockerfile\.\w+)", _GUIDE))
    # The guide itself makes it.
    named = {name for name in named if not name.startswith("k8s/overlays/mine")}

    assert len(named) > 5
    assert {name for name in named if not (_ROOT / name.rstrip("./")).exists()} == set()


@pytest.mark.parametrize("command", commands("make"))
def test_make_has_these_targets(command: str) -> None:
    """With the variables that they read."""
    makefile = (_ROOT / "Makefile").read_text()
    target, *variables = command.split()

    assert f"\n{target}: " in makefile
    assert all(f"$({word.partition('=')[0]})" in makefile for word in variables)


def test_the_first_step_of_an_upgrade_is_migration_alone() -> None:
    """The selector takes the Job and the settings that it reads, and nothing that serves."""
    found = [
        document["kind"]
        for document in manifests.read("base")
        if document["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "migrate"
    ]
    generator = yaml.safe_load((manifests.K8S / "base" / "kustomization.yaml").read_text())
    (settings,) = generator["configMapGenerator"]

    assert found == ["Job"]
    assert settings["options"]["labels"] == {"app.kubernetes.io/name": "settings"}
    assert any("app.kubernetes.io/name in (migrate, settings)" in block for block in _BLOCKS)


def test_what_it_says_of_cost_is_what_pods_request() -> None:
    """Two API pods and two sweepers, one of everything else that goes on."""
    cores = gib = 0.0
    for owner in of_kind(manifests.read("base"), "Deployment", "StatefulSet"):
        number = 2 if name_of(owner) in {"api", "sweeper"} else 1
        (container,) = owner["spec"]["template"]["spec"]["containers"]
        requests = container["resources"]["requests"]
        cpu = str(requests["cpu"])
        cores += number * (float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu))
        memory = requests["memory"]
        gib += number * float(memory[:-2]) / (1024 if memory.endswith("Mi") else 1)

    assert f"{cores:.2f} vCPU and {gib:.2f} GiB" in _GUIDE


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """A copy of the manifests after all of the guide's commands that copy and change files."""
    shutil.copytree(_ROOT / "k8s", tmp_path / "k8s")
    shutil.copy(_ROOT / ".env.example", tmp_path / ".env")
    edits = [block for block in _BLOCKS if block.startswith(("cp ", "sed ", "rm "))]
    assert len(edits) > 7
    for command in edits:
        # Some seds know -i only with a suffix of its own.
        subprocess.run(["sh", "-ec", command], cwd=tmp_path, env=os.environ | _GIVEN, check=True)
    return tmp_path


def test_no_placeholder_is_left(edited: Path) -> None:
    """The overlay that is applied names a project, a region, a version and an address."""
    documents = manifests.render(edited / "k8s" / "overlays" / "mine")
    text = yaml.safe_dump_all(documents)

    assert [word for word in ("PROJECT_ID", "REGION", "ADDRESS") if word in text] == []
    images = {c["image"] for _, c in manifests.containers(documents) if manifests.is_own(c)}
    place = "europe-central2-docker.pkg.dev/beans-1234/drybeans-repo"
    assert images == {f"{place}/drybeans-api:1.2.3", f"{place}/drybeans-worker:1.2.3"}
    (service,) = [d for d in of_kind(documents, "Service") if name_of(d) == "api"]
    assert service["spec"]["loadBalancerSourceRanges"] == ["198.51.100.7/32"]
    assert manifests.config_maps(documents)["drybeans"]["REDIS_HOST"] == "10.1.2.3"
    assert manifests.config_maps(documents)["cloud-sql"] == {
        "INSTANCE": "beans-1234:europe-central2:drybeans"
    }
    assert of_kind(documents, "StatefulSet") == []


def test_no_file_of_the_repository_is_changed(edited: Path) -> None:
    """What belongs to one installation is in its own overlay, which git ignores."""
    for file in (_ROOT / "k8s").rglob("*"):
        if file.is_file() and "mine" not in file.parts:
            assert (edited / file.relative_to(_ROOT)).read_bytes() == file.read_bytes()


def test_the_redis_password_is_exchanged_alone(edited: Path) -> None:
    """The others keep what `make env` gave them."""
    lines = (edited / ".env").read_text().splitlines()

    assert "REDIS_PASSWORD=abc" in lines
    assert "MYSQL_PASSWORD=" in lines
