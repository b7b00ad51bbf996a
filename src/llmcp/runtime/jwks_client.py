"""Asks an OIDC issuer for its keys: the discovery document, then the JWKS it names.

Rules:
1. No redirect is followed, no proxy or netrc of the environment is used, nothing but status 200 counts.
2. An answer is at most 256 KB, not compressed, and whole within `timeout_s`.
3. The discovery document must name the configured issuer, letter by letter (OIDC Discovery 1.0 section 4.3).
4. Keys come over https; over http only from loopback, and only where the issuer itself is named so.
5. Whatever goes wrong is an `UnreachableError`; it names no header and no content.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from llmcp.core.settings import is_loopback
from llmcp.engine.jwt_keys import read_keys
from llmcp.errors import UnreachableError

if TYPE_CHECKING:
    import ssl

    import httpx

    from llmcp.core.settings import JwtSettings
    from llmcp.engine.jwt_keys import KeySet

MAX_BYTES: Final = 256 * 1024
_OK: Final = 200
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class _Discovery(msgspec.Struct):
    issuer: str
    jwks_uri: str


class JwksClient:
    """See the module's rules. Blocking; one call at a time."""

    def __init__(self, settings: JwtSettings, tls: ssl.SSLContext, *, timeout_s: float = 10.0) -> None:
        self._settings = settings
        self._tls = tls
        self._timeout_s = timeout_s

    def fetch(self) -> KeySet:
        """Return the issuer's keys as they are now. Raises: UnreachableError."""
        import httpx  # noqa: PLC0415 - 100 ms, for those alone who have an issuer

        deadline = time.monotonic() + self._timeout_s
        client = httpx.Client(
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            timeout=self._timeout_s,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )
        with client:
            uri = self._settings.jwks_uri or self._discovered(client, deadline)
            return read_keys(_get(client, uri, deadline), self._settings.algorithms)

    def _discovered(self, client: httpx.Client, deadline: float) -> str:
        issuer = self._settings.issuer
        document = _get(client, issuer.rstrip("/") + _WELL_KNOWN, deadline)
        try:
            found = msgspec.json.decode(document, type=_Discovery)
        except (ValueError, RecursionError):
            raise _failed("its discovery document names no `issuer` and `jwks_uri`") from None
        if found.issuer != issuer:
            raise _failed("its discovery document is another issuer's")
        if not _may_have_keys(found.jwks_uri, issuer):
            raise _failed("its discovery document names a `jwks_uri` that is not https")
        return found.jwks_uri


def _may_have_keys(uri: str, issuer: str) -> bool:
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        home = urlsplit(issuer)
    except ValueError:
        return False
    if not host or parts.username or parts.password:
        return False
    local = is_loopback(host) and is_loopback(home.hostname or "")
    return parts.scheme == "https" or (parts.scheme == "http" and home.scheme == "http" and local)


def _get(client: httpx.Client, uri: str, deadline: float) -> bytes:
    import httpx  # noqa: PLC0415

    body = bytearray()
    try:
        with client.stream("GET", uri) as answer:
            if answer.status_code != _OK:
                raise _failed(f"it answers HTTP {answer.status_code}")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise _failed("its answer is compressed, which was not asked for")
            for chunk in answer.iter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise _failed(f"its answer is longer than {MAX_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise _failed("its answer takes too long")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _failed(f"it does not answer ({type(error).__name__})") from error
    return bytes(body)


def _failed(why: str) -> UnreachableError:
    return UnreachableError(
        "the issuer gives no keys", why=why, fix="check `auth.jwt.issuer` and `auth.jwt.jwks_uri`", code="jwks"
    )
