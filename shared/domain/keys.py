"""API keys: what a client shows, and the little of it that is kept."""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_PREFIX: Final = "dbk"
_KEY: Final = re.compile(r"(dbk_([a-z0-9]{12})_([A-Za-z0-9_-]{43}))([0-9A-Za-z]{6})?")
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
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
    text = f"{_PREFIX}_{key_id}_{secret}"
    return NewSecret(text=text + checksum(text), hash=hash_secret(secret))


def parse_key(text: str) -> tuple[str, str] | None:
    """Parse what a client shows into key id and secret; return None for what cannot be a key.

    A checksum that does not fit shows a mistyped or made-up key without a look-up. Keys of the
    first release have none.
    """
    found = _KEY.fullmatch(text)
    if found is None or found[4] not in {None, checksum(found[1])}:
        return None
    return found[2], found[3]


def checksum(text: str) -> str:
    """Return the CRC-32 of `text` in base 62, six characters, as GitHub's tokens end."""
    number, letters = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, len(_BASE62))
        letters = _BASE62[digit] + letters
    return letters


def hash_secret(secret: str) -> str:
    """Hash a secret: SHA-256 is enough for 256 random bits, which nobody can guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
