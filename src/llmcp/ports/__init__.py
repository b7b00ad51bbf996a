"""Every seam of llmcp as a Protocol: what the engine needs, and who may be swapped behind it. The stores' are in `ports.stores`.

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
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from datetime import datetime

    from llmcp.core.decide import RequestView, ResponseView
    from llmcp.core.http import Forward, Headers, Origin, RequestHead, Respond, Timeouts
    from llmcp.core.messages import Observation, Operation, RequestEdits, RequestFacts
    from llmcp.core.policy import EffectSpec, ParamValue, Phase
    from llmcp.core.tally import Tally


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

    def own_keys(self, endpoint: Endpoint, headers: Headers) -> Headers:
        """Return `headers` without the credentials that belong to another provider than the endpoint's."""

    def keyless(self, provider: str) -> bool:
        """Tell whether the provider takes no credential (a local server)."""

    def providers(self) -> tuple[str, ...]:
        """Return the names of all providers."""

    def signs(self, provider: str) -> bool:
        """Tell whether a stored credential may sign the body, so that the body must be read before it is sent."""

    def may_receive(self, endpoint: Endpoint, resources: tuple[str, ...]) -> bool:
        """Tell whether a stored credential for `resources` may go where `endpoint` leads: no client's word chooses that host."""

    def authorize(self, endpoint: Endpoint, headers: Headers, secret: str) -> Headers | None:
        """Put a stored credential, in the provider's form, on headers that have none of the client's; None where it must sign."""

    def sign(self, endpoint: Endpoint, request: Forward, secret: str, now: datetime) -> Forward:
        """Sign a request that has no credential of the client's with a stored one."""

    def price_id(self, provider: str) -> str:
        """Return the provider's name in the price table."""

    def canonical_model(self, provider: str, model: str) -> str:
        """Return the catalog's canonical id of `model`, or `model` itself."""


class Clock(Protocol):
    """The only source of time. Passed in, so that a test can hold it still."""

    def now(self) -> datetime:
        """Return the wall clock, in UTC."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never run backwards."""


@dataclass(frozen=True, slots=True)
class ConditionProblem:
    """What is wrong with a condition. `offset` counts characters from the start of its source; `code` is a `P###` code."""

    code: str
    offset: int
    message: str
    hint: str = ""


class Condition(Protocol):
    """One compiled condition. Pure and reusable."""

    reads: frozenset[str]
    source: str

    @property
    def guards(self) -> Sequence[Condition]:
        """Conditions over what changes seldom: where one of them is false, this one is."""

    @property
    def needles(self) -> tuple[str, ...]:
        """Literals that a request's text must all contain, or the condition is false."""

    def test(self, bound: object) -> bool | str:
        """Return whether the condition holds over what a `Binder` bound, or, as text, why it failed to run."""


class Gate(Protocol):
    """Several conditions asked at once, to learn cheaply that none of them holds."""

    def closed(self, bound: object) -> bool:
        """Tell that every condition is false; False when one holds or failed to run, or when that is not known."""

    def which(self, bound: object) -> int | None:
        """Return the conditions that hold, one bit each from the lowest; None when one failed to run, or when that is not known."""


class ConditionCompiler(Protocol):
    """The condition language. Neutral values of CONTRACT 4.4 are applied where it binds variables."""

    def compile(
        self,
        source: str,
        params: Mapping[str, ParamValue],
        *,
        own_labels: bool = True,
    ) -> Condition | tuple[ConditionProblem, ...]:
        """Compile `source`, or say everything that is wrong with it. Without `own_labels` the client's labels count too."""

    def gate(self, conditions: Sequence[Condition]) -> Gate | None:
        """Join `conditions`, or return None where they cannot be joined."""

    def sieve(self, conditions: Sequence[tuple[int, Condition]]) -> Callable[[RequestView], list[tuple[int, Condition]]]:
        """Return what keeps those of the numbered `conditions` whose needles all stand in a view's text."""

    def binder(self, reads: frozenset[str]) -> Callable[[RequestView, ResponseView | None], object]:
        """Return what binds exactly the variables `reads` of a view."""

    def memo_key(self, reads: frozenset[str]) -> Callable[[RequestView], Hashable] | None:
        """Return what makes a key of all variables in `reads`, or None where one of them varies too much to be worth it."""


class SpecReader(Protocol):
    """What an effect sees of its own mapping in a policy file. Each reader reports a wrong type by itself and returns None."""

    def only(self, *keys: str) -> None:
        """Report every key but `keys`."""

    def has(self, key: str) -> bool:
        """Tell whether `key` is there."""

    def empty(self) -> bool:
        """Tell whether there is no key at all."""

    def text(self, key: str) -> str | None:
        """Return a string."""

    def flag(self, key: str) -> bool | None:
        """Return a boolean."""

    def integer(self, key: str) -> int | None:
        """Return an integer."""

    def number(self, key: str) -> float | None:
        """Return an integer or a decimal number, as a float."""

    def globs(self, key: str) -> tuple[str, ...] | None:
        """Return a list of globs, not empty."""

    def inner(self, key: str) -> SpecReader | None:
        """Return the mapping under `key`."""

    def problem(self, code: str, message: str, *, key: str = "", hint: str = "") -> None:
        """Report a problem at the value of `key`, or at the effect itself."""


class Effect(Protocol):
    """What a rule does. One file each; a stateless object in the vocabulary's table."""

    name: str
    phases: tuple[Phase, ...]
    default_phase: Phase
    guards: bool
    """A guard that failed to run refuses where `onError` is `deny`."""
    judges: bool
    """The verdict hangs on it: only the token's own labels count in its conditions (CONTRACT 2)."""
    steers: bool
    """False for what changes nothing of the exchange (`allow`, `record`): it gives no warning in mode `warn`."""

    def parse(self, spec: SpecReader) -> EffectSpec | None:
        """Read the effect's mapping; None where problems were reported."""

    def reads(self, spec: EffectSpec) -> tuple[str, ...]:
        """Name the attributes of a `RequestView` that `on_request` reads, as dotted paths, but for operation and model: they enter the memo key."""

    def on_request(self, spec: EffectSpec, view: RequestView, tally: Tally) -> bool:
        """Add what the matched rule does to a request; False where it turns out not to concern it."""

    def on_response(self, spec: EffectSpec, response: ResponseView, tally: Tally) -> bool:
        """Add what the matched rule does to a response; False where it turns out not to concern it."""

    def refused_tool(self, spec: EffectSpec, name: str) -> str:
        """Return why a call of the tool `name` is refused, or ''."""

    def gates_tools(self, spec: EffectSpec) -> bool:
        """Tell whether tool calls must be asked about one by one."""

    def keeps_bodies(self, spec: EffectSpec) -> bool:
        """Tell whether a match may ask for the bodies themselves: then they are collected from the start."""


class Vocabulary(Protocol):
    """What the policy language knows in this build: what the policy file's reader is given instead of imports."""

    @property
    def effects(self) -> Mapping[str, Effect]:
        """The effects of this build, by name."""

    @property
    def unbuilt_effects(self) -> Mapping[str, str]:
        """Effects of the contract that this version lacks, each with a sentence on what to do instead (may be empty)."""

    @property
    def providers(self) -> frozenset[str]:
        """The names of all providers; as a prefix they are removed from model names."""

    @property
    def compiler(self) -> ConditionCompiler:
        """The condition language."""

    def canonical_model(self, provider: str, model: str) -> str:
        """Return the catalog's canonical id of `model`, or `model` itself."""
