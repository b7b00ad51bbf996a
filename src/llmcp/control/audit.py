"""The use cases behind `audit tail`, `audit query` and `audit show`: filters in, rows out.

Rules:
1. A span is `30s`, `15m`, `1h`, `7d` or `2w` back from `now`, or a moment in RFC 3339 (a day alone begins at 00:00 UTC).
2. Rows come newest last and hold what the record says, nothing else; formatting belongs to whoever prints them.
3. A flat row has the same columns for every record, in one order, and only text, integers and booleans.
4. A cell that a spreadsheet would take for a formula is quoted with an apostrophe: models and labels are a client's words.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.core.records import DecisionRecord, Outcome, timestamp
from llmcp.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmcp.core.record_filter import RecordFilter
    from llmcp.ports.stores import AuditLog

_SPAN: Final = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

COLUMNS: Final = (
    "seq",
    "time",
    "decision_id",
    "org",
    "app",
    "user",
    "operation",
    "provider",
    "request_model",
    "response_model",
    "outcome",
    "rules",
    "would_be",
    "warnings",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "usage_source",
    "cost_microusd",
    "price_source",
    "streamed",
    "finish_reasons",
    "tools",
    "status",
    "attempts",
    "latency_ms",
    "overhead_us",
    "error_type",
    "revision",
    "key_id",
    "agent",
    "session",
    "labels",
)
"""The columns of a flat row, for CSV and tables."""


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the moment that `--since` or `--until` names. `now` is aware. Raises: UsageError."""
    text = text.strip()
    if found := _SPAN.fullmatch(text):
        try:
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"cannot read the time `{text[:64]}`",
            why="expected a span back from now or a moment in RFC 3339",
            fix="write `1h`, `30m`, `7d` or `2026-01-31T12:00:00Z`",
            code="bad-time",
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def resolve_filter(spoken: RecordFilter, now: datetime) -> RecordFilter:
    """Return `spoken`, whose `since` and `until` are as the user wrote them, ready for a query. Raises: UsageError."""
    if spoken.outcome and spoken.outcome not in Outcome:
        raise UsageError(
            f"unknown outcome `{spoken.outcome[:64]}`",
            why=f"outcomes are {', '.join(Outcome)}",
            fix="use one of them",
            code="bad-outcome",
        )
    if spoken.limit < 0:
        raise UsageError(
            f"a limit cannot be {spoken.limit}", why="it counts records", fix="leave it out for all", code="bad-limit"
        )
    return replace(
        spoken,
        since=timestamp(parse_moment(spoken.since, now)) if spoken.since else "",
        until=timestamp(parse_moment(spoken.until, now)) if spoken.until else "",
    )


def query(log: AuditLog, wanted: RecordFilter) -> Iterator[dict[str, Any]]:
    """Yield the records that `wanted` lets pass as plain documents, newest last."""
    for data in log.query(wanted):
        yield msgspec.json.decode(data)


def show(log: AuditLog, decision_id: str) -> dict[str, Any]:
    """Return one decision's record. Raises: NotFoundError."""
    data = log.get(decision_id)
    if data is None:
        raise NotFoundError(
            f"no record of the decision `{decision_id[:64]}`",
            why="no such id in this store",
            fix="look for it with `llmcp audit query --since 1h`",
            code="no-such-decision",
        )
    document: dict[str, Any] = msgspec.json.decode(data)
    return document


def tail(log: AuditLog, wanted: RecordFilter, after_seq: int | None = None) -> tuple[list[dict[str, Any]], int]:
    """Return the next records for a follower and where to ask next.

    The first call (`after_seq` None) returns the newest `wanted.limit`; call again with the second value, as often as you like.
    """
    # Before the query: what comes in between is shown now or by the next call, never by neither.
    end = log.last_seq()
    if after_seq is None:
        rows = list(query(log, wanted))
    else:
        rows = list(query(log, replace(wanted, after_seq=after_seq, limit=0))) if end > after_seq else []
    return rows, max([end, after_seq or 0, *(row["seq"] for row in rows)])


def flat_row(document: dict[str, Any]) -> dict[str, str | int | bool]:
    """Flatten one record to `COLUMNS`; lists are joined by a space, rules are `policy/id`."""
    record = msgspec.convert(document, DecisionRecord)
    gen_ai = record.gen_ai
    values: tuple[str | int | bool, ...] = (
        record.seq,
        record.time,
        record.decision_id,
        record.org,
        record.app,
        record.user,
        record.operation,
        gen_ai.provider,
        gen_ai.request_model,
        gen_ai.response_model,
        record.outcome,
        " ".join(f"{rule.policy}/{rule.id}" for rule in record.rules),
        " ".join((record.would_be.verdict, *(f"{rule.policy}/{rule.id}" for rule in record.would_be.rules))).strip(),
        " ".join(record.warnings),
        gen_ai.input_tokens,
        gen_ai.output_tokens,
        gen_ai.cached_tokens,
        gen_ai.cache_write_tokens,
        gen_ai.reasoning_tokens,
        gen_ai.usage_source,
        record.cost_microusd,
        record.price_source,
        gen_ai.streamed,
        " ".join(gen_ai.finish_reasons),
        " ".join(gen_ai.tools),
        record.upstream.status,
        record.upstream.attempts,
        record.latency_ms,
        record.overhead_us,
        record.error_type,
        record.revision,
        record.key_id,
        record.agent,
        record.session,
        " ".join(f"{key}={value}" for key, value in sorted(record.labels.items())),
    )
    return dict(zip(COLUMNS, map(_safe_cell, values), strict=True))


def _safe_cell(value: str | bool | int) -> str | int | bool:  # noqa: FBT001 - a cell, not a switch
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value
