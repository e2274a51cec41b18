"""The settings: read once, checked by name and value, secrets kept."""

import os
from datetime import timedelta

import pytest
from pydantic import ValidationError

from shared.domain.errors import SettingsInvalid
from shared.settings import Settings, read_settings

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with nothing set."""
    for name in list(os.environ):
        if name.startswith(("DRYBEANS_", "MYSQL_")):
            monkeypatch.delenv(name)


def test_with_nothing_set_the_defaults_suit_one_machine() -> None:
    """SQLite, a Redis on this machine, and no address but loopback."""
    settings = read_settings()

    assert settings.database_url.get_secret_value() == "sqlite:///var/drybeans.db"
    assert settings.host == "127.0.0.1"
    assert settings.lease == timedelta(seconds=15)


def test_a_setting_is_its_name_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    """DRYBEANS_ and the field."""
    monkeypatch.setenv("DRYBEANS_PORT", "8080")
    monkeypatch.setenv("DRYBEANS_LEASE_SECONDS", "0.5")

    settings = read_settings()

    assert (settings.port, settings.lease) == (8080, timedelta(seconds=0.5))


def test_a_misspelt_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are named, so that no setting is ignored in silence."""
    monkeypatch.setenv("DRYBEANS_DATABASE_ULR", "x")
    monkeypatch.setenv("DRYBEANS_PROT", "80")

    with pytest.raises(SettingsInvalid) as caught:
        read_settings()

    assert caught.value.detail == (
        "DRYBEANS_DATABASE_ULR: there is no such setting; DRYBEANS_PROT: there is no such setting"
    )


@pytest.mark.parametrize("name", ["DRYBEANS_URL", "DRYBEANS_API_KEY", "DRYBEANS_TEST_DATASET"])
def test_what_the_client_and_the_tests_read_is_no_mistake(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """They share the prefix and belong to other programs."""
    monkeypatch.setenv(name, "x")

    read_settings()


@pytest.mark.parametrize(
    "name, value",
    [
        ("DRYBEANS_PORT", "70000"),
        ("DRYBEANS_PORT", SECRET),
        ("DRYBEANS_WORKERS", "0"),
        ("DRYBEANS_LEASE_SECONDS", "-1"),
        ("DRYBEANS_LOG_LEVEL", SECRET),
        ("DRYBEANS_MAX_LINE_BYTES", "1000000"),
        ("DRYBEANS_WEBHOOK_SECRETS", SECRET),
        ("DRYBEANS_WEBHOOK_NETWORKS", SECRET),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The message names the variable and never its value, which may be a secret."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsInvalid) as caught:
        read_settings()

    assert caught.value.detail.startswith(f"{name}: ")
    assert value not in caught.value.detail
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_all_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator mends them in one go."""
    monkeypatch.setenv("DRYBEANS_PORT", "0")
    monkeypatch.setenv("DRYBEANS_WORKERS", "many")
    monkeypatch.setenv("DRYBEANS_TYPO", "1")

    with pytest.raises(SettingsInvalid) as caught:
        read_settings()

    for name in ("DRYBEANS_PORT", "DRYBEANS_WORKERS", "DRYBEANS_TYPO"):
        assert name in caught.value.detail


def test_a_secret_is_in_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords stand in URLs, and settings end up in tracebacks and logs."""
    monkeypatch.setenv("DRYBEANS_DATABASE_URL", f"mysql+pymysql://a:{SECRET}@db/drybeans")
    monkeypatch.setenv("DRYBEANS_REDIS_URL", f"redis://:{SECRET}@redis/0")

    settings = read_settings()

    for shown in (repr(settings), str(settings), f"{settings.model_dump()}"):
        assert SECRET not in shown
    assert SECRET not in settings.model_dump_json()
    assert SECRET in settings.database_url.get_secret_value()


def walkthrough(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> None:
    """Set the walkthrough's four variables."""
    given = {"HOST": "db", "USER": "bean", "PASSWORD": SECRET, "DB": "beans"} | changes
    for name, value in given.items():
        if value is not None:
            monkeypatch.setenv(f"MYSQL_{name}", value)


def database_url() -> str:
    """Read the settings and give the database's URL."""
    return read_settings().database_url.get_secret_value()


def test_the_walkthroughs_variables_name_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone who comes from there need not change a thing."""
    walkthrough(monkeypatch)

    assert database_url() == f"mysql+pymysql://bean:{SECRET}@db/beans"


def test_a_password_may_hold_any_character(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is quoted before it becomes part of a URL; a host may have a port."""
    walkthrough(monkeypatch, PASSWORD="p@ss/w:rd?", HOST="db:3307")

    assert database_url() == "mysql+pymysql://bean:p%40ss%2Fw%3Ard%3F@db:3307/beans"


def test_a_url_counts_more_than_the_walkthroughs_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The project's own setting wins."""
    walkthrough(monkeypatch)
    monkeypatch.setenv("DRYBEANS_DATABASE_URL", "sqlite:///own.db")

    assert database_url() == "sqlite:///own.db"


def test_some_of_the_walkthroughs_variables_are_not_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The missing ones are named, the given ones' values are not."""
    walkthrough(monkeypatch, DB=None, USER=None)

    with pytest.raises(SettingsInvalid) as caught:
        read_settings()

    assert caught.value.detail == (
        "MYSQL_*: set MYSQL_USER, MYSQL_DB too, or give DRYBEANS_DATABASE_URL instead"
    )


def test_settings_do_not_change() -> None:
    """What was read at the start holds until the end."""
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1
