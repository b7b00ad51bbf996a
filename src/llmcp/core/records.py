"""The decision record: what one exchange leaves behind, and its one canonical form.

Rules:
1. A record holds integers, booleans, strings, lists and objects of these; never a float, never null. Money is integer
   micro-USD, a temperature is text (`"0.7"`).
2. Every key is always there. What is not known is the neutral value of its type (`""`, `0`, `false`, `[]`, `{}`); where 0 could
   be a real answer a companion tells them apart (`has_max_tokens`, `usage_source`, `price_source`).
3. Fields are declared in sorted order, so that `canonical` is RFC 8785 without sorting; map keys are ASCII.
4. Integers stay within ±(2^53 - 1) and text is well-formed Unicode in the canonical form, whatever a client or a provider said.
5. `seq` belongs to the store: it is 0 until the writer assigns it, and it is part of the canonical form.
6. No body, key or matched text ever stands in a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from llmcp.core.decide import RuleHit

RECORD_VERSION: Final = 1
MAX_SAFE_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader agrees on (RFC 7493 section 2.2, which RFC 8785 demands)."""


class Outcome(StrEnum):
    """How an exchange ended, strongest first: when several are true, the record says the strongest."""

    ERROR = "error"
    CUT = "cut"
    DENIED = "denied"
    HELD = "held"
    REDACTED = "redacted"
    EDITED = "edited"
    CACHED = "cached"
    ALLOWED = "allowed"


_STRENGTH: Final[Mapping[str, int]] = MappingProxyType({outcome: rank for rank, outcome in enumerate(Outcome)})


def strongest(*outcomes: Outcome) -> Outcome:
    """Return the strongest of `outcomes`; `allowed` when there are none."""
    return min(outcomes, key=_STRENGTH.__getitem__, default=Outcome.ALLOWED)


class Stream(StrEnum):
    """Which log a record belongs to: what was decided on the wire, or what an operator changed."""

    DECISION = "decision"
    CONTROL = "control"


class UsageSource(StrEnum):
    """Who counted the tokens."""

    PROVIDER = "provider"
    ESTIMATED = "estimated"
    NONE = "none"


class Part(msgspec.Struct, frozen=True, gc=False):
    """A nested object of a record."""


class Rule(Part, frozen=True, gc=False):
    """One rule that matched. All four parts are names from the policy file or from closed lists."""

    effect: str
    id: str
    mode: str
    policy: str


def rules_of(hits: tuple[RuleHit, ...]) -> tuple[Rule, ...]:
    """Return the record's form of the rules that a decision names."""
    return tuple([Rule(hit.effect, hit.id, hit.mode, hit.policy) for hit in hits]) if hits else ()


class WouldBe(Part, frozen=True, gc=False):
    """What `warn` and `audit` rules would have decided; `verdict` is "" where none matched."""

    rules: tuple[Rule, ...] = ()
    verdict: str = ""


class Fault(Part, frozen=True, gc=False):
    """A rule whose guard did not run; `acted` says whether its `onError` refused the request."""

    acted: bool
    id: str
    policy: str
    why: str


class Edit(Part, frozen=True, gc=False):
    """One field that a rule changed, both values as text. A stripped tool is field `tools` with `new` empty."""

    field: str
    new: str
    old: str = ""


class Finding(Part, frozen=True, gc=False):
    """How often a detector's kind was met, and what was done about it."""

    action: str
    count: int
    kind: str


class Bodies(Part, frozen=True, gc=False):
    """Salted hashes of the bodies that a `record` rule kept; "" where none was."""

    request: str = ""
    response: str = ""


class GenAi(Part, frozen=True, gc=False, kw_only=True):
    """The model side. `input_tokens` includes cache reads and writes, `output_tokens` includes reasoning."""

    cache_write_tokens: int = 0
    cached_tokens: int = 0
    finish_reasons: tuple[str, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    provider: str = ""
    reasoning_tokens: int = 0
    request_model: str = ""
    response_model: str = ""
    streamed: bool = False
    tools: tuple[str, ...] = ()
    usage_source: str = "none"


class Facts(Part, frozen=True, gc=False, kw_only=True):
    """What request conditions read, so that a policy can be replayed over old records. The caller bounds the texts' length."""

    client_ip: str = ""
    client_user_agent: str = ""
    estimated_microusd: int = 0
    has_max_tokens: bool = False
    input_tokens: int = 0
    max_tokens: int = 0
    stream: bool = False
    temperature: str = ""
    text_bytes: int = 0
    tools: tuple[str, ...] = ()
    turns: int = 0


class Upstream(Part, frozen=True, gc=False):
    """The provider's HTTP status (0: never answered) and how many times it was asked."""

    attempts: int = 0
    status: int = 0


class Skipped(Part, frozen=True, gc=False):
    """One thing that was not inspected, and why."""

    what: str
    why: str


class Inspected(Part, frozen=True, gc=False):
    """How much of one direction was inspected. `bytes` counts the body, `scanned` says that all of it was read."""

    bytes: int = 0
    scanned: bool = False
    skipped: tuple[Skipped, ...] = ()


class Inspection(Part, frozen=True, gc=False):
    """Both directions."""

    request: Inspected = Inspected()
    response: Inspected = Inspected()


NO_GEN_AI: Final = GenAi()
NO_FACTS: Final = Facts()
NO_UPSTREAM: Final = Upstream()
NO_INSPECTION: Final = Inspection()
NO_WOULD_BE: Final = WouldBe()
NO_BODIES: Final = Bodies()


class DecisionRecord(msgspec.Struct, gc=False, kw_only=True):
    """One exchange, settled (CONTRACT section 5). Mutable only for the store's sake, which fills in `seq` and `bodies`.

    `time` is `timestamp(now)`; `id` is unique among all records and is `decision_id` for the decision stream's only record of an
    exchange. `flags` and `labels` have ASCII keys.
    """

    action: str = "llm.request"
    agent: str = ""
    app: str = ""
    bodies: Bodies = NO_BODIES
    cost_microusd: int = 0
    decision_id: str = ""
    edits: tuple[Edit, ...] = ()
    error_type: str = ""
    facts: Facts = NO_FACTS
    faults: tuple[Fault, ...] = ()
    findings: tuple[Finding, ...] = ()
    flags: Mapping[str, str] = {}
    gen_ai: GenAi = NO_GEN_AI
    groups: tuple[str, ...] = ()
    id: str
    inspection: Inspection = NO_INSPECTION
    key_id: str = ""
    labels: Mapping[str, str] = {}
    latency_ms: int = 0
    operation: str = ""
    org: str = "default"
    outcome: str = "allowed"
    overhead_us: int = 0
    price_source: str = ""
    revision: str = ""
    rules: tuple[Rule, ...] = ()
    seq: int = 0
    session: str = ""
    stream: str = "decision"
    time: str
    upstream: Upstream = NO_UPSTREAM
    user: str = ""
    v: int = RECORD_VERSION
    warnings: tuple[str, ...] = ()
    would_be: WouldBe = NO_WOULD_BE


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


_TIMESTAMP_LENGTH: Final = len("2026-01-01T00:00:00.000000Z")
_ENCODER: Final = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")
_DECODER: Final = msgspec.json.Decoder(DecisionRecord)


def timestamp(now: datetime) -> str:
    """Return `now` (aware) as RFC 3339 in UTC with microseconds and `Z`; such texts sort as the times do."""
    # msgspec words a time many times faster than `isoformat` does, but leaves out microseconds that are 0.
    text: str = msgspec.to_builtins(now)
    if text[-1] != "Z":
        text = msgspec.to_builtins(now.astimezone(UTC))
    return text if len(text) == _TIMESTAMP_LENGTH else f"{text[:-1]}.000000Z"


def canonical(record: DecisionRecord) -> bytes:
    """Return the one byte form of `record`: RFC 8785 over our value set."""
    return settled(record)[1]


def settled(record: DecisionRecord) -> tuple[DecisionRecord, bytes]:
    """Return the canonical form and the record that says exactly that: `record` itself, or a mended copy (rule 4)."""
    gen_ai, facts = record.gen_ai, record.facts
    largest = max(
        facts.max_tokens,
        facts.estimated_microusd,
        gen_ai.input_tokens,
        gen_ai.output_tokens,
        gen_ai.cached_tokens,
        gen_ai.cache_write_tokens,
        gen_ai.reasoning_tokens,
        record.cost_microusd,
    )
    if largest <= MAX_SAFE_INTEGER:
        try:
            return record, _ENCODER.encode(record)
        except (UnicodeEncodeError, OverflowError):
            pass
    mended = _DECODER.decode(_ENCODER.encode(_mended(msgspec.structs.asdict(record))))
    return mended, _ENCODER.encode(mended)


def parse(data: bytes) -> DecisionRecord:
    """Read a canonical record; keys of newer versions are ignored. Raises: msgspec.DecodeError where it is not one."""
    return _DECODER.decode(data)


def _mended(value: Any) -> Any:  # noqa: ANN401 - a walk over every type that a record may hold
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return max(-MAX_SAFE_INTEGER, min(value, MAX_SAFE_INTEGER))
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, msgspec.Struct):
        return _mended(msgspec.structs.asdict(value))
    if isinstance(value, Mapping):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return [_mended(item) for item in value]
