"""The settings: the one place that reads the environment."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.domain.chunks import DispatchPolicy, MessageLimits
from shared.domain.errors import SettingsInvalid
from shared.domain.hosts import AllowedHosts, parse_allowed_hosts, parse_origins
from shared.domain.webhook_targets import Network, read_networks
from shared.domain.webhooks import read_secrets

PREFIX: Final = "DRYBEANS_"

# Read by the client, the tests and the benchmarks, which have no other settings.
_OTHERS: Final = frozenset({"DRYBEANS_URL", "DRYBEANS_API_KEY"})
_OTHER_PREFIXES: Final = ("DRYBEANS_TEST_", "DRYBEANS_BENCH_")

_ALL_INTERFACES: Final = frozenset({"", "0.0.0.0", "::", "[::]"})  # noqa: S104 - not bound to here

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Everything that can be set, each as `DRYBEANS_<NAME>`; the defaults suit one machine."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    database_url: SecretStr = SecretStr("sqlite:///var/drybeans.db")
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")

    model_root: Path = Path("model_artifacts")
    default_model: str = "drybeans"

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 5000
    api_processes: Count = 1
    api_keys: bool = False
    allowed_hosts: str | None = None
    allowed_origins: str | None = None
    api_connections: Count = 8
    database_answer_seconds: Seconds = 2.0
    # gunicorn takes whole seconds only.
    head_seconds: Count = 75
    body_seconds: Seconds = 60.0
    send_timeout: Seconds = 30.0
    max_downloads: Count = 32
    max_event_streams: Count = 3000

    max_body_bytes: Count = 16 * 1024 * 1024
    max_upload_bytes: Count = 16 * 1024**3
    max_job_rows: Count = 20_000_000
    # How many times its size a compressed CSV may be.
    max_compression_ratio: Count = 100
    # Python's csv module reads no field longer than the most that can be set here.
    max_line_bytes: Annotated[int, Field(ge=1, le=128 * 1024)] = 64 * 1024
    chunk_bytes: Count = 4 * 1024 * 1024
    upload_patience_seconds: Seconds = 300.0
    max_instances: Count = 100_000
    chunk_rows: Count = 10_000
    interactive_max_rows: Count = 1_000
    message_rows: Count = 20_000
    message_chunks: Count = 500

    intake_jobs: Count = 2_000
    intake_bytes: Count = 64 * 1024 * 1024
    group_jobs: Count = 500
    high_water_rows: Count = 50_000_000
    low_water_rows: Count = 40_000_000

    predict_wait_seconds: Seconds = 30.0
    retention_seconds: Seconds = 7 * 24 * 3600.0
    deadline_seconds: Seconds = 24 * 3600.0

    lease_seconds: Seconds = 15.0
    max_attempts: Count = 4
    republish_seconds: Seconds = 5.0
    sweep_seconds: Seconds = 1.0
    heartbeat_file: Path | None = None
    webhook_secrets: SecretStr | None = None
    webhook_networks: str | None = None
    window_chunks: Count = 4

    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    traces: bool = False

    workers: Count = os.cpu_count() or 1
    queues: str = "interactive,bulk"
    task_seconds: Seconds = 300.0

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without a heartbeat."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def retention(self) -> timedelta:
        """How long a finished job is kept."""
        return timedelta(seconds=self.retention_seconds)

    @property
    def dispatch_policy(self) -> DispatchPolicy:
        """When chunks are handed to Redis, and handed over again."""
        again = timedelta(seconds=self.republish_seconds)
        return DispatchPolicy(window=self.window_chunks, republish_after=again)

    @property
    def message_limits(self) -> MessageLimits:
        """How much one message may refer to."""
        return MessageLimits(rows=self.message_rows, chunks=self.message_chunks)

    @property
    def webhook_masters(self) -> tuple[bytes, ...]:
        """What webhooks are signed with, newest first; without any there are none."""
        secrets = self.webhook_secrets
        return read_secrets(secrets.get_secret_value()) if secrets else ()

    @property
    def webhook_allowed(self) -> tuple[Network, ...]:
        """The networks that are not public and to which webhooks may go all the same."""
        return read_networks(self.webhook_networks or "")

    @property
    def hosts(self) -> AllowedHosts:
        """The host names that requests may name: those set, and the address that is listened on."""
        listens_on = "" if self.host in _ALL_INTERFACES else self.host
        return parse_allowed_hosts(f"{self.allowed_hosts or ''},{listens_on}")

    @property
    def origins(self) -> frozenset[str]:
        """The foreign origins whose pages may send unsafe requests."""
        return parse_origins(self.allowed_origins or "")

    @field_validator("webhook_secrets")
    @classmethod
    def _check_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        read_secrets(value.get_secret_value() if value else "")
        return value

    @field_validator("webhook_networks")
    @classmethod
    def _check_networks(cls, value: str | None) -> str | None:
        try:
            read_networks(value or "")
        except ValueError:
            message = "give networks such as 10.1.0.0/16, with commas between them"
            raise ValueError(message) from None
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: str | None) -> str | None:
        try:
            parse_allowed_hosts(value or "")
        except ValueError:
            message = "give host names such as beans.example.com or .example.com, without port"
            raise ValueError(message) from None
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: str | None) -> str | None:
        try:
            parse_origins(value or "")
        except ValueError:
            message = "give origins such as https://app.example.com, with commas between them"
            raise ValueError(message) from None
        return value

    @property
    def deadline(self) -> timedelta:
        """How long a job may take before it expires."""
        return timedelta(seconds=self.deadline_seconds)

    @model_validator(mode="before")
    @classmethod
    def _walkthrough_database(cls, values: dict[str, object]) -> dict[str, object]:
        """Accept the walkthrough's MYSQL_* variables in place of a URL."""
        names = ("MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_HOST", "MYSQL_DB")
        given = {name: os.environ[name] for name in names if os.environ.get(name)}
        if "database_url" in values or not given:
            return values
        if len(given) < len(names):
            missing = ", ".join(name for name in names if name not in given)
            message = f"set {missing} too, or give DRYBEANS_DATABASE_URL instead"
            raise ValueError(message)
        user, password, host, name = (
            quote(given[n], safe=":" if n == "MYSQL_HOST" else "") for n in names
        )
        return values | {"database_url": f"mysql+pymysql://{user}:{password}@{host}/{name}"}


def read_settings() -> Settings:
    """Read and check the environment.

    Raises `SettingsInvalid`, naming every variable that is wrong or unknown, and never a value:
    a value may be a secret.
    """
    problems = [f"{name}: there is no such setting" for name in _unknown(os.environ)]
    settings = None
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [_told(flaw["loc"], flaw["msg"]) for flaw in error.errors()]
    if problems or settings is None:
        raise SettingsInvalid("; ".join(problems))
    return settings


def _told(place: tuple[int | str, ...], message: str) -> str:
    # Only the check of the walkthrough's variables belongs to no field of ours.
    name = PREFIX + "_".join(map(str, place)).upper() if place else "MYSQL_*"
    return f"{name}: {message.removeprefix('Value error, ')}"


def _unknown(environment: Mapping[str, str]) -> list[str]:
    # pydantic-settings passes over a misspelt name in silence, so the names are checked here.
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _OTHERS
    return sorted(
        name
        for name in environment
        if name.startswith(PREFIX) and name not in known and not name.startswith(_OTHER_PREFIXES)
    )
