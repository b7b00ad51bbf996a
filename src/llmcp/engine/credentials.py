"""What a client presents: its own provider keys, and what may prove an identity here.

Rules:
1. A client's own provider key goes only to the provider that the path names or, on unified paths, that the key's form names.
2. A credential in which `llmcp_` stands, in any letter case, is a virtual key wherever an SDK puts it, or was meant to be one: it
   must prove itself, and never goes upstream.
3. What has the three parts of a JWT, or more, may be one of the configured issuer; whose it is, is for `engine.access` to say.
4. `Basic` hides a key in its user name or its password; a proxy's own header counts like the others.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import msgspec

from llmcp.engine.headers import CREDENTIAL_HEADERS, has_virtual_key

if TYPE_CHECKING:
    from llmcp.core.http import Headers

_PROXY = b"proxy-authorization"
_JWT_DOTS = 2
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A credential that may prove who asks. `header` is where it stood; the text is without its scheme."""

    text: bytes
    virtual: bool
    header: tuple[bytes, bytes] = (b"", b"")

    def __repr__(self) -> str:
        """Say where it stood, never what it is."""
        return f"Claim(virtual={self.virtual}, header={self.header[0]!r})"


class Presented(msgspec.Struct, frozen=True, gc=False):
    """The credentials in headers: whether a provider may be shown any, more than one, and which of them may prove an identity."""

    any: bool
    several: bool = False
    claims: tuple[Claim, ...] = ()


def presented(headers: Headers) -> Presented:
    """Look at every header where an SDK puts its key, and at the proxy's own."""
    found = 0
    claims: list[Claim] = []
    for pair in headers:
        name, value = pair
        if name in CREDENTIAL_HEADERS:
            found += 1
        elif name != _PROXY:
            continue
        text = _bare(value)
        if has_virtual_key(text):
            claims.append(Claim(text, virtual=True, header=pair))
        elif text.count(b".") >= _JWT_DOTS:
            claims.append(Claim(text, virtual=False, header=pair))
    return Presented(found > 0, found > 1, tuple(claims))


def claim_of(key: str) -> Claim | None:
    """Return the claim in a key that did not come in a header, or None."""
    if not key:
        return None
    text = key.encode("utf-8", "surrogatepass")
    virtual = has_virtual_key(text)
    return Claim(text, virtual) if virtual or text.count(b".") >= _JWT_DOTS else None


def signed_by_aws(headers: Headers) -> bool:
    """Tell whether a SigV4 signature is on the request: it covers the host, so it cannot survive a gateway."""
    return any(name == b"authorization" and value[:4].upper() == b"AWS4" for name, value in headers)


def _bare(value: bytes) -> bytes:
    """Return a header's value without its scheme; of `Basic`, the part in which a virtual key stands."""
    text = value.strip()
    scheme, space, rest = text.partition(b" ")
    if not space:
        return text
    match scheme.lower():
        case b"bearer":
            return rest.strip()
        case b"basic":
            try:
                plain = base64.b64decode(rest.strip().translate(_URL_SAFE).rstrip(b"=") + b"==", validate=False)
                user, _, password = plain.partition(b":")
            except binascii.Error:
                return text
            return next((part for part in (password, user) if has_virtual_key(part)), text)
        case _:
            return text
