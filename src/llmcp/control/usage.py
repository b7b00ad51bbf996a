"""The use case behind `usage`: what was asked in words, the rows, and what to say beside them.

Rules:
1. Bounds are spoken as in `audit query`; days and hours are UTC.
2. Documents have the names of the contract first, and exact integers: money is micro-USD.
3. A series of time has a row for every span between the bounds, also where nothing happened, when it is drawn.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from llmcp.control.audit import resolve_filter
from llmcp.core.usage import MEASURES, UsageQuery, is_time, parse_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmcp.core.record_filter import RecordFilter
    from llmcp.core.usage import UsageAnswer

_MOST_SPANS: Final = 2_000


def resolve_usage(spoken: RecordFilter, by: str, now: datetime) -> UsageQuery:
    """Return the question that `--by` and the filters, as the user wrote them, mean. Raises: UsageError."""
    return UsageQuery(parse_by(by), resolve_filter(spoken, now))


def documents(answer: UsageAnswer, by: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows as the contract words them."""
    for row in answer.rows:
        yield row.document(by)


def total(answer: UsageAnswer) -> dict[str, int]:
    """Return what the rows add up to."""
    return {name: sum(row.sums[index] for row in answer.rows) for index, name in enumerate(MEASURES)}


def notes(answer: UsageAnswer, by: Sequence[str]) -> list[str]:
    """Return what a person should know who reads the rows."""
    said = []
    if answer.rounded:
        said.append(
            f"records at the bounds were pruned: these are the whole hours from {answer.since or 'the beginning'}"
            f" to {answer.until or 'now'}"
        )
    if "label" in by:
        said.append("a request with several labels stands in several rows")
    return said


def measure_of(answer: UsageAnswer) -> str:
    """Return what is worth drawing: money where any was spent, else tokens, else requests."""
    sums = total(answer)
    return next((name for name in ("cost_microusd", "input_tokens") if sums[name]), "requests")


def series(answer: UsageAnswer, by: Sequence[str], measure: str) -> list[tuple[str, int]]:
    """Return what is drawn: the words of each row and its sum; the spans of a series of time without gaps."""
    index = MEASURES.index(measure)
    if len(by) != 1 or not is_time(by[0]):
        widths = [max((len(row.keys[at]) for row in answer.rows), default=0) for at in range(len(by))]
        rows = answer.rows if any(map(is_time, by)) else sorted(answer.rows, key=lambda row: -row.sums[index])
        return [
            ("  ".join(f"{key or '-':{width}}" for key, width in zip(row.keys, widths, strict=True)), row.sums[index])
            for row in rows
        ]
    points = {row.keys[0]: row.sums[index] for row in answer.rows}
    if not points:
        return []
    return [(span, points.get(span, 0)) for span in _spans(min(points), max(points))]


def _spans(first: str, last: str) -> Iterator[str]:
    """Yield every month, day or hour from one to the other, as they are worded."""
    form, length = {7: ("-01T00", 7), 10: ("T00", 10), 13: ("", 13)}[len(first)]
    moment = datetime.fromisoformat(f"{first}{form}:00:00+00:00")
    step = timedelta(hours=1) if length == 13 else timedelta(days=1)  # noqa: PLR2004 - an hour's length
    before = ""
    for _ in range(_MOST_SPANS * (31 if length == 7 else 1)):  # noqa: PLR2004 - a month's length
        span = moment.isoformat()[:length]
        if span > last:
            return
        if span != before:
            yield span
        before = span
        moment += step
