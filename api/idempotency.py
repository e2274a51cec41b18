"""`Idempotency-Key`: the same request sent twice makes one job."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from flask import Request

from shared.db.idempotency import KnownKey
from shared.domain.chunks import NO_TRAIL, Idempotency, Trail
from shared.domain.errors import KeyInFlight, KeyReused, RequestInvalid

_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")


class Fingerprint:
    """A hash of a request's target, content type and body, complete when all has been read."""

    def __init__(self, request: Request) -> None:
        """Begin with what stands before the body."""
        self._hash = hashlib.sha256()
        for part in (request.full_path, request.content_type or ""):
            self._hash.update(part.encode() + b"\n")

    def add(self, body: bytes, /) -> None:
        """Hash a body, or its next piece."""
        self._hash.update(body)

    def __str__(self) -> str:
        """Give what has been hashed so far, in hex."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose request makes a job, which one, and under which idempotency key, if any."""

    owner: str = ""
    trail: Trail = NO_TRAIL
    key_hash: str | None = None
    fingerprint: Fingerprint | None = None

    def key(self, *, complete: bool) -> Idempotency | None:
        """Give the key to store; its fingerprint counts once the body is `complete`."""
        if self.key_hash is None:
            return None
        fingerprint = str(self.fingerprint) if complete else None
        return Idempotency(key_hash=self.key_hash, fingerprint=fingerprint)


NOBODY: Final = Origin()
"""A request without an idempotency key where API keys are off."""


def read_key(request: Request) -> str | None:
    """Give the SHA-256 of the request's Idempotency-Key, None without one.

    Raises `RequestInvalid` for a key that is no short printable text.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise RequestInvalid("Idempotency-Key must be 1 to 255 printable ASCII characters.")
    return hashlib.sha256(key.encode()).hexdigest()


def check_same(known: KnownKey, fingerprint: Fingerprint) -> None:
    """Check that a request that comes again is the one that came before.

    Raises `KeyInFlight` while the first is still arriving, `KeyReused` when it was another.
    """
    if known.fingerprint is None:
        raise KeyInFlight
    if known.fingerprint != str(fingerprint):
        raise KeyReused
