"""Reading decision records by a filter: the facets that fit, then their records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.core.records import Stream

if TYPE_CHECKING:
    from llmcp.core.record_filter import RecordFilter

_EXACT: Final = ("org", "app", "outcome", "operation", "provider")


def select(wanted: RecordFilter) -> tuple[str, list[str | int]]:
    """Return the statement that finds what `wanted` lets pass, one column `record`, newest last, and its values."""
    where: list[str] = []
    values: list[str | int] = []

    def demand(condition: str, *operands: str | int) -> None:
        where.append(condition)
        values.extend(operands)

    if wanted.stream not in {"", Stream.DECISION}:
        demand("0")
    for column in _EXACT:
        if value := getattr(wanted, column):
            demand(f"f.{column} = ?", value)
    if wanted.user:
        demand("(f.user = ? OR f.user IN (SELECT ref FROM persons WHERE kind = 'user' AND value = ?))", wanted.user, wanted.user)
    if wanted.model:
        pattern = wanted.model.lower().replace("[", "[[]")
        demand("(lower(f.request_model) GLOB ? OR lower(f.response_model) GLOB ?)", pattern, pattern)
    if wanted.rule:
        demand("(instr(f.rules, ?) OR instr(f.rules, ?))", f"\n{wanted.rule}\n", f"/{wanted.rule}\n")
    if wanted.since:
        demand("r.time >= ?", wanted.since)
    if wanted.until:
        demand("r.time < ?", wanted.until)
    if wanted.decision_id:
        demand("r.id = ?", wanted.decision_id)
    if wanted.after_seq >= 0:
        demand("r.seq > ?", wanted.after_seq)
    return _ordered(wanted, " AND ".join(where) or "1"), values


def _ordered(wanted: RecordFilter, where: str) -> str:
    records = f"SELECT seq, record FROM records r JOIN facets f ON f.id = r.facet WHERE {where} ORDER BY seq"  # noqa: S608 - of constants
    if not wanted.limit:
        return f"SELECT record FROM ({records})"  # noqa: S608
    if wanted.after_seq >= 0:
        return f"SELECT record FROM ({records} LIMIT {wanted.limit:d})"  # noqa: S608
    return f"SELECT record FROM ({records} DESC LIMIT {wanted.limit:d}) ORDER BY seq"  # noqa: S608
