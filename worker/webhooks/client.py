"""Sends one webhook: to an address that was looked up and checked, and to no other."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Final, TypeAlias

import orjson
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError

from shared.domain.webhook_targets import (
    Address,
    Network,
    Target,
    TargetRefused,
    check_address,
    read_target,
)
from shared.domain.webhooks import (
    DeliveryAttempt,
    DeliveryResponse,
    read_retry_after,
    secret_of,
    sign,
)

Resolve: TypeAlias = Callable[[str, int], Sequence[Address]]
Connection: TypeAlias = HTTPConnection | HTTPSConnection

CONNECT_TIMEOUT: Final = 3.0
RESPONSE_TIMEOUT: Final = 10.0
"""The most that an attempt may take from its first byte on, however slowly the answer comes."""
_MOST_ADDRESSES: Final = 3


def look_up(host: str, port: int) -> Sequence[Address]:
    """Ask the system's resolver. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookClient:
    """Sends parcels, signed with the secrets that follow from `masters`.

    A name is looked up once for an attempt. What is connected to is one of those very addresses,
    so a name that is answered differently a moment later leads nowhere else; TLS verifies the
    name all the same. Redirects are not followed, and of an answer only its head is read.
    """

    masters: Sequence[bytes]
    allowed: Sequence[Network] = ()
    resolve: Resolve = look_up
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    seconds: float = RESPONSE_TIMEOUT

    def __call__(self, parcel: DeliveryAttempt) -> DeliveryResponse:
        """Try to deliver `parcel` once, and say what became of it; never raises."""
        try:
            target = read_target(parcel.url)
            addresses = self._permitted(target)
            return self._post(target, addresses, parcel)
        except TargetRefused as error:
            return DeliveryResponse(error=str(error), refused=True)
        except (OSError, HTTPError, HTTPException, ValueError) as error:
            return DeliveryResponse(error=_told(error))

    def _permitted(self, target: Target) -> list[Address]:
        """Look up the target. Raises `TargetRefused` when none of its addresses may be used."""
        permitted, refusal = [], TargetRefused("The name has no address.")
        for address in self.resolve(target.host, target.port):
            try:
                check_address(address, self.allowed)
                permitted.append(address)
            except TargetRefused as error:
                refusal = error
        if not permitted:
            raise refusal
        return permitted[:_MOST_ADDRESSES]

    def _post(
        self, target: Target, addresses: Sequence[Address], parcel: DeliveryAttempt
    ) -> DeliveryResponse:
        body = orjson.dumps(parcel.document(), option=orjson.OPT_UTC_Z)
        secrets = [secret_of(master, parcel.owner) for master in self.masters]
        headers = sign(secrets, parcel.id, parcel.sent_at, body) | {
            "Host": target.authority,
            "Content-Type": "application/json",
            "User-Agent": "drybeans-webhooks",
            "Connection": "close",
        }
        limit = _Limit(self.seconds)
        connection = self._connect(target, addresses, limit)
        too_late = DeliveryResponse(
            error=f"There was no complete response within {self.seconds:g} s."
        )
        try:
            with limit.on(connection), closing(connection):
                connection.request(
                    "POST", target.path, body=body, headers=headers, preload_content=False
                )
                # The body is never read: it may be endless, and nothing in it matters.
                with closing(connection.getresponse()) as answer:
                    status, asked = answer.status, answer.headers.get("Retry-After")
        except (OSError, HTTPError, HTTPException) as error:
            if limit.reached or isinstance(error, TimeoutError):
                return too_late
            raise
        if limit.reached:
            return too_late
        return DeliveryResponse(status=status, asked=read_retry_after(asked, parcel.sent_at))

    def _connect(self, target: Target, addresses: Sequence[Address], limit: "_Limit") -> Connection:
        failure: Exception = TargetRefused("The name has no address.")
        for address in addresses:
            connection = self._connection(target, str(address))
            try:
                with limit.on(connection):
                    connection.connect()
            except (NewConnectionError, TimeoutError) as error:
                failure = error
                continue
            # Not on the socket alone: request() sets the socket's time-out to this one again.
            connection.timeout = self.seconds
            return connection
        raise failure

    def _connection(self, target: Target, address: str) -> Connection:
        if target.scheme == "http":
            return HTTPConnection(address, target.port, timeout=CONNECT_TIMEOUT)
        return HTTPSConnection(
            address,
            target.port,
            timeout=CONNECT_TIMEOUT,
            ssl_context=self.tls,
            server_hostname=target.host,
        )


class _Limit:
    """Breaks connections off that take too long: a peer that trickles resets other timeouts."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.reached = False

    @contextmanager
    def on(self, connection: Connection) -> Iterator[None]:
        timer = threading.Timer(self._seconds, self._break_off, [connection])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _break_off(self, connection: Connection) -> None:
        self.reached = True
        # It may have ended by itself meanwhile.
        with suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _told(error: Exception) -> str:
    reason = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {reason}"
