"""Allowed host names and origins, as operators write them and as clients send them."""

import pytest

from shared.domain.hosts import AllowedHosts, host_name, parse_allowed_hosts, parse_origins


@pytest.mark.parametrize(
    "header, name",
    [
        ("localhost", "localhost"),
        ("LOCALHOST:5000", "localhost"),
        ("localhost.", "localhost"),
        ("beans.example.com.:443", "beans.example.com"),
        ("127.0.0.1:5000", "127.0.0.1"),
        ("[::1]:5000", "::1"),
        ("", None),
        ("localhost:", None),
        ("localhost:port", None),
        ("localhost@evil.example", None),
        ("localhost, evil.example", None),
        ("localhost/evil.example", None),
        ("localhost:5000.evil.example", None),
        ("[::1].evil.example", None),
        ("..", None),
        ("local\x00host", None),
    ],
)
def test_a_host_header_is_a_name_and_a_port(header: str, name: str | None) -> None:
    """Anything else has no host, whatever it contains."""
    assert host_name(header) == name


@pytest.mark.parametrize("name", ["localhost", "beans.localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_names_are_always_allowed(name: str) -> None:
    """Whatever the setting says: no foreign page can resolve to them."""
    assert AllowedHosts().allows(name)
    assert parse_allowed_hosts("beans.example.com").allows(name)


@pytest.mark.parametrize(
    "name",
    [
        *("evil.example", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example"),
        *("10.0.0.7", "0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "beans.example.com"),
    ],
)
def test_other_names_are_not_allowed_by_default(name: str) -> None:
    """Neither names nor addresses."""
    assert not AllowedHosts().allows(name)


def test_names_suffixes_and_addresses_can_be_allowed() -> None:
    """In any case of letters, with commas between them."""
    allowed = parse_allowed_hosts(
        "Beans.example.com, .example.org,*.example.net, 10.0.0.7, [fd00::7]"
    )

    for name in ("beans.example.com", "a.example.org", "a.b.example.net", "10.0.0.7", "fd00::7"):
        assert allowed.allows(name), name
    for name in (
        "example.com",
        "a.beans.example.com",
        "example.org",
        "evilexample.org",
        "10.0.0.8",
    ):
        assert not allowed.allows(name), name


def test_a_star_allows_every_name() -> None:
    """For services that only keys protect."""
    assert parse_allowed_hosts("*").allows("evil.example")


@pytest.mark.parametrize(
    "text", ["http://beans.example.com", "beans.example.com:5000", "a b", "beans.*", "x/y", "*.*"]
)
def test_what_is_not_a_host_name_is_refused(text: str) -> None:
    """So that a mistake is seen at the start."""
    with pytest.raises(ValueError, match="is not a host name"):
        parse_allowed_hosts(text)


def test_origins_are_compared_as_browsers_write_them() -> None:
    """In lower case and without a slash at the end."""
    found = parse_origins("https://App.example.com/, http://localhost:3000")

    assert found == {"https://app.example.com", "http://localhost:3000"}


@pytest.mark.parametrize("text", ["*", "null", "app.example.com", "https://a.example/path"])
def test_what_is_not_an_origin_is_refused(text: str) -> None:
    """Every page, or a page without an origin, can never be allowed."""
    with pytest.raises(ValueError, match="is not an origin"):
        parse_origins(text)
