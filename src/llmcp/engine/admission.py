"""Who may talk to a listener at all, whatever it asks: the same rules for gateway and admin.

Rules:
1. Exactly one `Host`, naming loopback, the listener's own address or a configured name (ports do not matter): else 421. This is
   what stops DNS rebinding.
2. An `Origin` that is not listed, or `Sec-Fetch-Site: cross-site` without a listed `Origin`: 403. A web page is not a client.
3. Nothing here answers a CORS preflight, and no answer carries a CORS header.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from llmcp.core.http import Respond
from llmcp.core.settings import is_loopback

if TYPE_CHECKING:
    from llmcp.core.http import RequestHead
    from llmcp.core.settings import ListenSettings

_MISDIRECTED = 421
_FORBIDDEN = 403


def admission(head: RequestHead, settings: ListenSettings) -> Respond | None:
    """Return the answer that turns `head` away, or None where it may pass."""
    hosts = 0
    host = origin = site = b""
    for name, value in head.headers:
        if name == b"host":
            hosts += 1
            host = value
        elif name == b"origin":
            origin = value
        elif name == b"sec-fetch-site":
            site = value
    if hosts != 1 or not _host_allowed(host, settings.host, settings.allowed_hosts):
        return _turn_away(
            _MISDIRECTED,
            "llmcp_misdirected",
            "the Host header names neither loopback nor a host in `listen.allowed_hosts`",
        )
    if origin:
        return (
            None
            if _origin_allowed(origin, settings.allowed_origins)
            else _cross_site("this Origin is not in `listen.allowed_origins`")
        )
    if site.strip().lower() == b"cross-site":
        return _cross_site("cross-site requests of a web page are refused")
    return None


def host_of(authority: bytes) -> str:
    """Return the host of `host[:port]`, lower-case, without brackets or a trailing dot; '' where it is malformed."""
    try:
        text = authority.decode("ascii").strip().lower()
    except UnicodeDecodeError:
        return ""
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or (port and not _is_port(port)):
            return ""
        return host
    host, colon, port = text.partition(":")
    if colon and not _is_port(":" + port):
        return ""
    return host.removesuffix(".")


def _is_port(text: str) -> bool:
    return text.startswith(":") and (text[1:].isdecimal() or text == ":")


@lru_cache(maxsize=256)
def _host_allowed(authority: bytes, own: str, allowed: tuple[str, ...]) -> bool:
    host = host_of(authority)
    if not host:
        return False
    return is_loopback(host) or host == own.lower() or any(host == host_of(name.encode("utf-8")) for name in allowed)


def _origin_allowed(origin: bytes, allowed: tuple[str, ...]) -> bool:
    text = origin.decode("latin-1").strip().lower().rstrip("/")
    return any(text == name.lower().rstrip("/") for name in allowed)


def _cross_site(message: str) -> Respond:
    return _turn_away(_FORBIDDEN, "llmcp_cross_site", message)


def _turn_away(status: int, code: str, message: str) -> Respond:
    body = f'{{"error":{{"message":"llmcp: {message}","type":"invalid_request_error","code":"{code}","param":null}}}}'
    return Respond(status, ((b"content-type", b"application/json"),), body.encode())
