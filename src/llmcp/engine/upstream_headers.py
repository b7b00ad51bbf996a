"""Which credential goes upstream with a request: a stored one, the client's own, or none.

Rules:
1. Who has proven nothing gets no stored credential; the client's own key passes as `engine.credentials` says.
2. Who is proven gets the stored credential of the provider, and nothing of what the client presented goes along.
3. Where none is stored, a further key of the client's own passes, if it is one for this provider and `auth.require_virtual_key` does
   not forbid it.
4. What was presented to llmcp itself never goes to a provider.
5. Beside a stored credential no key goes along in the query either: Google reads one there from any URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import msgspec

from llmcp.engine.credentials import signed_by_aws
from llmcp.engine.headers import CREDENTIAL_HEADERS, without

if TYPE_CHECKING:
    from llmcp.core.credentials import Credential
    from llmcp.core.http import Headers
    from llmcp.engine.access import Access
    from llmcp.engine.heads import HeadFacts
    from llmcp.engine.plane import Plane, Progress
    from llmcp.ports import Endpoint

_GEMINI_KEY = frozenset((b"x-goog-api-key",))
_KEY_FIELDS = frozenset({"key", "api_key", "api-key", "apikey", "access_token", "oauth_token", "subscription-key"})
_SIGNING_FIELDS = "x-amz-"


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """Headers to send. `stored` is the credential that goes along; `signs`: it is not on the headers and must still sign the request."""

    headers: Headers
    stored: Credential | None = None
    signs: bool = False


def outgoing(plane: Plane, access: Access, progress: Progress, said: HeadFacts, *, salt: str) -> Outgoing | None:
    """Return what goes upstream; None where a proven caller has no credential for the provider. `salt` picks among several."""
    caller, endpoint, stream = progress.caller, progress.endpoint, progress.facts.stream
    assert endpoint is not None  # noqa: S101 - nothing goes nowhere; narrows the type
    surface = plane.surface
    headers = said.stream_headers if stream else said.whole_headers
    if caller is None:
        if said.shown.several:
            headers = surface.own_keys(endpoint, headers)
        if endpoint.unified and surface.keyless(endpoint.provider):
            headers = without(headers, CREDENTIAL_HEADERS)
        return Outgoing(_with_key_of_target(headers, endpoint))
    if surface.keyless(endpoint.provider):
        return Outgoing(said.bare(stream=stream))
    credential = access.credential(endpoint, caller.subject.org, surface, salt=salt)
    if credential is not None:
        carried = said.with_credential(credential, endpoint, surface, stream=stream)
        if carried is not None:
            return Outgoing(carried, credential)
        return Outgoing(said.bare(stream=stream), credential, signs=True)
    if plane.settings.auth.require_virtual_key:
        return None
    headers = _with_key_of_target(surface.own_keys(endpoint, own_headers(headers, access, said)), endpoint)
    if signed_by_aws(headers) or not any(name in CREDENTIAL_HEADERS for name, _ in headers):
        return None
    return Outgoing(headers)


def own_headers(headers: Headers, access: Access, said: HeadFacts) -> Headers:
    """Return `headers` without what was presented to llmcp."""
    ours = {claim.header for claim in said.shown.claims if access.is_ours(claim)}
    return tuple(pair for pair in headers if pair not in ours)


def _with_key_of_target(headers: Headers, endpoint: Endpoint) -> Headers:
    if not endpoint.credential:
        return headers
    return (*without(headers, _GEMINI_KEY), (b"x-goog-api-key", endpoint.credential.encode("latin-1", "replace")))


def without_keys(target: str) -> str:
    """Return `target` without the fields of its query that are credentials."""
    path, mark, query = target.partition("?")
    if not mark:
        return target
    kept = [pair for pair in query.split("&") if not _is_key(unquote_plus(pair.partition("=")[0]).lower())]
    return f"{path}?{'&'.join(kept)}" if kept else path


def _is_key(field: str) -> bool:
    return field in _KEY_FIELDS or field.startswith(_SIGNING_FIELDS)
