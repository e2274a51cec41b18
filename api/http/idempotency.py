"""`Idempotency-Key`: the same request sent twice creates one job.

Two requests are the same if their options and decoded content are equal. Multipart boundary,
charset, compression, trailing slash and the formatting of JSON do not matter.
"""

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from flask import Request

from shared.db.idempotency import KnownKey
from shared.domain.chunks import NO_TRACE, Idempotency, TraceContext
from shared.domain.errors import KeyInFlight, KeyReused, RequestInvalid

_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
_VERSION: Final = "v2"
"""The prefix of fingerprints; those of the first release are hexadecimal digits only."""
_HEX_DIGITS: Final = 64 - len(_VERSION)
_NUMBERS: Final = frozenset({int, float})
# Omitting an option and sending its default are the same request.
_DEFAULTS: Final[Mapping[str, object]] = {
    "outputs": ["label"],
    "labels": {},
    "webhook": None,
    "validate_only": False,
    "on_error": "continue",
    "max_errors": None,
}


class ContentHash:
    """A hash of a request's options and decoded content, complete once the body has been read.

    The options are hashed as sent, before aliases and limits are resolved: a retry remains the same
    request when an alias has moved since.
    """

    def __init__(self) -> None:
        """Start an empty hash."""
        self._hash = hashlib.sha256()

    def add_rows(self, document: Mapping[str, Any]) -> None:
        """Add the options and the rows, in order, of a JSON job."""
        self._add_options("rows", {k: v for k, v in document.items() if k != "instances"})
        instances = document.get("instances")
        if not isinstance(instances, list):
            self._hash.update(_canonical(instances))
            return
        for instance in instances:
            self._hash.update(_row(instance))

    def stream(self, options: Mapping[str, Any], parts: Iterable[bytes]) -> Iterator[bytes]:
        """Add `options`, then add and yield each of the decoded `parts` of a file."""
        self._add_options("file", options)
        for part in parts:
            self._hash.update(part)
            yield part

    def _add_options(self, kind: str, options: Mapping[str, Any]) -> None:
        given = dict(options)
        if isinstance(outputs := given.get("outputs"), list) and _are_text(outputs):
            given["outputs"] = sorted({"label", *outputs})
        given = {k: v for k, v in given.items() if k not in _DEFAULTS or v != _DEFAULTS[k]}
        self._hash.update(_canonical([kind, given]) + b"\n")

    def __str__(self) -> str:
        """Return the fingerprint of what has been added so far."""
        return _VERSION + self._hash.hexdigest()[:_HEX_DIGITS]


def _are_text(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _row(instance: object) -> bytes:
    """Encode a row so that only rows with equal values have the same bytes."""
    # Packing rows of numbers is several times faster than the general encoding.
    if isinstance(instance, list) and set(map(type, instance)) <= _NUMBERS:
        return b"\n%d:" % len(instance) + array("d", instance).tobytes()
    if isinstance(instance, dict) and set(map(type, instance.values())) <= _NUMBERS:
        names = sorted(instance)
        packed = array("d", [instance[name] for name in names]).tobytes()
        return b"\n" + orjson.dumps(names) + packed
    return b"\n" + _canonical(instance)


def _canonical(value: object) -> bytes:
    """Encode JSON of any depth independently of member order and number formatting.

    Each list and object is encoded as its length and its items.
    """
    encoded: list[bytes] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            encoded.append(b"{%d" % len(item))
            for name in sorted(item, reverse=True):
                stack += (item[name], name)
        elif isinstance(item, list):
            encoded.append(b"[%d" % len(item))
            stack += reversed(item)
        else:
            encoded.append(orjson.dumps(float(item) if type(item) is int else item))
    return b" ".join(encoded)


class LegacyHash:
    """The first release's hash of target, content type and raw body.

    Keys stored by that release stay valid for a day after an upgrade, for retries that are equal
    byte by byte. To be removed in the next release.
    """

    def __init__(self, request: Request) -> None:
        """Hash the target and the content type."""
        self._hash = hashlib.sha256()
        for part in (request.full_path, request.content_type or ""):
            self._hash.update(part.encode() + b"\n")

    def add(self, body: bytes, /) -> None:
        """Add the next raw bytes of the body."""
        self._hash.update(body)

    def __str__(self) -> str:
        """Return the fingerprint of what has been added so far."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """The owner, trace context and idempotency key, if any, of a request that creates a job.

    `row_quota` is how many rows the owner may have queued, None for any number.
    """

    owner: str = ""
    row_quota: int | None = None
    trace: TraceContext = NO_TRACE
    key_hash: str | None = None
    content: ContentHash = field(default_factory=ContentHash)

    def key(self, *, complete: bool) -> Idempotency | None:
        """Return the key to store, with a fingerprint only if the body is `complete`."""
        if self.key_hash is None:
            return None
        fingerprint = str(self.content) if complete else None
        return Idempotency(key_hash=self.key_hash, fingerprint=fingerprint)

    def add_rows(self, document: Mapping[str, Any]) -> None:
        """Hash a JSON job if the request has a key."""
        if self.key_hash is not None:
            self.content.add_rows(document)

    def hashed(self, options: Mapping[str, Any], parts: Iterator[bytes]) -> Iterator[bytes]:
        """Return the `parts` of a file; with a key, hash them and `options` as they are read."""
        return parts if self.key_hash is None else self.content.stream(options, parts)


ANONYMOUS: Final = RequestContext()
"""The context of a request without an idempotency key while API keys are off."""


def read_key(request: Request) -> str | None:
    """Return the SHA-256 of the request's Idempotency-Key, None without one.

    Raise `RequestInvalid` unless the key is 1 to 255 printable ASCII characters.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise RequestInvalid("Idempotency-Key must be 1 to 255 printable ASCII characters.")
    return hashlib.sha256(key.encode()).hexdigest()


def is_legacy(known: KnownKey) -> bool:
    """Return whether the first release stored `known`.

    Raise `KeyInFlight` while the body of the first request is still being received.
    """
    if known.fingerprint is None:
        raise KeyInFlight
    return not known.fingerprint.startswith(_VERSION)


def check_fingerprint(known: KnownKey, fingerprint: ContentHash | LegacyHash) -> None:
    """Raise `KeyReused` unless `fingerprint` equals that of the first request."""
    if known.fingerprint != str(fingerprint):
        raise KeyReused
