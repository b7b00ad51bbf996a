"""Whose key is on a request, and where it may go.

Rules:
1. A client's own provider key goes only to the provider that the path names or, on unified paths, that the key's form names.
2. A value that begins with `llmcp_` is a virtual key wherever it stands, and never goes upstream. This version knows none, so it
   is refused: a key that cannot be checked is a key that is not valid.
3. `auth.require_virtual_key` forbids pass-through.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcp.engine.headers import CREDENTIAL_HEADERS, VIRTUAL_KEY_PREFIX

if TYPE_CHECKING:
    from llmcp.core.http import Headers


@dataclass(frozen=True, slots=True)
class Presented:
    """The credentials on a request: whether there is any, more than one, and whether one of them is a virtual key."""

    any: bool
    virtual: bool
    several: bool = False


def presented(headers: Headers) -> Presented:
    """Look at every header where an SDK puts its key, and at the proxy's own."""
    found = 0
    virtual = False
    for name, value in headers:
        if name in CREDENTIAL_HEADERS:
            found += 1
            virtual = virtual or VIRTUAL_KEY_PREFIX in value or _basic_has_virtual(value)
        elif name == b"proxy-authorization":
            virtual = virtual or VIRTUAL_KEY_PREFIX in value or _basic_has_virtual(value)
    return Presented(found > 0, virtual, found > 1)


def is_virtual(key: str) -> bool:
    """Tell whether a key that did not come in a header is a virtual one."""
    return key.startswith(VIRTUAL_KEY_PREFIX.decode("ascii"))


def _basic_has_virtual(value: bytes) -> bool:
    """Tell whether a `Basic` credential hides a virtual key in its user name or password."""
    scheme, _, encoded = value.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return False
    try:
        return VIRTUAL_KEY_PREFIX in base64.b64decode(encoded.strip(), validate=False)
    except binascii.Error:
        return False


def signed_by_aws(headers: Headers) -> bool:
    """Tell whether a SigV4 signature is on the request: it covers the host, so it cannot survive a gateway."""
    return any(name == b"authorization" and value[:4].upper() == b"AWS4" for name, value in headers)
