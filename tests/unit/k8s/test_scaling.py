"""KEDA's documents, whose kinds Kubernetes' own schemas do not know."""

from typing import Final

import pytest

from tests.unit.k8s import manifests
from tests.unit.k8s.manifests import Document, name_of, of_kind

# https://keda.sh/docs/latest/scalers/mysql and /reference/scaledobject-spec
_METADATA: Final = {
    *("host", "port", "username", "dbName", "query", "queryValue", "activationQueryValue"),
}
_SPEC: Final = {
    *("scaleTargetRef", "pollingInterval", "cooldownPeriod", "minReplicaCount"),
    *("maxReplicaCount", "fallback", "advanced", "triggers"),
}


@pytest.fixture(scope="module")
def keda() -> list[Document]:
    """The base with KEDA."""
    return manifests.read("base", "components/keda")


def scaled(documents: list[Document]) -> dict[str, Document]:
    """Return what KEDA is told of each Deployment."""
    return {name_of(found): found["spec"] for found in of_kind(documents, "ScaledObject")}


def test_every_field_is_one_that_keda_reads(keda: list[Document]) -> None:
    """A misspelt one would be ignored."""
    for spec in scaled(keda).values():
        assert spec.keys() <= _SPEC
        for trigger in spec["triggers"]:
            assert trigger["type"] == "mysql"
            assert trigger["metadata"].keys() <= _METADATA
            assert all(isinstance(value, str) for value in trigger["metadata"].values())


def test_bulk_workers_go_when_there_is_nothing_to_do(keda: list[Document]) -> None:
    """While one worker for small jobs always stays."""
    lowest = {name: spec["minReplicaCount"] for name, spec in scaled(keda).items()}

    assert lowest == {"worker": 1, "worker-bulk": 0}


def test_keda_finds_the_database_and_its_password(keda: list[Document]) -> None:
    """From a namespace of its own, so the Service's name is a full one."""
    (authentication,) = of_kind(keda, "TriggerAuthentication")
    (secret,) = authentication["spec"]["secretTargetRef"]
    settings = manifests.config_maps(keda)["drybeans"]

    assert secret["parameter"] == "password"
    assert (secret["name"], secret["key"] in manifests.secret_keys()) == ("drybeans", True)
    for spec in scaled(keda).values():
        (trigger,) = spec["triggers"]
        host = trigger["metadata"]["host"]
        assert host == f"{settings['MYSQL_HOST']}.drybeans.svc.cluster.local"
        assert trigger["metadata"]["username"] == settings["MYSQL_USER"]
        assert trigger["metadata"]["dbName"] == settings["MYSQL_DB"]
        assert trigger["authenticationRef"]["name"] == name_of(authentication)
