"""Where a webhook may go: URLs that clients choose must not reach what is ours."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL: Final = 2000
_PORTS: Final = {"http": 80, "https": 443}
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
_HOST: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
# Not public either by IANA's special-purpose registries, though Python's tables do not always say
# so: protocol assignments (a cloud's metadata among them), AS112 and AMT relays, relays of 6to4,
# NAT64, addresses that end in an IPv4 one, discard-only and dummy prefixes, documentation, SRv6.
_ALSO: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *(
            "192.0.0.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.175.48.0/24",
        ),
        *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23"),
        *("2001:db8::/32", "2620:4f:8000::/48", "3fff::/20", "5f00::/16"),
    )
)
_MAPPED: Final = "IPv4 address inside an IPv6 one"


class TargetRefused(ValueError):
    """A webhook must not go there; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL in the parts that a request is made of, so that nothing parses it a second time."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read_target(url: str) -> Target:
    """Take a webhook's URL apart. Raises `TargetRefused`, telling what it must look like."""
    if len(url) > MAX_URL:
        raise TargetRefused(f"The URL is longer than {MAX_URL} characters.")
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise TargetRefused("Write the URL in ASCII, percent-encoded and without spaces.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TargetRefused("This is no URL.") from None
    if parts.scheme not in _PORTS:
        raise TargetRefused("The URL must begin with https:// or http://.")
    if "@" in parts.netloc:
        raise TargetRefused("The URL must hold no user or password.")
    if parts.fragment or port == 0:
        raise TargetRefused("The URL must have no fragment, and no port 0.")
    return Target(
        scheme=parts.scheme,
        host=_read_host(parts.hostname or ""),
        port=port or _PORTS[parts.scheme],
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )


def _read_host(host: str) -> str:
    literal = _literal(host)
    if literal is None and not (_HOST.fullmatch(host) and len(host) <= 253):  # noqa: PLR2004 - RFC 1035
        raise TargetRefused("The URL names no host.")
    return str(literal) if literal is not None else host.lower()


def _literal(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if getattr(address, "scope_id", None):
        raise TargetRefused("An address must have no zone.")
    return address


def read_networks(text: str) -> tuple[Network, ...]:
    """Read networks with commas between them. Raises `ValueError`."""
    return tuple(ipaddress.ip_network(word.strip()) for word in text.split(",") if word.strip())


def check_literal(target: Target, allowed: Sequence[Network]) -> None:
    """Refuse a host that is an address where no webhook may go; a name is looked up later."""
    address = _literal(target.host)
    if address is not None:
        check_address(address, allowed)


def check_address(address: Address, allowed: Sequence[Network]) -> None:
    """Raise `TargetRefused` unless `address` is a public one, or in one of `allowed`.

    What wraps an IPv4 address (mapped, 6to4, Teredo, NAT64) is refused for what it may lead to;
    a mapped one counts as what it wraps where that is allowed.
    """
    inner = getattr(address, "ipv4_mapped", None)
    plain: Address = inner if inner is not None else address
    if any(plain in network for network in allowed):
        return
    kind = _MAPPED if inner is not None else _kind(plain)
    if kind is not None:
        raise TargetRefused(f"{address} is a {kind} address; webhooks go to public ones only.")


def _kind(address: Address) -> str | None:
    """Name what `address` is if it is not a public one."""
    wraps = isinstance(address, ipaddress.IPv6Address) and (
        address.sixtofour is not None or address.teredo is not None or address.is_site_local
    )
    also = any(address in network for network in _ALSO)
    kinds = (
        (address.is_loopback, "loopback"),
        (address.is_link_local, "link-local"),
        (address.is_multicast, "multicast"),
        (address.is_private or wraps, "private"),
        (address.is_reserved or not address.is_global or also, "reserved"),
    )
    return next((kind for found, kind in kinds if found), None)
