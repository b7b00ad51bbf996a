"""What a request's headers say, read once for each distinct set of them.

A client sends nearly the same headers with every request of a connection, so what follows from them alone is remembered.

Rules:
1. What is read here follows from the headers and the peer's address alone: nothing of a body, a path or a revision.
2. The memory is bounded and forgotten whole; it lives as long as its plane.
3. Whom a key proves and which credential goes along is remembered beside it, held to the very snapshot and credential: neither
   outlives a swap. What a time decides (expiry) is never remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from llmcp.core.http import header
from llmcp.core.subject import NO_LABELS, ClientInfo
from llmcp.engine.attribution import read_client, read_labels
from llmcp.engine.credentials import Presented, presented
from llmcp.engine.headers import ACCOUNT_HEADERS, offered_encoding, upstream_headers, without
from llmcp.engine.recent import ByIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmcp.core.credentials import Credential
    from llmcp.core.http import Headers, RequestHead
    from llmcp.engine.access import Caller
    from llmcp.ports import Endpoint, Surface

_REMEMBERED = 256
_CARRIED = 8
_JSON_TYPES = (b"application/json", b"text/json")


class HeadFacts(msgspec.Struct):
    """What headers say. `stream_headers` and `whole_headers` are what goes upstream when nothing is edited.

    `key_provider` is whose key it is in the words of the plane's surface; None until a unified path asked for it. `proof` is whom the
    one virtual key among them proved, and the mark of the access snapshot that said so; another snapshot is asked anew.
    """

    client: ClientInfo
    labels: Mapping[str, str]
    shown: Presented
    content_type: bytes
    is_json: bool
    content_encoding: bytes
    stream_headers: Headers
    whole_headers: Headers
    key_provider: str | None = None
    proof: tuple[object, Caller] | None = None
    bare_stream_headers: Headers | None = None
    bare_whole_headers: Headers | None = None
    carrying: dict[tuple[int, str, str, bool], tuple[Credential, Headers]] = msgspec.field(default_factory=dict)

    def bare(self, *, stream: bool) -> Headers:
        """Return what goes upstream beside a credential that is not the client's: nothing that says who the client is to a provider."""
        known = self.bare_stream_headers if stream else self.bare_whole_headers
        if known is None:
            known = without(self.stream_headers if stream else self.whole_headers, ACCOUNT_HEADERS)
            if stream:
                self.bare_stream_headers = known
            else:
                self.bare_whole_headers = known
        return known

    def with_credential(self, credential: Credential, endpoint: Endpoint, surface: Surface, *, stream: bool) -> Headers | None:
        """Return the headers that carry a stored credential, the same object each time; None where it signs the request."""
        key = (id(credential), endpoint.provider, endpoint.dialect.name, stream)
        known = self.carrying.get(key)
        if known is not None and known[0] is credential:
            return known[1]
        headers = surface.authorize(endpoint, self.bare(stream=stream), credential.secret)
        if headers is not None:
            if len(self.carrying) >= _CARRIED:
                self.carrying.clear()
            self.carrying[key] = (credential, headers)
        return headers


class Heads:
    """Reads headers, and remembers."""

    def __init__(self) -> None:
        self._known: dict[tuple[Headers, str], HeadFacts] = {}
        self._same: ByIdentity[Headers, tuple[str, HeadFacts]] = ByIdentity(_REMEMBERED)

    def read(self, head: RequestHead, ip: str) -> HeadFacts:
        """Return what `head` says. Raises: MalformedRequestError for labels that are none."""
        same = self._same.get(head.headers)
        if same is not None and same[0] == ip:
            return same[1]
        # The one header that changes with every body, and that says nothing here: with it nearly every request would be new.
        headers = tuple([pair for pair in head.headers if pair[0] != b"content-length"])
        key = (headers, ip)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = _read(headers, ip)
        self._same.put(head.headers, (ip, found))
        return found


def _read(headers: Headers, ip: str) -> HeadFacts:
    content_type = header(headers, b"content-type")
    return HeadFacts(
        client=read_client(headers, ip),
        labels=read_labels(headers) or NO_LABELS,
        shown=presented(headers),
        content_type=content_type,
        is_json=is_json(content_type),
        content_encoding=header(headers, b"content-encoding"),
        stream_headers=upstream_headers(headers, accept_encoding=offered_encoding(headers, stream=True)),
        whole_headers=upstream_headers(headers, accept_encoding=offered_encoding(headers, stream=False)),
    )


def is_json(content_type: bytes) -> bool:
    """Tell whether a `content-type` value means JSON."""
    bare = content_type.partition(b";")[0].strip().lower()
    return bare in _JSON_TYPES or bare.endswith(b"+json")
