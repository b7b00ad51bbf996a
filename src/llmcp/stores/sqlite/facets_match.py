"""Which facets (distinct combinations of org, model, outcome, rules, labels …) a filter lets pass.

Rules:
1. One pass over `facets`, which has a row for each combination that ever was, not for each record.
2. What is compared exactly is compared by SQLite; globs, kinds and labels are asked of the filter itself, each text that there
   is once.
3. A user stands in the store by reference; the name is looked up among the persons of the scope, and of no other org.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmcp.core.record_filter import is_kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from llmcp.core.record_filter import RecordFilter

_EXACT: Final = ("org", "app", "key_id", "outcome", "operation", "provider")


def lines_of(framed: str) -> tuple[str, ...]:
    """Return the lines of a facet's `rules`, `kinds` or `labels`."""
    return tuple(framed[1:-1].split("\n")) if framed else ()


def narrows(wanted: RecordFilter) -> bool:
    """Tell whether a filter asks for anything that facets tell apart."""
    named = (*(getattr(wanted, name) for name in _EXACT), wanted.user, wanted.model, wanted.rule, wanted.kind, wanted.text)
    return any(named) or bool(wanted.labels)


def matching_facets(connection: sqlite3.Connection, wanted: RecordFilter, *, among: int | None = None) -> list[int]:
    """Return the ids of the facets that `wanted` lets pass: of all, or of the one."""
    where: list[str] = []
    values: list[Any] = []

    def demand(condition: str, *operands: object) -> None:
        where.append(condition)
        values.extend(operands)

    if among is not None:
        demand("id = ?", among)
    for column in _EXACT:
        if value := getattr(wanted, column):
            demand(f"[{column}] = ?", value)
    if wanted.user:
        known_as = user_names(connection, wanted)
        demand(f"[user] IN ({','.join('?' * len(known_as))})", *known_as)
    if wanted.rule:
        demand(*_rule(wanted.rule))
    asked = [*_asked(wanted)]
    columns = "".join([f", [{column}]" for names, _ in asked for column in names])
    rows = connection.execute(f"SELECT id{columns} FROM facets WHERE {' AND '.join(where) or '1'}", values)  # noqa: S608 - of constants
    if not asked:
        return [facet for (facet,) in rows]
    passing: Iterable[tuple[Any, ...]] = rows
    at = 1
    for names, ask in asked:
        passing = _passing(passing, range(at, at + len(names)), _Answers(ask))
        at += len(names)
    return [row[0] for row in passing]


def user_names(connection: sqlite3.Connection, wanted: RecordFilter) -> list[str]:
    """Return what may stand for the wanted user in the store: the name itself and its references."""
    sql = "SELECT ref FROM persons WHERE kind = 'user' AND value = ? AND (? = '' OR org = ?)"
    return [wanted.user, *(ref for (ref,) in connection.execute(sql, (wanted.user, wanted.org, wanted.org)))]


def _rule(rule: str) -> tuple[str, ...]:
    """Return the condition on the framed `policy/id` lines: both spellings of a rule."""
    if "\n" in rule:
        return ("0",)
    return ("(instr(rules, ?) > 0 OR instr(rules, ?) > 0)", f"\n{rule}\n", f"/{rule}\n")


def _asked(wanted: RecordFilter) -> Iterator[tuple[tuple[str, ...], Callable[[str], bool]]]:
    """Yield what the filter itself is asked, and of which columns."""
    if wanted.kind:
        yield ("kinds",), lambda kinds: any(is_kind(wanted.kind, kind) for kind in lines_of(kinds))
    if wanted.text or wanted.labels:
        yield ("labels",), lambda labels: wanted.has_labels(lines_of(labels))
    if wanted.model:
        yield ("request_model", "response_model"), lambda name: wanted.is_model(name, name)


def _passing(rows: Iterable[tuple[Any, ...]], columns: range, answers: _Answers) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of which one of `columns` passes."""
    first, last = columns[0], columns[-1]
    if first == last:
        return (row for row in rows if answers[row[first]])
    return (row for row in rows if answers[row[first]] or answers[row[last]])


class _Answers(dict[str, bool]):
    """What was asked once: few texts stand in many facets."""

    def __init__(self, ask: Callable[[str], bool]) -> None:
        super().__init__()
        self._ask = ask

    def __missing__(self, text: str) -> bool:
        answer = self[text] = self._ask(text)
        return answer
