"""Which records somebody wants to see: the filters of `audit query`, as one value that every backend understands.

Rules:
1. Every filter that is set must hold. An empty text is no filter.
2. `since` is inclusive, `until` exclusive; both are `records.timestamp` texts.
3. `model` is a case-insensitive glob (`*`, `?`) over the requested and the answering model; `rule` is a rule id or `policy/id`,
   found among the rules that acted, warned or would have acted; `kind` is a glob over the kinds of findings, and a kind's
   first parts stand for all below them (`pii` for `pii.email`).
4. `labels` are `key=value`, or `key` alone for any value; `text` is looked for in each `key=value`, whatever its case.
5. `action`, `actor` and `target` are for the control stream: a glob, and two exact texts. Everything else is compared exactly.
6. The answer is ordered by `seq`, newest last. `limit` keeps the newest, unless `after_seq` is set: then the oldest beyond it,
   so that a reader can follow. `before_seq` leaves out what is not older than it, so that a reader can page back.
7. `org` is the scope: what is not that org's is never found, whatever else is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from llmcp.core.globs import Glob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llmcp.core.control_records import ControlRecord
    from llmcp.core.records import DecisionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """The filters of `audit query`. `after_seq` -1, `before_seq` 0 and `limit` 0 mean none."""

    since: str = ""
    until: str = ""
    org: str = ""
    app: str = ""
    user: str = ""
    key_id: str = ""
    model: str = ""
    outcome: str = ""
    rule: str = ""
    kind: str = ""
    operation: str = ""
    provider: str = ""
    decision_id: str = ""
    session: str = ""
    text: str = ""
    labels: tuple[str, ...] = ()
    action: str = ""
    actor: str = ""
    target: str = ""
    stream: str = ""
    after_seq: int = -1
    before_seq: int = 0
    limit: int = 0

    def matches(self, record: DecisionRecord) -> bool:
        """Tell whether `record` passes; what a backend's own query must agree with."""
        return (
            self._within(record.time, record.seq)
            and _same(self.org, record.org)
            and _same(self.app, record.app)
            and _same(self.user, record.user)
            and _same(self.key_id, record.key_id)
            and _same(self.outcome, record.outcome)
            and _same(self.operation, record.operation)
            and _same(self.provider, record.gen_ai.provider)
            and _same(self.decision_id, record.decision_id)
            and _same(self.session, record.session)
            and _same(self.stream, record.stream)
            and (not self.action or is_covered(self.action, record.action))
            and not self.actor
            and not self.target
            and (not self.rule or self.rule in rule_names(record))
            and (not self.kind or any(is_kind(self.kind, finding.kind) for finding in record.findings))
            and (not self.model or self.is_model(record.gen_ai.request_model, record.gen_ai.response_model))
            and ((not self.text and not self.labels) or self.has_labels(label_lines(record.labels)))
        )

    def matches_control(self, record: ControlRecord) -> bool:
        """Tell whether a control record passes; the filters that speak of requests alone are not asked."""
        return (
            self._within(record.time, record.seq)
            and _same(self.org, record.org)
            and _same(self.user, record.user)
            and _same(self.outcome, record.outcome)
            and _same(self.decision_id, record.id)
            and _same(self.stream, record.stream)
            and (not self.action or is_covered(self.action, record.action))
            and _same(self.actor, record.actor)
            and _same(self.target, record.target)
            and ((not self.text and not self.labels) or self.has_labels(label_lines(record.detail)))
        )

    def is_model(self, requested: str, answering: str) -> bool:
        """Tell whether one of an exchange's models is wanted."""
        return is_covered(self.model, requested) or is_covered(self.model, answering)

    def has_labels(self, lines: Iterable[str]) -> bool:
        """Tell whether labels, each `key=value`, are those that are wanted."""
        lines = tuple(lines)
        if self.text:
            folded = self.text.casefold()
            if not any(folded in line.casefold() for line in lines):
                return False
        return all(any(line == label or _has_key(line, label) for line in lines) for label in self.labels)

    def _within(self, time: str, seq: int) -> bool:
        return (
            (not self.since or time >= self.since)
            and (not self.until or time < self.until)
            and seq > self.after_seq
            and (not self.before_seq or seq < self.before_seq)
        )


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some canonical records, newest last, read as they are taken. `next_seq` is where the next page begins, -1 at the end.

    It goes into `before_seq` of the next query, or into `after_seq` where that was set.
    """

    records: Iterator[bytes]
    next_seq: int = -1


def rule_names(record: DecisionRecord) -> set[str]:
    """Return both spellings of every rule that the record names."""
    rules = (*record.rules, *record.would_be.rules)
    return {rule.id for rule in rules} | {f"{rule.policy}/{rule.id}" for rule in rules}


def label_lines(labels: Mapping[str, str]) -> list[str]:
    """Return labels as `text` and `labels` see them."""
    return [f"{key}={value}" for key, value in labels.items()]


def is_covered(pattern: str, name: str) -> bool:
    """Tell whether a glob covers `name`, whatever its case."""
    return _glob(pattern).matches(name.casefold())


def is_kind(pattern: str, kind: str) -> bool:
    """Tell whether `pattern` covers a finding's kind, or names what the kind stands below."""
    return is_covered(pattern, kind) or kind.startswith(f"{pattern}.")


def _same(wanted: str, actual: str) -> bool:
    return not wanted or wanted == actual


def _has_key(line: str, label: str) -> bool:
    return "=" not in label and line.startswith(f"{label}=")


@lru_cache(maxsize=64)
def _glob(pattern: str) -> Glob:
    return Glob(pattern)
