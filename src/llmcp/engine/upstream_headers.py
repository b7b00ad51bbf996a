"""Which credential goes upstream with a request: a stored one, the client's own, or none.

Rules:
1. Who has proven nothing gets no stored credential; the client's own key passes as `engine.credentials` says.
2. Who is proven gets the stored credential of the provider, and nothing of what the client presented goes along.
3. Where none is stored, a further key of the client's own passes, if it is one for this provider and `auth.require_virtual_key` does
   not forbid it.
4. What was presented to llmcp itself never goes to a provider.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

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


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """Headers to send, and the stored credential that is still to be put on them."""

    headers: Headers
    credential: Credential | None = None


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
    fits = partial(surface.may_receive, endpoint)
    credential = access.credential(endpoint.provider, caller.subject.org, salt=salt, fits=fits)
    if credential is not None:
        return Outgoing(said.bare(stream=stream), credential)
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
