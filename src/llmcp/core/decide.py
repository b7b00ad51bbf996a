"""The outcome of asking the rules, as values.

Rules:
1. Any deny wins, whatever else matched; adding a rule that is neither `allow` nor an exception never lifts a denial.
2. Every matching rule is reported, in policy name order and file order.
3. What `warn` and `audit` rules would have done stands beside the decision, never in it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from llmcp.core.messages import NO_EDITS, RequestEdits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from llmcp.core.messages import Operation, RequestFacts, Text
    from llmcp.core.subject import ClientInfo, Subject


class Verdict(StrEnum):
    """What a decision says."""

    ALLOW = "allow"
    DENY = "deny"
    HOLD = "hold"


class Mode(StrEnum):
    """How a policy's rules bind: act, act not but tell the client, or record only."""

    ENFORCE = "enforce"
    WARN = "warn"
    AUDIT = "audit"


class RecordLevel(StrEnum):
    """How much of the bodies a record keeps."""

    NONE = "none"
    REDACTED = "redacted"
    FULL = "full"


class RuleHit(msgspec.Struct, frozen=True, gc=False):
    """One rule that matched. `effect` is the effect's name, `default-deny` rules have the id `default-deny` and the effect `allow`."""

    policy: str
    id: str
    effect: str
    mode: str = "enforce"


class WouldBe(msgspec.Struct, frozen=True, gc=False):
    """The decision that would have been taken had the `warn` and `audit` rules been enforced."""

    verdict: Verdict
    rules: tuple[RuleHit, ...]


class RuleFault(msgspec.Struct, frozen=True, gc=False):
    """A condition or guard that failed to run; `acted` says whether `onError` made it refuse."""

    policy: str
    id: str
    why: str
    acted: bool


class RequestView(msgspec.Struct):
    """Everything that a request condition may read. Values only; neutral values are the condition compiler's business.

    `labels` are the client's own (attribution only); `input_tokens` and `estimated_microusd` are computed on demand by the
    callables' owner and may be 0 where no rule asked. `joined` is the conditions' own: the texts they joined, and what came of it.
    """

    facts: RequestFacts
    provider: str
    operation: Operation
    subject: Subject
    client: ClientInfo
    labels: Mapping[str, str]
    now: datetime
    canonical_model: str = ""
    input_tokens: int = 0
    estimated_microusd: int = 0
    joined: tuple[tuple[Text, ...], str] | None = None


class ResponseView(msgspec.Struct, frozen=True, gc=False):
    """Everything that a response condition may read besides the request's own."""

    model: str = ""
    finish_reasons: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    text: str = ""


class ResponseRules(Protocol):
    """The response-phase rules in scope of one request, bound to its view. None of them has run yet.

    `reads` names the response fields that conditions read (`model`, `finish_reasons`, `tools`, `text`): when it is not empty a
    streamed response is held until its end, because a condition speaks of the whole response. `gates_tools` says that a tool
    call must be asked about by name before it is let go. `holds` is narrower than `reads`: it is True only where an *enforced*
    rule reads, because what only warns or records must not change the stream.
    """

    @property
    def reads(self) -> frozenset[str]:
        """The response fields that conditions read."""

    @property
    def holds(self) -> bool:
        """Whether an enforced condition reads the response."""

    @property
    def gates_tools(self) -> bool:
        """Whether tool calls must be asked about one by one."""

    @property
    def on_error_deny(self) -> bool:
        """Whether a response that cannot be read may be refused."""

    @property
    def keeps_bodies(self) -> bool:
        """Whether a rule may ask for the bodies once the response is known."""

    def check_tool(self, name: str) -> Decision | None:
        """Return the denial that the called tool `name` meets, or None."""

    def decide(self, response: ResponseView) -> Decision:
        """Evaluate all response-phase rules over a whole response."""

    def unreadable(self, why: str) -> Decision:
        """Decide about a response that could not be read: each rule's `onError` speaks."""


class Decision(msgspec.Struct, frozen=True):
    """What the rules say. `rules` are the enforced ones that matched; `message` is the first denying rule's.

    `edits` are to be applied only when the verdict is `allow`. `response` is None when no response-phase rule is in scope.
    """

    verdict: Verdict
    rules: tuple[RuleHit, ...] = ()
    message: str = ""
    edits: RequestEdits = NO_EDITS
    record: RecordLevel = RecordLevel.NONE
    would_be: WouldBe | None = None
    warnings: tuple[RuleHit, ...] = ()
    faults: tuple[RuleFault, ...] = ()
    response: ResponseRules | None = None


class PolicyProgram(Protocol):
    """All policies of one revision, compiled. Pure: the same view gives the same decision.

    `reads_inside` tells whether any rule is about what stands inside a request: its texts or its tools.
    """

    @property
    def reads_inside(self) -> bool:
        """Whether any rule is about texts or tools."""

    def decide_request(self, view: RequestView) -> Decision:
        """Evaluate all request-phase rules in scope."""

    def needs_estimate(self, view: RequestView) -> bool:
        """Tell whether a rule in scope reads `request.input_tokens` or `request.estimated_usd`."""
