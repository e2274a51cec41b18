"""What the sync and the async client have in common about httpx."""

import logging
from ipaddress import ip_address
from typing import Any, Final

import httpx

from api.client.effects import Answer, Broken, Notice, Request
from api.client.errors import InputInvalid
from api.client.exchanges import Exchanges
from api.client.patience import Patience

log = logging.getLogger(__name__)

DEFAULT_URL: Final = "http://127.0.0.1:5000"

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_FINAL: Final = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)


def log_notice(sentence: str) -> None:
    """Tell the log."""
    log.info(sentence)


def settle_client(
    url: str, api_key: str | None, patience: Patience | None, notice: Notice
) -> tuple[Exchanges, dict[str, Any]]:
    """Return how requests are sent to `url`, and the options of an httpx client for it.

    Raises `InputInvalid` for what is no address of a service.
    """
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host:
        raise InputInvalid(f"{url!r} is no address; write it as in {DEFAULT_URL}.")
    # A key must be a header's value; whatever else it holds was pasted by mistake.
    key = (api_key or "").strip()
    if not key.isascii() or not key.isprintable():
        raise InputInvalid("The API key has letters that none has; copy it again.")
    options = {
        "base_url": address,
        "headers": {"User-Agent": "drybeans"} | ({"Authorization": f"Bearer {key}"} if key else {}),
        # A proxy cannot reach this machine's own loopback.
        "trust_env": not _is_loopback(address.host),
    }
    ask = Exchanges(address=url, patience=patience or Patience(), notice=notice)
    return ask, options


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def settle_headers(request: Request) -> dict[str, str]:
    """Return the headers of `request`, with the length of its body where that is known."""
    size = request.body.size if request.body is not None else None
    return {**request.headers} | ({} if size is None else {"Content-Length": str(size)})


def as_answer(response: httpx.Response, *, whole: bool = True) -> Answer:
    """Return an httpx response as an answer; one that is not `whole` has a body to be read."""
    body = response.content if whole else b""
    return Answer(status=response.status_code, headers=response.headers, body=body)


def as_broken(error: httpx.RequestError) -> Broken:
    """Return what broke, in words for people."""
    reason = str(error).rstrip(".") or type(error).__name__
    final = isinstance(error, _FINAL) or "CERTIFICATE_VERIFY_FAILED" in reason
    if isinstance(error, httpx.ConnectTimeout):
        reason = "no connection within 10 s"
    elif isinstance(error, httpx.TimeoutException):
        reason = "no answer in time"
    elif isinstance(error, httpx.ConnectError):
        reason = f"no connection ({reason})"
    else:
        reason = f"the connection broke ({reason})"
    return Broken(reason, received=not isinstance(error, _NEVER_SENT), final=final)
