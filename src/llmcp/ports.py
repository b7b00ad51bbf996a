"""Every seam of llmcp as a Protocol: what the engine needs, and who may be swapped behind it.

Rules:
1. A port speaks in `core` values only.
2. A dialect is stateless: state of one exchange lives in the `Observation` it is handed.
3. A dialect never raises anything but `MalformedRequestError` and `NotEditableError`, whatever bytes it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from llmcp.core.http import Headers, Origin, RequestHead, Respond, Timeouts
    from llmcp.core.messages import Observation, Operation, RequestEdits, RequestFacts
    from llmcp.core.record_filter import RecordFilter
    from llmcp.core.records import DecisionRecord


class Framing(StrEnum):
    """How a response body is cut into events."""

    WHOLE = "whole"
    SSE = "sse"
    NDJSON = "ndjson"
    JSON_ARRAY = "json_array"
    AWS_EVENTSTREAM = "aws_eventstream"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream. The `raw` of all frames, joined, is the stream byte for byte.

    `name` is the SSE `event:` field or the AWS `:event-type` / `:exception-type`; `data` the payload (SSE: its `data:` lines
    joined by a newline). A frame without payload (comments, blank lines) has `data` empty.
    """

    raw: bytes
    name: str
    data: bytes


class RefusalKind(StrEnum):
    """Why llmcp answers for itself; fixes status and the dialect's error type."""

    POLICY = "llmcp_policy_denied"
    RATE = "llmcp_rate_limited"
    BUDGET = "llmcp_budget_exceeded"
    APPROVAL = "llmcp_approval_required"
    UNAVAILABLE = "llmcp_unavailable"
    UNAUTHENTICATED = "llmcp_unauthenticated"
    BAD_REQUEST = "llmcp_bad_request"
    NOT_FOUND = "llmcp_not_found"
    UNSUPPORTED_MEDIA_TYPE = "llmcp_unsupported_media_type"
    TOO_LARGE = "llmcp_too_large"
    UPSTREAM_FAILED = "llmcp_upstream_failed"
    UPSTREAM_TIMEOUT = "llmcp_upstream_timeout"


REFUSAL_STATUS: dict[RefusalKind, int] = {
    RefusalKind.POLICY: 403,
    RefusalKind.RATE: 429,
    RefusalKind.BUDGET: 429,
    RefusalKind.APPROVAL: 403,
    RefusalKind.UNAVAILABLE: 503,
    RefusalKind.UNAUTHENTICATED: 401,
    RefusalKind.BAD_REQUEST: 400,
    RefusalKind.NOT_FOUND: 404,
    RefusalKind.UNSUPPORTED_MEDIA_TYPE: 415,
    RefusalKind.TOO_LARGE: 413,
    RefusalKind.UPSTREAM_FAILED: 502,
    RefusalKind.UPSTREAM_TIMEOUT: 504,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of llmcp's own. `message` already names rule and decision id."""

    kind: RefusalKind
    message: str
    decision_id: str

    @property
    def status(self) -> int:
        """The HTTP status of this kind."""
        return REFUSAL_STATUS[self.kind]


class ProviderDialect(Protocol):
    """One provider's way to speak. Pure and stateless; `endpoint` says which of its operations is meant."""

    name: str

    def read_request(self, endpoint: Endpoint, body: bytes) -> RequestFacts:
        """Read everything that rules may ask of a request. Raises MalformedRequestError where the body is not what it must be."""

    def edit_request(self, endpoint: Endpoint, body: bytes, edits: RequestEdits) -> tuple[str, bytes]:
        """Return the upstream target and body with `edits` spliced in; all other bytes are kept.

        Raises: NotEditableError where the dialect has no such field or the body is signed.
        """

    def read_event(self, endpoint: Endpoint, frame: Frame, seen: Observation) -> None:
        """Read one event of a stream into `seen`. Unknown events are ignored, unreadable ones counted in `seen.unreadable`."""

    def read_body(
        self,
        endpoint: Endpoint,
        status: int,
        headers: Headers,
        body: bytes,
        seen: Observation,
    ) -> None:
        """Read a whole response body (any status, content encoding already removed) into `seen`."""

    def refuse(self, refusal: Refusal) -> Respond:
        """Word a refusal so that this dialect's SDKs raise their own exception."""

    def refuse_in_stream(self, endpoint: Endpoint, refusal: Refusal, framing: Framing) -> bytes:
        """Word a refusal as the terminal event of a stream that has begun."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a request target names.

    `target` is the upstream target (path and query below the provider's origin, credentials scrubbed); `model` and `stream`
    are set where the path says them; `json_body` says that the operation takes a JSON body (else 415); `inspectable` is False
    where no dialect reads this endpoint. `kind` is the dialect's own sub-form (`converse`, `invoke`, `generate_content` …).
    `credential` is the client's key where the target carried one (`?key=` under `/gemini`); it is never part of `target`.
    """

    provider: str
    dialect: ProviderDialect
    operation: Operation
    target: str
    kind: str = ""
    model: str = ""
    stream: bool | None = None
    json_body: bool = True
    inspectable: bool = True
    unified: bool = False
    resource: str = ""
    credential: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a provider is and how its credential travels. `api_path` is the base URL's own path, without a trailing slash."""

    provider: str
    origin: Origin
    base_path: str
    timeouts: Timeouts


class Surface(Protocol):
    """The gateway's map of paths, and of model names on unified paths. Built per revision from the catalog and the settings."""

    def resolve(self, head: RequestHead) -> Endpoint | Respond | None:
        """Return what `head` names; a ready answer (a refusal, `HEAD /`); or None where nothing is served there."""

    def place(self, endpoint: Endpoint, model: str, key_provider: str) -> Endpoint | Refusal:
        """Choose the provider of a unified endpoint from the model name (or from the form of the key where the name says nothing)."""

    def upstream(self, endpoint: Endpoint) -> Upstream:
        """Return the configured place of the endpoint's provider."""

    def key_provider(self, headers: Headers) -> str:
        """Name the provider whose form the client's own key has, or ''."""

    def keyless(self, provider: str) -> bool:
        """Tell whether the provider takes no credential (a local server)."""

    def price_id(self, provider: str) -> str:
        """Return the provider's name in the price table."""

    def canonical_model(self, provider: str, model: str) -> str:
        """Return the catalog's canonical id of `model`, or `model` itself."""


class AuditLog(Protocol):
    """Append-only records of the store. Blocking: on the request path it is called by the recorder's own thread only."""

    def append(self, records: Sequence[DecisionRecord]) -> int:
        """Give each record its `seq` (no gaps) and commit all of them in one transaction; return the last `seq`.

        A record whose `id` is already stored is skipped. Raises: UnreachableError, with nothing written.
        """

    def query(self, wanted: RecordFilter) -> Iterator[bytes]:
        """Yield the canonical records that `wanted` lets pass, newest last."""

    def get(self, decision_id: str) -> bytes | None:
        """Return the canonical record of a decision, or None."""

    def last_seq(self) -> int:
        """Return the newest record's `seq`, 0 where there is none."""

    def close(self) -> None:
        """Let go of the store."""


class Clock(Protocol):
    """The only source of time. Passed in, so that a test can hold it still."""

    def now(self) -> datetime:
        """Return the wall clock, in UTC."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never run backwards."""
