"""The checks of `Host` and `Origin`.

Browsers send requests to any address that a page names. Two checks keep foreign pages out: the
`Host` header must name this service (against DNS rebinding), and an unsafe request that comes
from a browser must come from a page of this service (against cross-site request forgery).
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from werkzeug.datastructures import Headers

from shared.domain.errors import CrossOriginRefused, HostNotAllowed
from shared.domain.hosts import AllowedHosts, host_name

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginPolicy:
    """The allowed hosts, and the foreign origins whose pages may send unsafe requests."""

    hosts: AllowedHosts = field(default_factory=AllowedHosts)
    origins: frozenset[str] = frozenset()

    def check_host(self, headers: Headers) -> None:
        """Raise `HostNotAllowed` unless the `Host` header names this service.

        A request without the header passes: every browser sends one.
        """
        header = headers.get("Host")
        if header is None:
            return
        name = host_name(header)
        if name is None:
            raise HostNotAllowed("The request has no valid Host header.")
        if not self.hosts.allows(name):
            raise HostNotAllowed(
                f'This service does not answer to the host name "{name[:253]}". Its operator can '
                "add the name to DRYBEANS_ALLOWED_HOSTS."
            )

    def check_origin(self, method: str, headers: Headers) -> None:
        """Raise `CrossOriginRefused` for an unsafe request that a foreign page makes.

        A client that sends neither `Sec-Fetch-Site` nor `Origin` is not a browser and passes.
        """
        if method in SAFE_METHODS:
            return
        site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
        if origin is not None and origin.lower() in self.origins:
            return
        if site is not None:
            # Set by the browser, so it holds behind a proxy that changes Host.
            same = site in {"same-origin", "none"}
        else:
            same = origin is None or _has_host(origin, headers.get("Host"))
        if not same:
            raise CrossOriginRefused


def _has_host(origin: str, host: str | None) -> bool:
    try:
        authority = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(authority) and host is not None and authority.lower() == host.lower()
