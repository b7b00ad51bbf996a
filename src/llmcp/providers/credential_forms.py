"""How a stored credential is put on a request, by the catalog's `auth` form.

Rules:
1. The request comes without any credential of the client's; it leaves with exactly one, or with none where the form is `none`.
2. Some hosts take another form on the paths of another family of dialects; the table says which.
3. A key in a query is a credential too: such fields are taken off, whatever their provider.
4. Bedrock takes an API key as Bearer; a key pair (`AKID:SECRET[:SESSION]`) signs the request anew.

Source: PROTOCOLS, "Credentials on the wire"; the providers' own API references.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from msgspec import structs

from llmcp.core.http import header
from llmcp.providers.sigv4 import read_key_pair, signed_headers

if TYPE_CHECKING:
    from datetime import datetime

    from llmcp.core.http import Forward

# (provider, family) where a host wants the family's own form: Google's and Azure's answer 400 or 401 to their usual one.
_FORM_OF_FAMILY = {("gemini", "openai"): "bearer", ("azure", "anthropic"): "x-api-key"}
_KEY_FIELDS = frozenset({"key", "api_key", "api-key", "apikey", "access_token", "oauth_token", "subscription-key"})
_SIGNING_FIELDS = "x-amz-"
_OAUTH_KEY = "sk-ant-oat"
# Anthropic answers 401 to an OAuth token without it.
_OAUTH_BETA = b"oauth-2025-04-20"
_BETA = b"anthropic-beta"


def form_of(auth: str, provider: str, family: str) -> str:
    """Return the form in which `provider` takes a credential on the paths of `family`."""
    return _FORM_OF_FAMILY.get((provider, family), auth)


def authorized(request: Forward, form: str, secret: str, *, region: str, now: datetime) -> Forward:
    """Return `request` with `secret` on it. The secret is printable ASCII without spaces."""
    target = _without_keys(request.target)
    if target != request.target:
        request = structs.replace(request, target=target)
    if form == "none":
        return request
    if form == "sigv4":
        pair = read_key_pair(secret)
        if pair is not None:
            return structs.replace(request, headers=signed_headers(request, pair, region=region, service="bedrock", now=now))
        form = "bearer"
    if form == "x-api-key" and secret.startswith(_OAUTH_KEY):
        return _with_oauth(request, secret)
    if form == "bearer":
        return structs.replace(request, headers=(*request.headers, (b"authorization", b"Bearer " + secret.encode("ascii"))))
    return structs.replace(request, headers=(*request.headers, (form.encode("ascii"), secret.encode("ascii"))))


def _with_oauth(request: Forward, secret: str) -> Forward:
    """Put an OAuth token of Anthropic's on, and the beta flag that it needs, beside the client's own."""
    headers = request.headers
    betas = header(headers, _BETA)
    if _OAUTH_BETA not in b",".join(value for name, value in headers if name == _BETA):
        value = betas + b"," + _OAUTH_BETA if betas else _OAUTH_BETA
        first = next((pair for pair in headers if pair[0] == _BETA), None)
        headers = (*(pair for pair in headers if pair is not first), (_BETA, value))
    return structs.replace(request, headers=(*headers, (b"authorization", b"Bearer " + secret.encode("ascii"))))


def _without_keys(target: str) -> str:
    path, mark, query = target.partition("?")
    if not mark:
        return target
    pairs = query.split("&")
    kept = [pair for pair in pairs if not _is_key(unquote_plus(pair.partition("=")[0]).lower())]
    if len(kept) == len(pairs):
        return target
    return path + ("?" + "&".join(kept) if kept else "")


def _is_key(field: str) -> bool:
    return field in _KEY_FIELDS or field.startswith(_SIGNING_FIELDS)
