"""Where webhooks may go: what a URL must look like, and which addresses are refused."""

import ipaddress

import pytest

from shared.domain.webhook_targets import (
    TargetRefused,
    check_address,
    check_literal,
    read_networks,
    read_target,
)

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "2001:4860:4860::8888"]
REFUSED = [
    *("127.0.0.1", "127.255.255.254", "::1"),
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00::1", "fc00::1", "fec0::1"),
    *("169.254.169.254", "fe80::1"),
    *("224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"),
    *("0.0.0.0", "::", "0.1.2.3", "240.0.0.1", "255.255.255.255", "100.64.0.1", "192.0.0.8"),
    *("192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::ffff:169.254.169.254"),
    *("2002:7f00:1::", "2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1"),
    *("3fff::1", "3fff:fff:ffff::1", "5f00::1", "100:0:0:1::1", "::8.8.8.8", "2001:2::1"),
    *("192.31.196.1", "192.52.193.1", "192.175.48.1", "2620:4f:8000::1"),
]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_may_be_called(text: str) -> None:
    """Anybody may listen there."""
    check_address(ipaddress.ip_address(text), ())


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    """Whatever it is, and whatever IPv4 address an IPv6 one wraps."""
    with pytest.raises(TargetRefused):
        check_address(ipaddress.ip_address(text), ())


@pytest.mark.parametrize("text", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_a_network_that_is_allowed_may_be_called(text: str) -> None:
    """An operator whose receivers are inside says where; all else is refused as before."""
    allowed = read_networks("10.1.0.0/16, fd00::/8")

    check_address(ipaddress.ip_address(text), allowed)
    with pytest.raises(TargetRefused):
        check_address(ipaddress.ip_address("10.2.0.1"), allowed)


@pytest.mark.parametrize(
    "url, authority, path",
    [
        ("https://example.com", "example.com", "/"),
        ("https://Example.com:443/a?b=c", "example.com", "/a?b=c"),
        ("http://example.com:8080/a/%20", "example.com:8080", "/a/%20"),
        ("https://[2606:4700::1]:8443/x", "[2606:4700::1]:8443", "/x"),
        ("https://hook_1.example.com./", "hook_1.example.com.", "/"),
    ],
)
def test_a_url_is_taken_apart_once(url: str, authority: str, path: str) -> None:
    """The request is made of these parts; nothing reads the URL a second time."""
    target = read_target(url)

    assert (target.authority, target.path) == (authority, path)


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "//example.com", "ftp://example.com", "file:///etc/passwd"),
        *("https://", "https:///x", "https://user@example.com", "https://u:p@example.com"),
        *("https://@example.com", "https://example.com#x", "https://example.com:0"),
        *("https://example.com:99999", "https://example.com:x", "https://[::1", "https://[x]/"),
        *("https://exa mple.com", "https://example.com/\r\nX: y", "https://example.com\\@evil"),
        *("https://bücher.example", "https://exa%6dple.com", "https://[fe80::1%25eth0]/"),
        *("https://.example.com", "gopher://x", "javascript:alert(1)", "https://a..b"),
        "https://example.com/" + "x" * 2000,
    ],
)
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    """With a sentence that says what is wrong."""
    with pytest.raises(TargetRefused, match=r"\w+ .*\."):
        read_target(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254"])
def test_an_address_in_a_url_is_checked_before_any_look_up(host: str) -> None:
    """So that a client hears of it at once."""
    with pytest.raises(TargetRefused):
        check_literal(read_target(f"http://{host}/"), ())


def test_a_name_is_not_looked_up_when_it_is_read() -> None:
    """What it leads to is checked when it is called; it may be something else by then."""
    check_literal(read_target("http://localhost/"), ())
