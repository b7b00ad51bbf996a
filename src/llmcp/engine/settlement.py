"""What an exchange leaves behind: its usage, its price and its record.

Rules:
1. The outcome is the strongest that is true (CONTRACT section 5).
2. What the provider reported is taken; what it did not report is estimated where tokens cost money, and the record says so.
3. A broken-off stream is charged for what was seen: the larger of the provider's running count and the estimate.
4. Everything that a client or a provider may choose the length of is bounded here.
5. Who asked is what a credential of ours proved; of one that was refused, whose it is as far as that is known.
6. No virtual key is kept, wherever somebody put one.
7. A token's own labels win over those that the client says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.decide import RecordLevel
from llmcp.core.estimate import complete_usage
from llmcp.core.messages import Operation, Usage
from llmcp.core.records import (
    NO_WOULD_BE,
    DecisionRecord,
    Edit,
    Facts,
    Fault,
    GenAi,
    Inspected,
    Inspection,
    Outcome,
    Skipped,
    Upstream,
    UsageSource,
    WouldBe,
    rules_of,
    timestamp,
)
from llmcp.core.virtual_keys import masked
from llmcp.ports import RefusalKind

if TYPE_CHECKING:
    from datetime import datetime

    from llmcp.core.bodies import Kept
    from llmcp.core.pricing import PriceTable
    from llmcp.engine.exchange import Exchange
    from llmcp.engine.plane import Progress

# Operations whose tokens cost money; the rest is neither estimated nor charged (CONTRACT section 2).
_CHARGED = frozenset((Operation.CHAT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS))
# The kinds of refusal in which somebody was refused, rather than something failed.
_DENIED = frozenset((RefusalKind.POLICY, RefusalKind.RATE, RefusalKind.BUDGET, RefusalKind.UNAUTHENTICATED))
_ERROR_FROM = 400
# Of a stored credential only: it is the operator's to mend, where the client's own key is the client's.
_CREDENTIAL_REFUSED = frozenset((401, 403))
# A redirect or "not modified" is no answer of a model, so nothing is estimated for it.
_NO_ANSWER_FROM = 300
_MAX_NAME = 256
_MAX_NAMES = 128
_NOT_INSPECTED = Inspected()


def settle(exchange: Exchange, *, prices: PriceTable, now: datetime, ended_ns: int) -> DecisionRecord | None:
    """Make the record of a finished exchange; None where it never named a provider (an unknown path, a greeting).

    `ended_ns` is a reading of the clock that `Progress.started_ns` came from.
    """
    progress = exchange.progress
    endpoint = progress.endpoint
    if endpoint is None:
        return None
    usage, source = _usage(progress)
    cost, price_source = 0, ""
    if source is not UsageSource.NONE and exchange.method == "GET":
        # A stored answer that is polled repeats the usage of the request that made it.
        price_source = "charged-before"
    elif source is not UsageSource.NONE:
        asked = progress.facts.model
        model = (progress.seen.model if progress.seen is not None else "") or asked
        priced = prices.price(exchange.plane.surface.price_id(endpoint.provider), model, usage, now, requested=asked)
        cost = priced.cost_microusd
        price_source = priced.source.value if source is UsageSource.PROVIDER else f"{priced.source.value};estimated"
    decision, response = progress.decision, progress.response_decision
    hits = decision.rules if response is None else decision.rules + response.rules
    warnings = decision.warnings if response is None else decision.warnings + response.warnings
    faults = decision.faults if response is None else decision.faults + response.faults
    would_be = (response.would_be if response is not None else None) or decision.would_be
    client, subject = progress.client, progress.subject
    return DecisionRecord(
        id=exchange.decision_id,
        decision_id=exchange.decision_id,
        time=timestamp(now),
        org=subject.org,
        app=subject.app,
        user=subject.user,
        groups=subject.groups,
        key_id=subject.key_id,
        agent=client.agent,
        session=client.session,
        operation=endpoint.operation.value,
        outcome=_outcome(progress).value,
        rules=rules_of(hits),
        would_be=WouldBe(rules_of(would_be.rules), would_be.verdict.value) if would_be is not None else NO_WOULD_BE,
        warnings=tuple([f"{hit.policy}/{hit.id}" for hit in warnings]) if warnings else (),
        faults=tuple([Fault(fault.acted, fault.id, fault.policy, fault.why) for fault in faults]) if faults else (),
        revision=exchange.plane.revision.id,
        gen_ai=_gen_ai(progress, usage, source),
        facts=_facts(progress),
        cost_microusd=cost,
        price_source=price_source,
        latency_ms=max(0, (ended_ns - progress.started_ns) // 1_000_000),
        overhead_us=max(0, progress.overhead_ns // 1_000),
        upstream=Upstream(progress.attempts, progress.status),
        inspection=_inspection(progress),
        edits=_edits(progress),
        error_type=_error_type(progress),
        labels={**progress.labels, **subject.labels} if subject.labels else dict(progress.labels) if progress.labels else {},
    )


def kept_bodies(progress: Progress) -> Kept | None:
    """Return the bodies that are to be kept: those of an exchange about which a rule said so."""
    kept, response = progress.kept, progress.response_decision
    if kept is None:
        return None
    wanted = progress.decision.record is RecordLevel.FULL or (response is not None and response.record is RecordLevel.FULL)
    if not wanted:
        return None
    kept.finish()
    return kept


def _outcome(progress: Progress) -> Outcome:
    refusal = progress.refusal
    if refusal is not None and not progress.broken:
        if progress.cut:
            return Outcome.CUT
        if refusal.kind is RefusalKind.APPROVAL:
            return Outcome.HELD
        return Outcome.DENIED if refusal.kind in _DENIED else Outcome.ERROR
    if progress.broken or progress.status >= _ERROR_FROM or (progress.seen is not None and progress.seen.error is not None):
        return Outcome.ERROR
    return Outcome.EDITED if progress.edits else Outcome.ALLOWED


def _error_type(progress: Progress) -> str:
    """Name what went wrong: llmcp's own word, else the provider's type or code, else its status."""
    if progress.error_type:
        return progress.error_type
    if progress.injected and progress.status in _CREDENTIAL_REFUSED:
        return "credential_refused"
    error = progress.seen.error if progress.seen is not None else None
    if error is not None:
        return _name(error.type or error.code or str(progress.status))
    if progress.status >= _ERROR_FROM:
        return str(progress.status)
    return str(progress.refusal.kind) if progress.refusal is not None else ""


def _usage(progress: Progress) -> tuple[Usage, UsageSource]:
    """Return what is charged for, and who counted it."""
    seen, endpoint = progress.seen, progress.endpoint
    if seen is None or endpoint is None or progress.status >= _NO_ANSWER_FROM:
        return Usage(), UsageSource.NONE
    if endpoint.operation in _CHARGED and endpoint.inspectable and (seen.error is None or seen.text_bytes):
        if not seen.events:
            # A whole body that came to its end is its own end of stream.
            seen.terminal = seen.terminal or not progress.broken
        return complete_usage(progress.facts, seen)
    return (seen.usage, UsageSource.PROVIDER) if seen.usage.known() else (Usage(), UsageSource.NONE)


def _gen_ai(progress: Progress, usage: Usage, source: UsageSource) -> GenAi:
    seen, endpoint = progress.seen, progress.endpoint
    reasons: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    if seen is not None:
        # Some servers send an empty reason or a call that never gets a name: neither says anything.
        if seen.finish_reasons:
            reasons = tuple([_name(reason) for reason in seen.reasons()[:_MAX_NAMES] if reason])
        if seen.tools:
            tools = tuple([_name(call.name) for call in seen.tools[:_MAX_NAMES] if call.name])
    return GenAi(
        provider=endpoint.provider if endpoint is not None else "",
        request_model=_name(progress.request_model),
        response_model=_name(seen.model) if seen is not None else "",
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cached_tokens=usage.cached_tokens or 0,
        cache_write_tokens=usage.cache_write_tokens or 0,
        reasoning_tokens=usage.reasoning_tokens or 0,
        finish_reasons=reasons,
        tools=tools,
        streamed=progress.facts.stream or (seen is not None and seen.events > 0),
        usage_source=source.value,
    )


def _name(text: str) -> str:
    """Return what is kept of a name that somebody else chose."""
    return masked(text)[:_MAX_NAME]


def _facts(progress: Progress) -> Facts:
    facts, view, client = progress.facts, progress.view, progress.client
    return Facts(
        client_ip=client.ip,
        client_user_agent=client.user_agent,
        estimated_microusd=view.estimated_microusd if view is not None else 0,
        input_tokens=view.input_tokens if view is not None else 0,
        has_max_tokens=facts.max_tokens is not None,
        max_tokens=facts.max_tokens or 0,
        stream=facts.stream,
        temperature="" if facts.temperature is None else repr(facts.temperature),
        text_bytes=facts.text_bytes(),
        tools=tuple([_name(name) for name in facts.tools[:_MAX_NAMES]]) if facts.tools else (),
        turns=facts.turns,
    )


def _inspection(progress: Progress) -> Inspection:
    facts, reader, seen = progress.facts, progress.reader, progress.seen
    unread = tuple([Skipped(what, why) for what, why in facts.skipped]) if facts.skipped else ()
    request = Inspected(progress.request_bytes, facts.inspected and not unread, unread)
    if reader is None:
        return Inspection(request, _NOT_INSPECTED)
    skipped = [Skipped(what, why) for what, why in reader.skipped]
    if seen is not None and seen.unreadable:
        skipped.append(Skipped("events", f"{seen.unreadable} could not be read"))
    return Inspection(request, Inspected(reader.bytes, not skipped, tuple(skipped)))


def _edits(progress: Progress) -> tuple[Edit, ...]:
    edits = progress.edits
    if not edits or progress.refusal is not None:
        return ()
    changed = [Edit(field, _name(str(value)), _old(progress, field)) for field, value in edits.fields]
    changed.extend(Edit("tools", "", _name(name)) for name in progress.facts.tools if name in edits.strip_tools)
    return tuple(changed)


def _old(progress: Progress, field: str) -> str:
    """Return the value that an edit replaced, where llmcp read it."""
    facts = progress.facts
    match field:
        case "max_tokens":
            return "" if facts.max_tokens is None else str(facts.max_tokens)
        case "temperature":
            return "" if facts.temperature is None else repr(facts.temperature)
        case "model":
            return _name(facts.model)
        case _:
            return ""
