"""How a stored credential is put on a request, by the catalog's `auth` form.

Rules:
1. The headers come without any credential of the client's; they leave with exactly one, or with none where the form is `none`.
2. Some hosts take another form on the paths of another family of dialects; the table says which.
3. Bedrock takes an API key as Bearer; a key pair (`AKID:SECRET[:SESSION]`) signs the whole request anew.

Source: PROTOCOLS, "Credentials on the wire"; the providers' own API references.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from llmcp.providers.sigv4 import read_key_pair, signed_headers

if TYPE_CHECKING:
    from datetime import datetime

    from llmcp.core.http import Forward, Headers

# (provider, family) where a host wants the family's own form: Google's and Azure's answer 400 or 401 to their usual one.
_FORM_OF_FAMILY = {("gemini", "openai"): "bearer", ("azure", "anthropic"): "x-api-key"}
_OAUTH_KEY = "sk-ant-oat"
# Anthropic answers 401 to an OAuth token without it.
_OAUTH_BETA = b"oauth-2025-04-20"
_BETA = b"anthropic-beta"


def form_of(auth: str, provider: str, family: str) -> str:
    """Return the form in which `provider` takes a credential on the paths of `family`."""
    return _FORM_OF_FAMILY.get((provider, family), auth)


def carrying(headers: Headers, form: str, secret: str) -> Headers | None:
    """Return `headers` with `secret` on them; None where it signs instead. The secret is printable ASCII without spaces."""
    match form:
        case "none":
            return headers
        case "sigv4" if read_key_pair(secret) is not None:
            return None
        case "bearer" | "sigv4":
            return (*headers, (b"authorization", b"Bearer " + secret.encode("ascii")))
        case "x-api-key" if secret.startswith(_OAUTH_KEY):
            return (*_with_oauth_beta(headers), (b"authorization", b"Bearer " + secret.encode("ascii")))
        case _:
            return (*headers, (form.encode("ascii"), secret.encode("ascii")))


def authorized(request: Forward, form: str, secret: str, *, region: str, now: datetime) -> Forward:
    """Return `request` with `secret` on it, whichever way it travels."""
    headers = carrying(request.headers, form, secret)
    return signed(request, secret, region=region, now=now) if headers is None else structs.replace(request, headers=headers)


def signed(request: Forward, secret: str, *, region: str, now: datetime) -> Forward:
    """Return `request`, signed with a key pair."""
    pair = read_key_pair(secret)
    if pair is None:
        raise ValueError("only a key pair signs")
    return structs.replace(request, headers=signed_headers(request, pair, region=region, service="bedrock", now=now))


def _with_oauth_beta(headers: Headers) -> Headers:
    """Add the beta flag that OAuth tokens of Anthropic's need, beside the client's own."""
    betas = [value for name, value in headers if name == _BETA]
    if any(_OAUTH_BETA in value for value in betas):
        return headers
    return (*(pair for pair in headers if pair[0] != _BETA), (_BETA, b",".join((*betas, _OAUTH_BETA))))
