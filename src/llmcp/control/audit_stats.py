"""The use case behind `audit stats`: what a span of time looked like.

Rules:
1. Requests, outcomes, tokens and money are exact, from the rollup, for any filter and any span.
2. Latency and the rules that refused come from the records themselves: the newest `SAMPLE` that the filter lets pass. How many
   they were stands beside them.
3. A percentile is a value that was measured: the smallest that so many in a hundred do not exceed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.core.records import Outcome
from llmcp.core.usage import MEASURES, UsageQuery, parse_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmcp.core.record_filter import RecordFilter
    from llmcp.core.usage import UsageRow
    from llmcp.ports.stores import AuditLog, UsageLog

SAMPLE: Final = 20_000
_BUSIEST: Final = 5
_REFUSED: Final = (Outcome.DENIED, Outcome.HELD, Outcome.CUT)
_REFUSING: Final = frozenset(("deny", "allow", "tools", "limit", "hold", "redact"))


class _Rule(msgspec.Struct, gc=False):
    effect: str
    id: str
    policy: str


class _Timed(msgspec.Struct, gc=False):
    latency_ms: int = 0
    overhead_us: int = 0
    error_type: str = ""
    rules: tuple[_Rule, ...] = ()


_DECODER: Final = msgspec.json.Decoder(_Timed)


def stats(log: AuditLog, usage: UsageLog, wanted: RecordFilter, by: str = "outcome,model") -> dict[str, Any]:
    """Return the figures of what `wanted` (resolved) lets pass; `groups` are by the dimensions `by`. Raises: UsageError."""
    names = parse_by(by)
    answer = usage.answer(UsageQuery(names, wanted))
    outcomes = list(usage.rows(UsageQuery(("outcome",), wanted)))
    by_outcome = {row.keys[0]: row.sums[0] for row in outcomes}
    sums = {name: sum(row.sums[index] for row in outcomes) for index, name in enumerate(MEASURES)}
    return {
        "since": answer.since,
        "until": answer.until,
        **sums,
        "errors": by_outcome.get(Outcome.ERROR, 0),
        "refused": sum(by_outcome.get(outcome, 0) for outcome in _REFUSED),
        "outcomes": by_outcome,
        "refusals": _refusals(log, wanted),
        **_timing(log, wanted),
        "busiest": {name: _busiest(usage.rows(UsageQuery((name,), wanted)), name) for name in ("org", "app", "model", "key")},
        "groups": [row.document(names) for row in answer.rows],
        "rounded": answer.rounded,
    }


def _refusals(log: AuditLog, wanted: RecordFilter) -> list[dict[str, Any]]:
    """Return the rules that refused, the busiest first."""
    counts: Counter[str] = Counter()
    for outcome in _REFUSED:
        if wanted.outcome in {"", outcome}:
            for data in log.query(replace(wanted, outcome=outcome, limit=SAMPLE)):
                rules = _DECODER.decode(data).rules
                counts.update({f"{rule.policy}/{rule.id}" for rule in rules if rule.effect in _REFUSING})
    return [{"rule": rule, "requests": count} for rule, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _timing(log: AuditLog, wanted: RecordFilter) -> dict[str, Any]:
    latencies: list[int] = []
    overheads: list[int] = []
    errors: Counter[str] = Counter()
    for data in log.query(replace(wanted, limit=SAMPLE)):
        timed = _DECODER.decode(data)
        latencies.append(timed.latency_ms)
        overheads.append(timed.overhead_us)
        if timed.error_type:
            errors[timed.error_type] += 1
    latencies.sort()
    overheads.sort()
    return {
        "latency": {
            "records": len(latencies),
            "p50_ms": percentile(latencies, 50),
            "p95_ms": percentile(latencies, 95),
            "p99_ms": percentile(latencies, 99),
            "overhead_p50_us": percentile(overheads, 50),
            "overhead_p95_us": percentile(overheads, 95),
        },
        "error_types": [{"error_type": name, "requests": count} for name, count in errors.most_common()],
    }


def percentile(ordered: Sequence[int], percent: int) -> int:
    """Return the nearest-rank percentile of sorted values, 0 where there are none."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


def _busiest(rows: Iterable[UsageRow], name: str) -> list[dict[str, Any]]:
    found = sorted((row for row in rows if row.keys[0]), key=lambda row: (-row.sums[0], row.keys))
    return [{name: row.keys[0], "requests": row.sums[0]} for row in found[:_BUSIEST]]
