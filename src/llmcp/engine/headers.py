"""Which headers cross the gateway, in each direction.

Rules:
1. Unknown headers pass: the list of what is dropped is closed, the list of what passes is open.
2. Hop-by-hop headers and those that `Connection` names stay on their own side.
3. What is llmcp's own (`x-llmcp-*`, virtual keys, proxy credentials) never goes upstream and is never taken from an upstream.
4. A header that would make the upstream do another method, or serve another path, than the one that was asked about is dropped.
5. An upstream may not open the listener to web pages (`access-control-*`) nor lead the client past it (`alt-svc`, a redirect that
   names a host: clients send their body, and often their key, wherever it says).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from llmcp.core.http import Headers

VIRTUAL_KEY_PREFIX = b"llmcp_"
_VIRTUAL_KEY = re.compile(VIRTUAL_KEY_PREFIX, re.IGNORECASE)
_ESCAPE_ROUNDS = 4

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
# The shell sets these itself, from the upstream's origin and from the body that it sends.
_REQUEST_FRAMING = _HOP_BY_HOP | {b"host", b"content-length", b"expect", b"accept-encoding"}
# Rules were asked about the method of the request line; an upstream that honours these would do another thing (Google's do).
_METHOD_OVERRIDES = frozenset(
    (b"x-http-method-override", b"x-http-method", b"x-method-override", b"x-original-url", b"x-rewrite-url")
)
_REQUEST_OWN = _REQUEST_FRAMING | _METHOD_OVERRIDES
_RESPONSE_OWN = _HOP_BY_HOP | {b"content-length", b"alt-svc"}
_OWN_PREFIX = b"x-llmcp-"
_CORS_PREFIX = b"access-control-"
_NOT_TAKEN = (_OWN_PREFIX, _CORS_PREFIX)
_LEADING = frozenset((b"location", b"refresh"))
# Clients drop control characters and take `\\` for `/` before they look for the host, so those have no place here either.
_SAME_HOST = re.compile(rb"(?:/(?![/\\])|[?#])[\x21-\x7e]*\Z|/\Z")
_NO_NAMES: frozenset[bytes] = frozenset()
CREDENTIAL_HEADERS = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"))
# Who pays, who asked and what was signed: of no use, or of harm, beside a credential that is not the client's own.
ACCOUNT_HEADERS = CREDENTIAL_HEADERS | {
    b"openai-organization",
    b"openai-project",
    b"x-goog-user-project",
    b"cookie",
    b"x-amz-date",
    b"x-amz-security-token",
    b"x-amz-content-sha256",
}


def has_virtual_key(text: bytes) -> bool:
    """Tell whether what begins a virtual key stands in `text`, in any letter case and however often percent-escaped.

    A changed one is refused, not passed on.
    """
    if _VIRTUAL_KEY.search(text) is not None:
        return True
    for _ in range(_ESCAPE_ROUNDS):
        if b"%" not in text:
            return False
        text = unquote_to_bytes(text)
        if _VIRTUAL_KEY.search(text) is not None:
            return True
    return False


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    """Return the header names that `Connection` lists, lower-case."""
    values = [value for name, value in headers if name == b"connection"]
    if not values:
        return _NO_NAMES
    names = frozenset(token.strip().lower() for value in values for token in value.split(b","))
    # Credentials and the content type decide who asks and what is asked: a client must not be able to take them off by naming them.
    return names - CREDENTIAL_HEADERS - {b"content-type", b"content-encoding"}


def without(headers: Headers, names: frozenset[bytes]) -> Headers:
    """Return `headers` less those called by one of `names`."""
    return tuple(pair for pair in headers if pair[0] not in names)


def upstream_headers(headers: Headers, *, accept_encoding: bytes) -> Headers:
    """Return what goes upstream of a client's `headers`.

    `accept_encoding` replaces the client's: only what llmcp can read again is offered to the provider.
    """
    named = _named_by_connection(headers)
    kept = [
        (name, value)
        for name, value in headers
        if name not in _REQUEST_OWN
        and name not in named
        and not name.startswith(_OWN_PREFIX)
        and not has_virtual_key(value)
        and VIRTUAL_KEY_PREFIX not in name
    ]
    kept.append((b"accept-encoding", accept_encoding))
    return tuple(kept)


def client_headers(headers: Headers, *, decoded: bool) -> Headers:
    """Return what goes to the client of an upstream's `headers`; `decoded` says that the content encoding was taken off."""
    named = _named_by_connection(headers)
    return tuple(
        [
            pair
            for pair in headers
            if (name := pair[0]) not in _RESPONSE_OWN
            and name not in named
            and not name.startswith(_NOT_TAKEN)
            and not (decoded and name == b"content-encoding")
        ]
    )


def kept_here(headers: Headers) -> Headers:
    """Return the headers of a redirect without a `location` that leads to another host than the one that the client asked."""
    return tuple(pair for pair in headers if pair[0] not in _LEADING or _SAME_HOST.match(pair[1]) is not None)


def offered_encoding(headers: Headers, *, stream: bool) -> bytes:
    """Return the `accept-encoding` to send upstream: `gzip` where the client takes it and the answer comes whole, else `identity`.

    A compressed stream would have to be decompressed before anything in it could be acted on.
    """
    if stream:
        return b"identity"
    for name, value in headers:
        if name == b"accept-encoding" and any(_accepts_gzip(token) for token in value.lower().split(b",")):
            return b"gzip"
    return b"identity"


def _accepts_gzip(token: bytes) -> bool:
    coding, _, weight = token.partition(b";")
    return coding.strip() == b"gzip" and weight.replace(b" ", b"") not in {b"q=0", b"q=0.0", b"q=0.00", b"q=0.000"}
