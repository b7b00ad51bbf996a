"""The use cases behind `audit tail`, `audit query` and `audit show`: filters in, rows and cursors out.

Rules:
1. A span is `30s`, `15m`, `1h`, `7d` or `2w` back from `now`, or a moment in RFC 3339 (a day alone begins at 00:00 UTC).
2. Rows come newest last and hold what the record says, nothing else; formatting belongs to whoever prints them.
3. A flat row has the same columns for every record, in one order, and only text, integers and booleans.
4. A cell that a spreadsheet would take for a formula is quoted with an apostrophe: models and labels are a client's words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.core import record_cursor
from llmcp.core.control_records import ControlRecord
from llmcp.core.records import MAX_SAFE_INTEGER, DecisionRecord, Outcome, Stream, timestamp
from llmcp.errors import NotFoundError, UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

CONTROL_COLUMNS: Final = ("seq", "time", "org", "action", "actor", "target", "outcome", "user", "detail", "id")
"""The same for control records."""

_DECISION_ONLY: Final = ("app", "key_id", "model", "rule", "kind", "operation", "provider", "session")
_CONTROL_ONLY: Final = ("actor", "target")


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
    _check_names(spoken)
    if not 0 <= spoken.limit <= MAX_SAFE_INTEGER:
        raise UsageError(
            f"a limit cannot be {spoken.limit}", why="it counts records", fix="leave it out for all", code="bad-limit"
        )
    return replace(
        spoken,
        since=timestamp(parse_moment(spoken.since, now)) if spoken.since else "",
        until=timestamp(parse_moment(spoken.until, now)) if spoken.until else "",
    )


def _check_names(spoken: RecordFilter) -> None:
    """Refuse what no record can ever say: it would look like an empty log."""
    if spoken.stream not in {"", *Stream}:
        raise UsageError(
            f"there is no stream `{spoken.stream[:64]}`",
            why=f"streams are {', '.join(Stream)}",
            fix="leave it out for decisions",
            code="bad-stream",
        )
    control = spoken.stream == Stream.CONTROL
    deaf = [name for name in (_DECISION_ONLY if control else _CONTROL_ONLY) if getattr(spoken, name)]
    if deaf:
        where = Stream.CONTROL if control else Stream.DECISION
        raise UsageError(
            f"records of the {where} stream have no {deaf[0].replace('_', ' ')}",
            why="the filter could never match",
            fix=f"leave it out, or ask for `--stream {Stream.DECISION if control else Stream.CONTROL}`",
            code="bad-filter",
        )
    if spoken.outcome and not control and spoken.outcome not in Outcome:
        raise UsageError(
            f"unknown outcome `{spoken.outcome[:64]}`",
            why=f"outcomes are {', '.join(Outcome)}",
            fix="use one of them",
            code="bad-outcome",
        )


def query(log: AuditLog, wanted: RecordFilter) -> Iterator[dict[str, Any]]:
    """Yield the records that `wanted` lets pass as plain documents, newest last."""
    for data in log.query(wanted):
        yield msgspec.json.decode(data)


@dataclass(frozen=True, slots=True)
class Page:
    """Records as JSON, newest last, and the cursor of the next page ("" at the end)."""

    records: Iterator[bytes]
    next: str

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield the records as plain documents."""
        for data in self.records:
            yield msgspec.json.decode(data)


def page(log: AuditLog, spoken: RecordFilter, cursor: str, now: datetime) -> Page:
    """Return the page of `spoken` (its filters as the user wrote them) that `cursor` names, or the first with "".

    Raises: UsageError, also for a cursor that was made with other filters.
    """
    wanted = resolve_filter(spoken, now)
    if cursor:
        wanted = record_cursor.resume(cursor, spoken=spoken, resolved=wanted)
    found = log.page(wanted)
    following = record_cursor.encode(found.next_seq, spoken=spoken, resolved=wanted) if found.next_seq >= 0 else ""
    return Page(found.records, following)


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


def follow(log: AuditLog, wanted: RecordFilter, idle: Callable[[], None]) -> Iterator[list[bytes]]:
    """Yield the newest `wanted.limit` records that pass, and then those that come, each once; never ends by itself.

    `idle` is called when there is nothing new. A store that is locked for a moment is asked again.
    """
    follower = log.follow()
    try:
        # Before the query: what comes in between is shown by the next page, never by both, never by neither.
        after = follower.last_seq()
        yield list(log.query(replace(wanted, before_seq=after + 1))) if wanted.limit and after else []
        pending = True
        while True:
            try:
                pending = follower.changed() or pending
                while pending:
                    found, after, pending = follower.page(wanted, after)
                    if found:
                        yield found
            except UnreachableError as error:
                if error.code != "store-busy":
                    raise
            idle()
    finally:
        follower.close()


def flat_control_row(document: dict[str, Any]) -> dict[str, str | int | bool]:
    """Flatten one control record to `CONTROL_COLUMNS`; details are joined by a space."""
    record = msgspec.convert(document, ControlRecord)
    detail = " ".join(f"{key}={value}" for key, value in sorted(record.detail.items()))
    values: tuple[str | int | bool, ...] = (
        record.seq, record.time, record.org, record.action, record.actor, record.target, record.outcome, record.user, detail, record.id,
    )  # fmt: skip
    return dict(zip(CONTROL_COLUMNS, map(_safe_cell, values), strict=True))


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
