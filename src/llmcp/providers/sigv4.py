"""AWS Signature Version 4 over one request, with the clock passed in.

Rules:
1. What is signed: method, path, query, `host`, `content-type`, every `x-amz-*` and `x-amzn-*` header, and the SHA-256 of the body.
   Other headers may be changed on the way without spoiling the signature.
2. The path is encoded once more than it stands on the wire; S3, which this does not sign for, is the exception to that.
3. Headers of an older signature are taken off first: a request carries one.
4. The secret key stands in no returned value.

Source: AWS General Reference, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

    from llmcp.core.http import Forward, Headers

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_OLD: Final = frozenset((b"authorization", b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"))
_SIGNED_PREFIX: Final = (b"x-amz-", b"x-amzn-")
_KEY_PAIR: Final = re.compile(r"(?P<id>[A-Z0-9]{8,128}):(?P<key>[^\s:]{16,})(?::(?P<session>[^\s:]+))?")


class KeyPair(msgspec.Struct, frozen=True, gc=False):
    """An AWS access key. `session` is the token that a temporary one needs, '' else."""

    id: str
    key: str
    session: str = ""

    def __repr__(self) -> str:
        """Say which it is; the key is a secret."""
        return f"KeyPair({self.id!r})"


def read_key_pair(secret: str) -> KeyPair | None:
    """Read `AKID:SECRET[:SESSION]`; None where `secret` has another form (a Bedrock API key)."""
    match = _KEY_PAIR.fullmatch(secret)
    return KeyPair(match["id"], match["key"], match["session"] or "") if match is not None else None


def signed_headers(request: Forward, pair: KeyPair, *, region: str, service: str, now: datetime) -> Headers:
    """Return the headers of `request` with a signature made at `now` (UTC). Its body must be there: None is signed as empty."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = [header for header in request.headers if header[0] not in _OLD]
    headers.append((b"x-amz-date", stamp.encode("ascii")))
    if pair.session:
        headers.append((b"x-amz-security-token", pair.session.encode("latin-1")))
    signed = {b"host": [request.origin.authority().encode("ascii")]}
    for name, value in headers:
        if name == b"content-type" or name.startswith(_SIGNED_PREFIX):
            signed.setdefault(name, []).append(value)
    names = b";".join(sorted(signed)).decode("latin-1")
    canonical = "\n".join(
        (
            request.method.upper(),
            *_canonical_target(request.target),
            *[f"{name.decode('latin-1')}:{_canonical_value(signed[name])}" for name in sorted(signed)],
            "",
            names,
            hashlib.sha256(request.body or b"").hexdigest(),
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode("utf-8")).hexdigest()))
    key = f"AWS4{pair.key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode("utf-8"), "sha256")
    signature = hmac.digest(key, to_sign.encode("utf-8"), "sha256").hex()
    said = f"{_ALGORITHM} Credential={pair.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return (*headers, (b"authorization", said.encode("latin-1")))


def _canonical_target(target: str) -> tuple[str, str]:
    path, _, query = target.partition("?")
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else ()
    return quote(path or "/", safe="/~"), "&".join(f"{name}={value}" for name, value in pairs)


def _canonical_value(values: list[bytes]) -> str:
    return ",".join(" ".join(value.decode("latin-1").split()) for value in values)
