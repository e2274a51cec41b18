"""Webhooks (Standard Webhooks 1.0): what is sent, how it is signed, and when it is tried again."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from shared.domain.jobs import JobId, JobState

PREFIX: Final = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64

DELAYS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 30, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600)
)
"""How long after each failed attempt the next one follows, before jitter; then it is given up."""


MAX_RETRY_AFTER: Final = timedelta(days=1)
"""The longest that a receiver can put the next attempt off with `Retry-After`."""
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class DeliveryState(StrEnum):
    """Where the delivery of a webhook stands."""

    PENDING = "pending"  # it will be tried, or tried again
    DELIVERED = "delivered"  # the receiver answered 2xx
    FAILED = "failed"  # given up: too many attempts, or an address that is refused
    GONE = "gone"  # the receiver answered 410: it wants no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The delivery of a job's webhook as its owner sees it."""

    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """A delivery that a sweeper has claimed, and all that it needs to send it."""

    job: JobId
    fence: int
    attempt: int
    url: str
    host: str
    owner: str
    state: JobState
    finished_at: datetime
    sent_at: datetime

    @property
    def id(self) -> str:
        """The `webhook-id`: a job finishes once, so every attempt has the same."""
        return f"msg_{self.job}"

    def document(self) -> dict[str, object]:
        """Write the thin body: what happened to which job, and where to read more."""
        path = f"/jobs/{self.job}"
        links = {"self": path, "results": f"{path}/results", "errors": f"{path}/errors"}
        return {
            "type": f"job.{self.state}",
            "timestamp": self.finished_at,
            "data": {"id": self.job, "state": self.state, "links": links},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResponse:
    """What became of an attempt: the receiver's status, or else why there is none.

    One that was `refused` was never sent, and trying again will not help. `asked` is how long the
    receiver wants to be left alone.
    """

    status: int | None = None
    error: str | None = None
    refused: bool = False
    asked: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDecision:
    """How a delivery goes on; `after` is the wait until its next attempt."""

    state: DeliveryState
    after: timedelta | None = None


def decide_retry(reply: DeliveryResponse, attempt: int, chance: float) -> RetryDecision:
    """Decide how a delivery goes on after attempt number `attempt` (1 is the first).

    `chance`, from 0 to 1, spreads the next attempts over half to one and a half of their delay,
    so that a receiver that was down is not met by all of them at once. A receiver that asks for
    more gets it, up to a day and a tenth of it by chance.
    """
    status = reply.status or 0
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return RetryDecision(state=DeliveryState.DELIVERED)
    if status == HTTPStatus.GONE:
        return RetryDecision(state=DeliveryState.GONE)
    if reply.refused or attempt > len(DELAYS):
        return RetryDecision(state=DeliveryState.FAILED)
    asked = min(reply.asked, MAX_RETRY_AFTER) * (1 + chance / 10)
    after = max(DELAYS[attempt - 1] * (0.5 + chance), asked)
    return RetryDecision(state=DeliveryState.PENDING, after=after)


def read_retry_after(text: str | None, now: datetime) -> timedelta:
    """Read `Retry-After` (RFC 9110: seconds, or a date); nothing when it says nothing sensible."""
    words = (text or "").strip()
    if _SECONDS.fullmatch(words):
        return timedelta(seconds=int(words))
    try:
        moment = parsedate_to_datetime(words)
        return max(moment - now, timedelta())
    except (ValueError, TypeError, OverflowError):
        # No date, or one without a zone.
        return timedelta()


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Read `whsec_…` secrets with spaces or commas between them; the first is the newest.

    Raises `ValueError`, which never tells a secret.
    """
    return tuple(_read_secret(word) for word in text.replace(",", " ").split())


def _read_secret(word: str) -> bytes:
    try:
        secret = base64.b64decode(word.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not (word.startswith(PREFIX) and _LEAST_BYTES <= len(secret) <= _MOST_BYTES):
        message = f"each must be {PREFIX} and {_LEAST_BYTES} to {_MOST_BYTES} bytes in base64"
        raise ValueError(message)
    return secret


def secret_of(master: bytes, owner: str) -> bytes:
    """Return the secret of one API key, so that no key's holder can forge what another's receives.

    Where keys are off there is one owner, and the master is its secret.
    """
    return hmac.digest(master, f"webhooks of {owner}".encode(), "sha256") if owner else master


def show_secret(secret: bytes) -> str:
    """Write a secret as receivers configure it."""
    return PREFIX + base64.b64encode(secret).decode()


def sign(secrets: Sequence[bytes], parcel_id: str, moment: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of a message, with one signature for each of `secrets`."""
    timestamp = str(int(moment.timestamp()))
    signed = f"{parcel_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": parcel_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(d).decode()}" for d in digests),
    }
