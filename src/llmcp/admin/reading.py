"""What the admin listener shows of the store: orgs, apps, tokens, records, usage.

Rules:
1. A question has a scope: an org's name, or None for the operator, who sees everything. Every read below is asked of the store
   with that scope; nothing is read first and filtered after.
2. What is of another org is not there: 404 with the words for what does not exist, never 403, and no near name as a hint.
3. `READS` is the list of all read paths. A path that is not in it is not served; a test walks all of them with two orgs' keys.
4. A parameter that a path does not know is refused by name, so that a misspelt filter never shows too much.
5. Everything here may block: it runs in `admin.later`'s threads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote

from llmcp.admin.answers import document, encoded, error
from llmcp.admin.paging import page, page_size
from llmcp.control import audit, usage
from llmcp.control.apps import app_document
from llmcp.control.orgs import org_document
from llmcp.control.tokens import token_documents
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import timestamp
from llmcp.errors import ConflictError, LlmcpError, NotFoundError, NotPermittedError, UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from llmcp.core.http import Respond
    from llmcp.ports.stores import AuditLog, IdentityStore, UsageLog

_STATUS: Final = {UsageError: 400, NotPermittedError: 403, NotFoundError: 404, ConflictError: 409, UnreachableError: 503}
_VALUE_CHARS: Final = 512
_QUERY_CHARS: Final = 8192
_PAGING: Final = frozenset({"limit", "cursor"})
_RECORD_FILTERS: Final = frozenset(field.name for field in fields(RecordFilter)) - {"after_seq", "before_seq", "labels"} | {
    "label"
}
_USAGE_FILTERS: Final = _RECORD_FILTERS - {"session", "decision_id", "actor", "target", "action", "stream"} | {"by"}


@dataclass(frozen=True, slots=True)
class Question:
    """One read. `scope` as in rule 1; `name` is what the path names, "" where it names nothing."""

    scope: str | None
    name: str
    said: Mapping[str, str]

    def org(self) -> str | None:
        """Return the org whose rows are wanted, None for all. Raises: NotFoundError where that is not the asker's own."""
        asked = self.said.get("org", "") or None
        if self.scope is None:
            return asked
        if asked not in {None, self.scope}:
            raise _nothing("org")
        return self.scope


@dataclass(frozen=True, slots=True)
class Reading:
    """The stores that are read."""

    identities: IdentityStore
    records: AuditLog
    usage: UsageLog
    now: Callable[[], datetime]

    def answer(self, target: str, scope: str | None) -> Respond:
        """Answer a read path (`readable` said that it is one)."""
        path, _, query = target.partition("?")
        route, name = _find(path)
        if route is None or scope == "" or len(query) > _QUERY_CHARS:
            return error(404, "not-found", "nothing is served here")
        try:
            return route.answer(self, Question(scope, name, _parameters(query, route.parameters)))
        except LlmcpError as raised:
            return refused(raised)

    def orgs(self, question: Question) -> Respond:
        """List orgs."""
        return _listed("orgs", [(org.name, org_document(org)) for org in self.identities.orgs(question.org())], question)

    def org(self, question: Question) -> Respond:
        """Show an org."""
        if question.scope not in {None, question.name}:
            raise _nothing("org")
        found = self.identities.orgs(question.name)
        if not found:
            raise _nothing("org")
        return document(200, org_document(found[0]))

    def apps(self, question: Question) -> Respond:
        """List apps."""
        apps = self.identities.apps(question.org())
        return _listed("apps", [(f"{app.org}\0{app.name}", app_document(app)) for app in apps], question)

    def tokens(self, question: Question) -> Respond:
        """List tokens, without anything that could be used as one."""
        org = question.org()
        said = question.said
        tokens = [t for t in self.identities.tokens(org) if all(said.get(k, "") in {"", getattr(t, k)} for k in ("app", "user"))]
        rows = token_documents(tokens, self.identities.orgs(org), self.identities.apps(org), timestamp(self.now()))
        rows = [row for row in rows if said.get("state", "") in {"", row["state"]}]
        return _listed("tokens", [(f"{row['created']} {row['id']}", row) for row in rows], question)

    def token(self, question: Question) -> Respond:
        """Show a token."""
        scope = question.scope
        found = [token for token in self.identities.tokens(scope) if token.id == question.name]
        if not found:
            raise _nothing("token")
        rows = token_documents(found, self.identities.orgs(scope), self.identities.apps(scope), timestamp(self.now()))
        return document(200, rows[0])

    def records_page(self, question: Question) -> Respond:
        """List records, newest last; the next page has older ones."""
        if question.scope is not None and question.said.get("stream", "") not in {"", "decision"}:
            raise NotPermittedError("control records are for the operator", fix="leave `stream` out", code="not-permitted")
        found = audit.page(self.records, _filter(question), question.said.get("cursor", ""), self.now())
        following = json.dumps(found.next).encode()
        return encoded(200, b'{"records":[' + b",".join(found.records) + b'],"next_cursor":' + following + b"}")

    def record(self, question: Question) -> Respond:
        """Show a record."""
        wanted = RecordFilter(decision_id=question.name, org=question.scope or "", limit=1)
        found = next(iter(self.records.query(wanted)), None)
        if found is None:
            raise _nothing("decision")
        return encoded(200, found)

    def usage_rows(self, question: Question) -> Respond:
        """List sums of requests, tokens and money."""
        query = usage.resolve_usage(_filter(question), question.said.get("by", "") or "model", self.now())
        answer = self.usage.answer(query)
        rows = [(f"{number:09d}", row) for number, row in enumerate(usage.documents(answer, query.by))]
        return _listed("usage", rows, question, notes=usage.notes(answer, query.by))


@dataclass(frozen=True, slots=True)
class Route:
    """A read path; a segment in braces stands for any name."""

    path: str
    answer: Callable[[Reading, Question], Respond]
    parameters: frozenset[str] = frozenset()


READS: Final = (
    Route("/v1/orgs", Reading.orgs, _PAGING | {"org"}),
    Route("/v1/orgs/{org}", Reading.org),
    Route("/v1/apps", Reading.apps, _PAGING | {"org"}),
    Route("/v1/tokens", Reading.tokens, _PAGING | {"org", "app", "user", "state"}),
    Route("/v1/tokens/{id}", Reading.token),
    Route("/v1/records", Reading.records_page, _PAGING | _RECORD_FILTERS),
    Route("/v1/records/{decision_id}", Reading.record),
    Route("/v1/usage", Reading.usage_rows, _PAGING | _USAGE_FILTERS),
)


def readable(path: str) -> bool:
    """Tell whether `path` is one of `READS`."""
    return _find(path)[0] is not None


def _find(path: str) -> tuple[Route | None, str]:
    parts = path.split("/")
    for route in READS:
        wanted = route.path.split("/")
        if len(wanted) == len(parts) and all(w == p or (w.startswith("{") and p) for w, p in zip(wanted, parts, strict=True)):
            return route, unquote(parts[-1]) if wanted[-1].startswith("{") else ""
    return None, ""


def _parameters(query: str, known: frozenset[str]) -> dict[str, str]:
    """Read a query string. Raises: UsageError (rule 4)."""
    said: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            fix = f"there are {', '.join(sorted(known))}" if known else "this path takes none"
            raise UsageError(f"there is no parameter `{name[:64]}` here", fix=fix, code="bad-parameter")
        if name in said or len(value) > _VALUE_CHARS:
            raise UsageError(f"the parameter `{name}` is given twice or is too long", fix="give it once", code="bad-parameter")
        said[name] = value
    return said


def _filter(question: Question) -> RecordFilter:
    """Return the filters of a question, its scope among them. Raises: NotFoundError for an org that is not the asker's."""
    said = {name: value for name, value in question.said.items() if name not in _PAGING | {"by", "label"}}
    labels = tuple(label for label in question.said.get("label", "").split(",") if label)
    whole = RecordFilter(**(said | {"org": question.org() or ""}), labels=labels)  # type: ignore[arg-type]
    return replace(whole, limit=page_size(question.said.get("limit", "")))


def _listed(noun: str, rows: list[tuple[str, dict[str, Any]]], question: Question, **more: object) -> Respond:
    shown, cursor = page(rows, page_size(question.said.get("limit", "")), question.said.get("cursor", ""))
    return document(200, {noun: shown, "next_cursor": cursor, **more})


def _nothing(what: str) -> NotFoundError:
    return NotFoundError(f"there is no such {what}", code=f"no-such-{what}")


def refused(raised: LlmcpError) -> Respond:
    """Word an error of ours as an answer; a kind that has no status here is a bug, and raised again."""
    status = next((status for kind, status in _STATUS.items() if isinstance(raised, kind)), None)
    if status is None:
        raise raised
    message = f"{raised.what}: {raised.why}" if raised.why else raised.what
    return error(status, raised.code, message, hint=raised.fix)
