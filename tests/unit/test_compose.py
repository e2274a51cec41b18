"""docker-compose.yml: valid, true to the settings, and without a password of its own."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from flower.options import options as flower_options

from shared.domain.jobs import Queue
from shared.settings import Settings, read_settings

_ROOT: Final = Path(__file__).parents[2]
_FILE: Final = _ROOT / "docker-compose.yml"
# Long enough for what signs webhooks.
SECRET: Final = "secret" * 6
_SECRETS: Final = re.compile(r"PASSWORD|AUTH|SECRET|KEY")
_VARIABLE: Final = re.compile(r"\$\{(\w+)(:[-?])?([^}]*)\}")
# Where the images of servers write what must outlive them.
_DISKS: Final = {"mysql": "/var/lib/mysql", "redis": "/data"}
_SERVERS: Final = {
    "mysql": {"MYSQL_DATABASE", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_ROOT_PASSWORD"},
    "redis": {"REDISCLI_AUTH"},
}


@pytest.fixture(scope="module")
def text() -> str:
    """The file as it is written."""
    return _FILE.read_text()


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, dict[str, Any]]:
    """The services, with each variable at its default or, without one, at `SECRET`."""
    plain = _VARIABLE.sub(lambda found: found[3] if found[2] == ":-" else SECRET, text)
    return dict(yaml.safe_load(plain)["services"])


def test_compose_knows_every_field() -> None:
    """By the schema of the compose specification."""
    command = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(_FILE)]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_docker_takes_it(tmp_path: Path) -> None:
    """`docker compose config`, where there is one."""
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run(
            [docker, "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("NOT TESTED: docker compose config: there is no docker compose here")
    secrets = tmp_path / ".env"
    secrets.write_text((_ROOT / ".env.example").read_text().replace("=\n", "=secret\n"))

    done = subprocess.run(
        [docker, "compose", "--env-file", str(secrets), "--file", str(_FILE), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_no_password_has_a_default(text: str) -> None:
    """Compose refuses to start without them, and .env.example names exactly these, empty."""
    used = {found[1]: found[2] for found in _VARIABLE.finditer(text)}
    secret = {name for name in used if _SECRETS.search(name)}
    example = (_ROOT / ".env.example").read_text().splitlines()
    asked = [line for line in example if line and not line.startswith("#")]

    assert all(used[name] == ":?" for name in secret)
    assert all(used[name] == ":-" for name in used.keys() - secret)
    assert sorted(asked) == sorted(f"{name}=" for name in secret)


def test_the_settings_take_every_environment(
    services: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and values; and the parts meet at the same MySQL and Redis."""
    for name in ("migrate", "api", "worker", "sweeper"):
        for known in [n for n in os.environ if n.startswith(("DRYBEANS_", "MYSQL_"))]:
            monkeypatch.delenv(known)
        for variable, value in services[name]["environment"].items():
            monkeypatch.setenv(variable, str(value))

        settings = read_settings()

        database = settings.database_url.get_secret_value()
        assert database == f"mysql+pymysql://drybeans:{SECRET}@mysql/drybeans"
        assert settings.redis_url.get_secret_value() == f"redis://:{SECRET}@redis:6379/0"
        assert settings.api_keys is (name == "api")


def test_every_variable_means_something(services: dict[str, dict[str, Any]]) -> None:
    """A setting, one of the walkthrough's four, or an option of the part that reads it."""
    ours = {f"DRYBEANS_{name.upper()}" for name in Settings.model_fields}
    ours |= {"MYSQL_HOST", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DB"}
    ours |= {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    flowers = {f"FLOWER_{name.upper().replace('-', '_')}" for name in flower_options}
    known = _SERVERS | {"flower": flowers | {"CELERY_BROKER_URL"}}

    for name, service in services.items():
        assert service["environment"].keys() <= known.get(name, ours), name


def test_the_worker_serves_both_queues_and_can_be_multiplied(
    services: dict[str, dict[str, Any]],
) -> None:
    """A name or a port of its own would keep the second one from starting."""
    worker = services["worker"]

    assert set(worker["environment"]["DRYBEANS_QUEUES"].split(",")) == set(Queue)
    assert not {"container_name", "ports", "hostname"} & worker.keys()
    seconds = float(worker["environment"]["DRYBEANS_TASK_SECONDS"])
    assert float(worker["stop_grace_period"].removesuffix("s")) > seconds


def test_what_must_persist_lies_where_the_server_writes(
    text: str, services: dict[str, dict[str, Any]]
) -> None:
    """In a named volume; anything else is gone with its container."""
    named = yaml.safe_load(text)["volumes"]
    for name, folder in _DISKS.items():
        assert services[name]["volumes"] == [f"{name}:{folder}"]
        assert name in named
    assert f"dir {_DISKS['redis']}\n" in services["redis"]["command"][2]


def test_redis_keeps_what_it_is_given(services: dict[str, dict[str, Any]]) -> None:
    """It has a password, writes what it takes, and says so when it is full."""
    told = services["redis"]["command"][2]

    for line in ("requirepass $$REDISCLI_AUTH", "appendonly yes", "maxmemory-policy noeviction"):
        assert f"{line}\n" in told


def test_parts_wait_for_what_they_need(services: dict[str, dict[str, Any]]) -> None:
    """All but migrate start when the tables are there; who is waited for has a health check."""
    for name in ("api", "worker", "sweeper"):
        waits = services[name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other]


def test_everything_that_goes_on_is_watched(services: dict[str, dict[str, Any]]) -> None:
    """And each check that is a module of ours exists."""
    for name, service in services.items():
        if name != "migrate":
            command = service["healthcheck"]["test"]
            assert command[0] in {"CMD", "CMD-SHELL"}
            if command[1:3] == ["python", "-m"]:
                assert importlib.util.find_spec(command[3])


def test_only_loopback_is_opened(services: dict[str, dict[str, Any]]) -> None:
    """Whoever wants more says so in .env."""
    opened = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert json.dumps(opened) == (
        '{"api": ["127.0.0.1:5000:5000"], "flower": ["127.0.0.1:5555:5555"]}'
    )


def test_our_containers_may_write_nothing_and_want_no_rights(
    services: dict[str, dict[str, Any]],
) -> None:
    """As in Kubernetes."""
    for name in ("migrate", "api", "worker", "sweeper", "flower"):
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_our_containers_have_limits_and_take_any_setting(
    services: dict[str, dict[str, Any]],
) -> None:
    """Memory and /tmp are limited; settings without a variable of their own come from a file."""
    for name in ("migrate", "api", "worker", "sweeper", "flower"):
        service = services[name]
        assert service["mem_limit"]
        assert all(":size=" in place for place in service["tmpfs"])
        assert service["env_file"] == [{"path": "drybeans.env", "required": False}]


def test_every_image_has_a_tag(services: dict[str, dict[str, Any]]) -> None:
    """One that stays."""
    for service in services.values():
        name, _, tag = service["image"].partition(":")
        assert name
        assert tag not in {"", "latest"}
