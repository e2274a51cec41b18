"""Faults of clients and receivers: they break off, dawdle, do not read, or send bombs."""

import gzip
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import httpx
from sqlalchemy import select

from shared.db.schema import deliveries, jobs
from shared.domain.jobs import TERMINAL, JobState
from shared.domain.webhooks import DeliveryState
from shared.zstd import compress
from tests.chaos.clients import Sent, as_csv
from tests.chaos.faults.base import Registry, Strike, Target, fault, wait_until
from tests.chaos.receivers import delayed_receiver
from tests.chaos.stage import await_ready

FAULTS: Final[Registry] = {}
_client = partial(fault, FAULTS, Target.CLIENT)

_DELAYS: Final = (2.0, 5.0, 9.0)
_TOO_LATE: Final = 11.0
_READERS: Final = 60
_SENDERS: Final = 60
_BOMB_BYTES: Final = 1 << 28
_BOMB_SECONDS: Final = 40.0
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: closing the socket resets the connection."""


@_client("uploads aborted", hold=(0, 1))
def _uploads_aborted(strike: Strike) -> Iterator[None]:
    """Send half of some uploads and go away: by a reset, by an end, chunked or not."""
    await_ready(strike.stage.url)
    for chunked in (False, True):
        for reset in (False, True):
            sent = strike.client.prepare("aborted")
            _abort_upload(strike, sent, chunked=chunked, reset=reset)
            if not wait_until(lambda sent=sent: _is_over(strike, sent), pause=0.1):  # type: ignore[misc]
                strike.blame("aborted", f"the aborted upload {sent.tag} is {_states(strike, sent)}")
                continue
            if _states(strike, sent) not in ([], [JobState.CANCELED]):
                strike.blame("aborted", f"the aborted upload {sent.tag} is {_states(strike, sent)}")
    yield


def _abort_upload(strike: Strike, sent: Sent, *, chunked: bool, reset: bool) -> None:
    body = as_csv(sent.rows, strike.client.columns)
    query = f"model=drybeans@{sent.version}&label.tag={sent.tag}"
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    half = body[: len(body) // 2]
    with _connect(strike) as connection:
        connection.sendall(_head(f"POST /jobs?{query}", "Content-Type: text/csv", length))
        connection.sendall(b"%x\r\n%b\r\n" % (len(half), half) if chunked else half)
        wait_until(lambda: bool(_states(strike, sent)), seconds=20, pause=0.05)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _states(strike: Strike, sent: Sent) -> list[str]:
    query = select(jobs.c.state, jobs.c.labels).order_by(jobs.c.id)
    found = strike.stage.database.read(lambda c: c.execute(query).all())
    return [job.state for job in found if job.labels.get("tag") == sent.tag]


def _is_over(strike: Strike, sent: Sent) -> bool:
    return all(state in TERMINAL for state in _states(strike, sent))


@_client("slow webhook receivers")
def _slow_receivers(strike: Strike) -> Iterator[None]:
    """Require that a webhook is delivered to who answers in time, and to nobody who does not."""
    with ExitStack() as stack:
        receivers = {
            delay: stack.enter_context(delayed_receiver(delay)) for delay in (*_DELAYS, _TOO_LATE)
        }
        sent = {
            delay: strike.submit("webhook", {"webhook": receiver.url})
            for delay, receiver in receivers.items()
        }
        for delay in _DELAYS:
            wait_until(lambda delay=delay: _delivery(strike, sent[delay])[0] == "delivered")  # type: ignore[misc]
            if (found := _delivery(strike, sent[delay])) != (DeliveryState.DELIVERED, 1):
                got = receivers[delay].requests
                strike.blame("webhook", f"answered after {delay:g} s: {found}, {got} requests")
        wait_until(lambda: receivers[_TOO_LATE].answered > 0)
        if (late := _delivery(strike, sent[_TOO_LATE]))[0] == DeliveryState.DELIVERED:
            strike.blame("webhook", f"answered after {_TOO_LATE:g} s: {late}")
        yield


def _delivery(strike: Strike, sent: Sent | None) -> tuple[str, int]:
    query = select(deliveries.c.state, deliveries.c.attempts)
    query = query.where(deliveries.c.job_id == (sent and sent.job))
    row = strike.stage.database.read(lambda c: c.execute(query).first())
    return (row.state, row.attempts) if row else ("none", 0)


@_client("slow readers", hold=(3, 8))
def _slow_readers(strike: Strike) -> Iterator[None]:
    """Ask for a large result over and over, and read none of it."""
    job = strike.submit("huge")
    if job is None:
        strike.blame("stalled", "no large job was accepted")
        yield
        return
    wait_until(lambda: strike.has_ended(job), pause=0.2)
    path = f"GET /jobs/{job.job}/results?format=ndjson&include=input"
    with ExitStack() as stack:
        for _ in range(_READERS):
            reader = stack.enter_context(_connect(strike))
            reader.sendall(_head(path, "Accept: application/x-ndjson"))
        strike.require_progress("beside slow readers")
        yield


@_client("slow senders", hold=(3, 8))
def _slow_senders(strike: Strike) -> Iterator[None]:
    """Trickle heads and bodies of requests, a byte now and then."""
    with ExitStack() as stack:
        senders = [stack.enter_context(_connect(strike)) for _ in range(_SENDERS)]
        for number, sender in enumerate(senders):
            head = _head("POST /jobs", "Content-Type: application/json", "Content-Length: 5000")
            sender.sendall(head if number % 2 else head[:-10])
        for _ in range(20):
            for sender in senders:
                with suppress(OSError):
                    sender.sendall(b"[")
            strike.pause(0.05, 0.1)
        strike.require_progress("beside slow senders")
        yield


@_client("compressed bombs")
def _bombs(strike: Strike) -> Iterator[None]:
    """Send a few kilobytes that are hundreds of megabytes, and require that they are refused."""
    row = b",".join([b"1"] * len(strike.client.columns)) + b"\n"
    header = ",".join(strike.client.columns).encode() + b"\n"
    bodies = {
        "rows": header + row * (_BOMB_BYTES // len(row)),
        "empty lines": header + b"\n" * _BOMB_BYTES,
    }
    for content, body in bodies.items():
        for encoding, pack in (("zstd", compress), ("gzip", partial(gzip.compress, mtime=0))):
            _send_bomb(strike, f"{encoding} of {content}", encoding, pack(body))
    _send_bomb(strike, "empty zstd frames", "zstd", compress(b"") * (1 << 20))
    strike.require_progress("after compressed bombs")
    yield


def _send_bomb(strike: Strike, name: str, encoding: str, body: bytes) -> None:
    headers = {"Content-Type": "text/csv", "Content-Encoding": encoding}
    params = {"label.tag": strike.client.prepare("aborted").tag}
    with httpx.Client(timeout=_BOMB_SECONDS, trust_env=False) as http:
        try:
            answer = http.post(
                f"{strike.stage.url}/jobs", content=body, headers=headers, params=params
            )
        except httpx.TransportError as error:
            strike.blame("bomb", f"{name}: {len(body)} bytes got no answer: {error!r}")
            return
    if not 400 <= answer.status_code < 500:
        strike.blame("bomb", f"{name}: {len(body)} bytes got {answer.status_code}")


def _connect(strike: Strike) -> socket.socket:
    location = urlsplit(strike.stage.url)
    connection = socket.socket()
    # A small window, so that what is not read stays with the server.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect((location.hostname, location.port))
    return connection


def _head(request: str, *headers: str) -> bytes:
    lines = [f"{request} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]
    return "\r\n".join(lines).encode()
