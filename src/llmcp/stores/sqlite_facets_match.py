"""Which facets (distinct combinations of org, model, outcome, rules, labels …) a filter lets pass.

Rules:
1. One pass over `facets`, which has a row for each combination that ever was, not for each record.
2. What is compared exactly is compared by SQLite; globs, kinds and labels are asked of the filter itself, each text once.
3. A user stands in the store by reference; the name is looked up among the persons of the scope, and of no other org.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmcp.core.record_filter import is_kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

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
        names = user_names(connection, wanted)
        demand(f"[user] IN ({','.join('?' * len(names))})", *names)
    if wanted.rule:
        demand(*_rule(wanted.rule))
    if wanted.kind:
        _function(connection, "wanted_kinds", lambda kinds: any(is_kind(wanted.kind, kind) for kind in lines_of(kinds)))
        demand("kinds <> '' AND wanted_kinds(kinds)")
    if wanted.text or wanted.labels:
        _function(connection, "wanted_labels", lambda labels: wanted.has_labels(lines_of(labels)))
        demand("labels <> '' AND wanted_labels(labels)")
    if wanted.model:
        _function(connection, "wanted_model", lambda name: wanted.is_model(name, name))
        demand("(wanted_model(request_model) OR wanted_model(response_model))")
    sql = f"SELECT id FROM facets WHERE {' AND '.join(where) or '1'}"  # noqa: S608 - made above, of constants
    return [row[0] for row in connection.execute(sql, values)]


def user_names(connection: sqlite3.Connection, wanted: RecordFilter) -> list[str]:
    """Return what may stand for the wanted user in the store: the name itself and its references."""
    sql = "SELECT ref FROM persons WHERE kind = 'user' AND value = ? AND (? = '' OR org = ?)"
    return [wanted.user, *(ref for (ref,) in connection.execute(sql, (wanted.user, wanted.org, wanted.org)))]


def _rule(rule: str) -> tuple[str, ...]:
    """Return the condition on the framed `policy/id` lines: both spellings of a rule."""
    if "\n" in rule:
        return ("0",)
    return ("(instr(rules, ?) > 0 OR instr(rules, ?) > 0)", f"\n{rule}\n", f"/{rule}\n")


def _function(connection: sqlite3.Connection, name: str, asked: Callable[[str], bool]) -> None:
    """Let SQLite ask `asked`, which is told each text once."""
    answers: dict[str, bool] = {}

    def answer(text: str) -> bool:
        known = answers.get(text)
        if known is None:
            known = answers[text] = asked(text)
        return known

    connection.create_function(name, 1, answer, deterministic=True)


def in_clause(numbers: Sequence[int]) -> str:
    """Return numbers for a statement's `IN (…)`; ours, so they need no quoting."""
    return ",".join(map(str, numbers))
