"""What each pod is told, what it may do, how it is watched, and how it ends."""

import importlib.util
import os
import re
import runpy
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
from flower.options import options as flower_options

from shared.domain.jobs import Queue
from shared.settings import Settings, read_settings
from tests.unit.k8s import manifests
from tests.unit.k8s.manifests import (
    ROOT,
    SECRET,
    Document,
    environment_of,
    is_own,
    name_of,
    of_kind,
)

_SETTINGS: Final = {f"DRYBEANS_{name.upper()}" for name in Settings.model_fields}
_WALKTHROUGH: Final = {"MYSQL_HOST", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DB"}
_COLLECTOR: Final = {"OTEL_EXPORTER_OTLP_ENDPOINT"}
# Stated so that other variables can be made of them.
_MATERIAL: Final = {"REDIS_HOST", "REDIS_PASSWORD", "FLOWER_PASSWORD", "WEBHOOK_SECRET"}
_FOREIGN: Final = {
    "mysql": {"MYSQL_DATABASE", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_ROOT_PASSWORD"},
    "redis": {"REDISCLI_AUTH"},
    "proxy": {"CSQL_PROXY_INSTANCE_CONNECTION_NAME"},
}


def own(documents: list[Document]) -> list[tuple[str, Document, dict[str, str]]]:
    """Return the containers that read our settings, with their environments."""
    return [
        (name, container, environment_of(container, documents))
        for name, container in manifests.containers(documents)
        if is_own(container) and name != "flower"
    ]


def test_every_variable_means_something(documents: list[Document]) -> None:
    """Ours is a setting, Flower's an option, and the servers' one that their images read."""
    for name, container in manifests.containers(documents):
        for variable in environment_of(container, documents):
            if name == "flower":
                option = variable.removeprefix("FLOWER_").lower()
                known = option in flower_options or variable in _MATERIAL | {"CELERY_BROKER_URL"}
            elif is_own(container):
                known = variable in _SETTINGS | _WALKTHROUGH | _MATERIAL | _COLLECTOR
            else:
                known = variable in _FOREIGN[container["name"]]
            assert known, f"{name}: {variable}"


def test_the_settings_take_every_environment(
    documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only the names but the values; and nothing that must be set is left at its default."""
    for name, _, environment in own(documents):
        for known in [name for name in os.environ if name.startswith(("DRYBEANS_", "MYSQL_"))]:
            monkeypatch.delenv(known)
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)

        settings = read_settings()

        database = settings.database_url.get_secret_value()
        assert database == f"mysql+pymysql://drybeans:{SECRET}@mysql/drybeans", name
        if name == "migrate":
            continue
        redis = settings.redis_url.get_secret_value()
        assert re.fullmatch(rf"redis://:{SECRET}@(redis|REDIS_ADDRESS):6379/0", redis), name
        assert (settings.host, settings.log_format) == ("0.0.0.0", "json")
        assert settings.api_keys
        # The default counts the cores of the node, not those of the pod.
        assert "DRYBEANS_WORKERS" in environment


def test_some_worker_serves_each_queue(documents: list[Document]) -> None:
    """And small jobs have workers that no big upload can fill."""
    served = {
        name: environment["DRYBEANS_QUEUES"]
        for name, _, environment in own(documents)
        if "DRYBEANS_QUEUES" in environment
    }

    assert served == {"worker": Queue.INTERACTIVE.value, "worker-bulk": Queue.BULK.value}


def test_flower_shows_and_changes_nothing(documents: list[Document]) -> None:
    """Behind a password, read only, with little kept; its control API stays shut."""
    container = next(c for name, c in manifests.containers(documents) if name == "flower")
    environment = environment_of(container, documents)

    assert environment["FLOWER_BASIC_AUTH"] == f"operator:{SECRET}"
    assert environment["FLOWER_READ_ONLY"] == "true"
    assert int(environment["FLOWER_MAX_TASKS"]) <= 5000
    assert "FLOWER_UNAUTHENTICATED_API" not in environment
    services = {
        name_of(s): s["spec"].get("type", "ClusterIP") for s in of_kind(documents, "Service")
    }
    assert services["flower"] == "ClusterIP"


def test_every_pod_is_restricted(documents: list[Document]) -> None:
    """Kubernetes' own list for `restricted`, and a file system that nobody writes."""
    for name, template in manifests.pods(documents).items():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        kinds = {kind for volume in spec.get("volumes", []) for kind in volume} - {"name"}
        assert kinds <= {"emptyDir", "configMap", "secret"}
    for _, container in manifests.containers(documents):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_every_pod_has_an_account_of_its_own_kind(documents: list[Document]) -> None:
    """So that a right given to one is not given to all."""
    accounts = {name_of(account) for account in of_kind(documents, "ServiceAccount")}

    used = {t["spec"]["serviceAccountName"] for t in manifests.pods(documents).values()}

    assert used <= accounts
    assert "default" not in used


def test_every_container_says_what_it_needs(documents: list[Document]) -> None:
    """Memory is bounded; CPU to memory is a ratio that GKE Autopilot takes."""
    for name, container in manifests.containers(documents):
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory", "ephemeral-storage"} <= requests.keys()
        assert {"memory", "ephemeral-storage"} <= limits.keys()
        ratio = _gib(requests["memory"]) / _cores(str(requests["cpu"]))
        assert 1 <= ratio <= 6.5, name


def _gib(text: str) -> float:
    return float(text[:-2]) / {"Gi": 1, "Mi": 1024}[text[-2:]]


def _cores(text: str) -> float:
    return float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)


def test_every_service_is_watched_in_three_ways(documents: list[Document]) -> None:
    """Has it started, must it be restarted, may it be used; a Job ends by itself."""
    jobs = {name_of(job) for job in of_kind(documents, "Job")}
    for name, container in manifests.containers(documents):
        if name not in jobs:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys(), name


def test_the_api_is_restarted_for_itself_and_unused_for_its_database(
    documents: list[Document],
) -> None:
    """A restart mends no database, so only readiness asks for it."""
    container = next(c for name, c in manifests.containers(documents) if name == "api")
    paths = {kind: container[kind]["httpGet"]["path"] for kind in container if "Probe" in kind}

    assert paths == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }


def test_workers_are_watched_by_their_sign_of_life(documents: list[Document]) -> None:
    """Each probe asks for the file that the part touches, in a folder that it may write."""
    for name, container, environment in own(documents):
        probes = [container[kind] for kind in container if "Probe" in kind]
        asked = {probe["exec"]["command"][3] for probe in probes if "exec" in probe}
        if name in {"worker", "worker-bulk", "sweeper"}:
            assert asked == {environment["DRYBEANS_HEARTBEAT_FILE"]}
            assert {str(Path(file).parent) for file in asked} <= {
                mount["mountPath"] for mount in container["volumeMounts"]
            }
        else:
            assert not asked


def test_our_images_run_their_own_entry_point(documents: list[Document]) -> None:
    """`command` would replace tini, without which a SIGTERM during the start is lost."""
    for _, container in manifests.containers(documents):
        assert not (is_own(container) and "command" in container)


def test_the_migration_is_the_same_under_other_settings(documents: list[Document]) -> None:
    """A Job cannot be changed: it names no ConfigMap, whose name ends in a hash of its content."""
    container = next(c for name, c in manifests.containers(documents) if name == "migrate")

    assert "envFrom" not in container
    assert not [e for e in container["env"] if "configMapKeyRef" in e.get("valueFrom", {})]
    settings = manifests.config_maps(documents)["drybeans"]
    stated = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    assert stated == {name: settings.get(name) for name in stated}


def test_every_command_exists(documents: list[Document]) -> None:
    """`python -m` names a module of the image that the container runs."""
    for _, container in manifests.containers(documents):
        commands = [container.get("command", []), container.get("args", [])]
        commands += [
            container[kind].get("exec", {}).get("command", [])
            for kind in container
            if "Probe" in kind
        ]
        for command in commands:
            if command[:2] == ["python", "-m"]:
                assert importlib.util.find_spec(command[2])
                image = container["image"].split("drybeans-")[-1].split(":")[0]
                assert command[2].split(".")[0] in {"shared", image}


def test_a_pod_that_ends_may_finish_what_it_has(documents: list[Document]) -> None:
    """A worker's longest batch, an API's accepted requests, and the time until none is sent."""
    pods = manifests.pods(documents)
    for name, container, environment in own(documents):
        grace = pods[name]["spec"]["terminationGracePeriodSeconds"]
        if name.startswith("worker"):
            assert grace > float(environment["DRYBEANS_TASK_SECONDS"])
        if name == "api":
            pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            served = runpy.run_path(str(ROOT / "api" / "gunicorn_conf.py"))["graceful_timeout"]
            assert grace > pause + served


def test_a_rollout_takes_nothing_away_before_it_has_given(documents: list[Document]) -> None:
    """And the pods of one part lie on different nodes, where there are several."""
    for deployment in of_kind(documents, "Deployment"):
        if name_of(deployment) != "flower":
            assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
            spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
            labels = deployment["spec"]["template"]["metadata"]["labels"].items()
            assert all(s["labelSelector"]["matchLabels"].items() <= labels for s in spread)


@pytest.mark.parametrize(
    "name, stated", [("mysql", r"--datadir=(\S+)"), ("redis", r"(?m)^dir (\S+)")]
)
def test_what_a_server_writes_lies_on_its_disk(
    documents: list[Document], name: str, stated: str
) -> None:
    """The folder that it is told to write is in the volume that outlives the pod."""
    for found in of_kind(documents, "StatefulSet"):
        if name_of(found) != name:
            continue
        (container,) = found["spec"]["template"]["spec"]["containers"]
        said = re.search(stated, "\n".join(container.get("args", container.get("command", []))))
        claims = {claim["metadata"]["name"] for claim in found["spec"]["volumeClaimTemplates"]}
        disks = [m["mountPath"] for m in container["volumeMounts"] if m["name"] in claims]
        assert said
        assert any(said[1] == disk or said[1].startswith(f"{disk}/") for disk in disks)


def test_no_password_is_an_argument(documents: list[Document]) -> None:
    """Arguments show in `ps` and in `kubectl describe`."""
    for _, container in manifests.containers(documents):
        words: list[Any] = [*container.get("command", []), *container.get("args", [])]
        text = " ".join(word.partition("<<END")[0] for word in words)
        assert not re.search(r"requirepass|--?a(uth)? |\$\(?\w*(PASSWORD|AUTH)", text), shlex.split(
            text
        )
