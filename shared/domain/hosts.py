"""Host names and origins that requests may name: a guard against DNS rebinding."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_ANY: Final = "*"
# A name, an IPv4 address or an IPv6 address in brackets, and a port (RFC 9110, section 7.2).
_HOST_HEADER: Final = re.compile(
    r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::\d{1,5})?"
)
_PATTERN: Final = re.compile(r"(?:\*?\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_ORIGIN: Final = re.compile(r"https?://(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]+)(?::\d{1,5})?")


def host_name(header: str) -> str | None:
    """Return the host in a `Host` header in lower case, without port, or None if it has none."""
    found = _HOST_HEADER.fullmatch(header.lower())
    return None if found is None else found["v6"] or found["name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedHosts:
    """The host names that requests may name; those of the loopback interface always may.

    A foreign page can make its own name resolve to this machine, but never `localhost` or a
    loopback address.
    """

    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    any: bool = False

    def allows(self, name: str) -> bool:
        """Return whether requests may name `name`, as `host_name` returns it."""
        return (
            self.any or name in self.names or name.endswith(self.suffixes) or is_loopback_name(name)
        )


def is_loopback_name(name: str) -> bool:
    """Return whether `name` is `localhost`, a name below it (RFC 6761) or a loopback address."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def parse_allowed_hosts(text: str) -> AllowedHosts:
    """Parse names separated by commas; `.example.com` stands for all below it, `*` for all.

    Raises ValueError for anything else, such as a URL or a name with a port.
    """
    names, suffixes = set[str](), list[str]()
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    for word in words:
        plain = word.removeprefix("[").removesuffix("]")
        if _address(plain) is not None:
            names.add(plain)
        elif word != _ANY and not _PATTERN.fullmatch(word):
            message = f"{word} is not a host name"
            raise ValueError(message)
        elif word.startswith((".", "*.")):
            suffixes.append(word.removeprefix("*"))
        else:
            names.add(word)
    return AllowedHosts(names=frozenset(names), suffixes=tuple(suffixes), any=_ANY in words)


def parse_origins(text: str) -> frozenset[str]:
    """Parse origins such as `https://app.example.com`, separated by commas. Raises ValueError."""
    words = [word.strip().lower().removesuffix("/") for word in text.split(",") if word.strip()]
    return frozenset(_checked_origins(words))


def _checked_origins(words: Iterable[str]) -> Iterable[str]:
    for word in words:
        if not _ORIGIN.fullmatch(word):
            message = f"{word} is not an origin"
            raise ValueError(message)
        yield word


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
