"""`Idempotency-Key`: the same request sent twice makes one job.

Two requests are the same if their options and their decoded content are, however they were sent:
multipart boundary, charset, compression, trailing slash and the spelling of JSON do not count.
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
"""How a fingerprint begins; those of the first release are hexadecimal digits only."""
_HEX_DIGITS: Final = 64 - len(_VERSION)
_NUMBERS: Final = frozenset({int, float})
# What leaves an option out is the same request as what gives its default.
_DEFAULTS: Final[Mapping[str, object]] = {
    "outputs": ["label"],
    "labels": {},
    "webhook": None,
    "validate_only": False,
    "on_error": "continue",
    "max_errors": None,
}


class ContentHash:
    """A hash of a request's options and decoded content, complete when all has been read.

    The options are hashed as they were sent and not as the models and limits of today read them:
    a retry is the same request also when an alias has moved since.
    """

    def __init__(self) -> None:
        """Start without options and content."""
        self._hash = hashlib.sha256()

    def add_rows(self, document: Mapping[str, Any]) -> None:
        """Add a JSON job: its rows, in order, and its options."""
        self._add_options("rows", {k: v for k, v in document.items() if k != "instances"})
        instances = document.get("instances")
        if not isinstance(instances, list):
            self._hash.update(_canonical(instances))
            return
        for instance in instances:
            self._hash.update(_row(instance))

    def stream(self, options: Mapping[str, Any], parts: Iterable[bytes]) -> Iterator[bytes]:
        """Add `options`, then yield the decoded `parts` of a file, adding each on the way."""
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
    # Rows of numbers are packed: several times faster than the walk below.
    if isinstance(instance, list) and set(map(type, instance)) <= _NUMBERS:
        return b"\n%d:" % len(instance) + array("d", instance).tobytes()
    if isinstance(instance, dict) and set(map(type, instance.values())) <= _NUMBERS:
        names = sorted(instance)
        packed = array("d", [instance[name] for name in names]).tobytes()
        return b"\n" + orjson.dumps(names) + packed
    return b"\n" + _canonical(instance)


def _canonical(value: object) -> bytes:
    """Encode JSON of any depth, blind to the order of members and to the spelling of numbers.

    Each list and object is written as its length, then what it holds.
    """
    encoded: list[bytes] = []
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            encoded.append(b"{%d" % len(item))
            for name in sorted(item, reverse=True):
                left += (item[name], name)
        elif isinstance(item, list):
            encoded.append(b"[%d" % len(item))
            left += reversed(item)
        else:
            encoded.append(orjson.dumps(float(item) if type(item) is int else item))
    return b" ".join(encoded)


class LegacyHash:
    """The first release's hash of target, content type and body as they were sent.

    Keys that it stored are good for a day after an upgrade, for requests that are sent again byte
    for byte. To be removed in the release after.
    """

    def __init__(self, request: Request) -> None:
        """Start with what comes before the body."""
        self._hash = hashlib.sha256()
        for part in (request.full_path, request.content_type or ""):
            self._hash.update(part.encode() + b"\n")

    def add(self, body: bytes, /) -> None:
        """Add the next bytes of the body, as they were sent."""
        self._hash.update(body)

    def __str__(self) -> str:
        """Return the fingerprint of what has been added so far."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """Whose request makes a job, which one, and under which idempotency key, if any.

    `row_quota` is how many rows the owner may have queued, None for any number.
    """

    owner: str = ""
    row_quota: int | None = None
    trail: TraceContext = NO_TRACE
    key_hash: str | None = None
    content: ContentHash = field(default_factory=ContentHash)

    def key(self, *, complete: bool) -> Idempotency | None:
        """Return the key to store; its fingerprint counts once the body is `complete`."""
        if self.key_hash is None:
            return None
        fingerprint = str(self.content) if complete else None
        return Idempotency(key_hash=self.key_hash, fingerprint=fingerprint)

    def add_rows(self, document: Mapping[str, Any]) -> None:
        """Hash a JSON job, where there is a key."""
        if self.key_hash is not None:
            self.content.add_rows(document)

    def hashed(self, options: Mapping[str, Any], parts: Iterator[bytes]) -> Iterator[bytes]:
        """Return `parts` of a file, hashed on the way with `options` where there is a key."""
        return parts if self.key_hash is None else self.content.stream(options, parts)


ANONYMOUS: Final = RequestContext()
"""A request without an idempotency key where API keys are off."""


def read_key(request: Request) -> str | None:
    """Return the SHA-256 of the request's Idempotency-Key, None without one.

    Raises `RequestInvalid` for a key that is no short printable text.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise RequestInvalid("Idempotency-Key must be 1 to 255 printable ASCII characters.")
    return hashlib.sha256(key.encode()).hexdigest()


def is_legacy(known: KnownKey) -> bool:
    """Return whether the first release stored `known`. Raises `KeyInFlight` before its end."""
    if known.fingerprint is None:
        raise KeyInFlight
    return not known.fingerprint.startswith(_VERSION)


def check_fingerprint(known: KnownKey, fingerprint: ContentHash | LegacyHash) -> None:
    """Raise `KeyReused` unless a request that comes again is the one that came before."""
    if known.fingerprint != str(fingerprint):
        raise KeyReused
