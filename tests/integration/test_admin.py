"""The operator's commands on a real database: keys and webhooks."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from shared import admin
from shared.db.engine import Database
from shared.db.keys import read_api_key
from shared.db.tables import api_keys, deliveries
from shared.db.types import now
from shared.domain.keys import hash_secret, read_key
from shared.domain.webhooks import read_secrets, secret_of, show_secret
from tests.integration.test_webhooks import finish_it, with_webhook

SECRET = show_secret(b"s" * 32)


@pytest.fixture(autouse=True)
def _settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the test's database as an operator does."""
    monkeypatch.setenv("DRYBEANS_DATABASE_URL", database_url)
    monkeypatch.setenv("DRYBEANS_WEBHOOK_SECRETS", SECRET)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command and give what it prints."""
    admin.main(words)
    return capsys.readouterr().out


def create(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    """Make a key; give its id and its secret."""
    shown = run(capsys, "keys", "create", "--name", "lab", *words).split()[0]
    parts = read_key(shown)
    assert parts is not None
    return parts


def test_a_key_is_shown_once_and_stored_hashed(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """The database holds no secret that could be shown, or stolen."""
    key_id, secret = create(capsys, "--requests-per-second", "5", "--queued-rows", "100")

    row = database.read(lambda c: c.execute(select(api_keys)).one())

    assert row.secret_hash == hash_secret(secret)
    assert secret not in repr(row)
    assert (row.id, row.requests_per_second, row.queued_rows) == (key_id, 5.0, 100)
    listed = run(capsys, "keys", "list")
    assert re.search(rf"{key_id} +lab +\S+ \S+ +never +valid", listed)
    assert secret not in listed


def test_a_key_that_is_rotated_has_two_secrets_for_a_while(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """The former one ends by itself."""
    key_id, old = create(capsys)

    shown = read_key(run(capsys, "keys", "rotate", key_id, "--grace-hours", "2").split()[0])

    key = database.read(lambda c: read_api_key(c, key_id))
    assert shown is not None
    assert key is not None
    assert key.previous_until is not None
    soon, late = key.previous_until - timedelta(hours=1), key.previous_until + timedelta(seconds=1)
    assert key.admits(old, soon)
    assert key.admits(shown[1], soon)
    assert not key.admits(old, late)
    assert key.admits(shown[1], late)


def test_a_key_that_is_revoked_opens_nothing(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor can it be rotated back to life; the list says when it ended."""
    key_id, secret = create(capsys)

    run(capsys, "keys", "revoke", key_id)

    key = database.read(lambda c: read_api_key(c, key_id))
    assert key is not None
    assert key.revoked_at is not None
    assert not key.admits(secret, key.created_at)
    assert "revoked" in run(capsys, "keys", "list")
    with pytest.raises(SystemExit, match="no such API key"):
        admin.main(["keys", "rotate", key_id])


@pytest.mark.parametrize("action", ["rotate", "revoke"])
def test_a_key_that_there_is_not_is_told(action: str) -> None:
    """In a sentence, with an exit code."""
    with pytest.raises(SystemExit, match="admin: There is no such API key"):
        admin.main(["keys", action, "nobody"])


def test_webhook_secrets_are_made_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A new one is random; a key's follows from the one that is set."""
    one, two = (run(capsys, "webhooks", "secret").strip() for _ in range(2))

    assert one != two
    assert len(read_secrets(f"{one} {two}")) == 2
    shown = run(capsys, "webhooks", "secret", "--key", "keyone").strip()
    assert read_secrets(shown) == (secret_of(read_secrets(SECRET)[0], "keyone"),)


def test_what_was_given_up_is_sent_again(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what failed, and not long ago: a receiver does not want last month's messages."""
    for hours in (1, 100):
        job = with_webhook()
        finish_it(database, job)
        failed = {"state": "failed", "attempts": 9, "last_attempt_at": now(-3600 * hours)}
        change = update(deliveries).where(deliveries.c.job_id == job.id).values(failed)
        database.write(lambda c, change=change: c.execute(change))  # type: ignore[misc]

    told = run(capsys, "webhooks", "redeliver", "--hours", "48")

    states = database.read(lambda c: c.scalars(select(deliveries.c.state)).all())
    assert told == "1 webhooks are sent again.\n"
    assert sorted(states) == ["failed", "pending"]
