"""API keys: what a client shows, and the little of it that is kept."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_PREFIX: Final = "dbk"
_KEY: Final = re.compile(r"dbk_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored; its id is the owner of the jobs it submits.

    `requests_per_second` and `queued_rows` are its quotas, None for none. After a rotation the
    previous secret still counts until `previous_until`.
    """

    id: str
    name: str
    secret_hash: str
    previous_hash: str | None
    previous_until: datetime | None
    requests_per_second: float | None
    queued_rows: int | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def admits(self, secret: str, now: datetime) -> bool:
        """Return whether `secret` opens this key, in a time that tells nothing about it."""
        given = hash_secret(secret)
        current = secrets.compare_digest(given, self.secret_hash)
        previous = secrets.compare_digest(given, self.previous_hash or "")
        in_time = self.previous_until is not None and now < self.previous_until
        return self.revoked_at is None and (current or (previous and in_time))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecret:
    """A secret that was just made: `text` is shown once, `hash` is kept."""

    text: str
    hash: str


def new_key_id() -> str:
    """Make the id of a key."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(12))


def new_secret(key_id: str) -> NewSecret:
    """Make a secret of 256 bits for the key `key_id`."""
    secret = secrets.token_urlsafe(32)
    return NewSecret(text=f"{_PREFIX}_{key_id}_{secret}", hash=hash_secret(secret))


def read_key(text: str) -> tuple[str, str] | None:
    """Cut what a client shows into key id and secret, or give None for what is no key."""
    found = _KEY.fullmatch(text)
    return None if found is None else (found[1], found[2])


def hash_secret(secret: str) -> str:
    """Hash a secret: SHA-256 is enough for 256 random bits, which nobody can guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
