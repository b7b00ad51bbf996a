"""Which records somebody wants to see: the filters of `audit query`, as one value that every backend understands.

Rules:
1. Every filter that is set must hold. An empty text is no filter.
2. `since` is inclusive, `until` exclusive; both are `records.timestamp` texts.
3. `model` is a case-insensitive glob (`*`, `?`) over the requested and the answering model; `rule` is a rule id or `policy/id`,
   found among the rules that acted, warned or would have acted; everything else is compared exactly.
4. The answer is ordered by `seq`, newest last. `limit` keeps the newest, unless `after_seq` is set: then the oldest beyond it,
   so that a reader can follow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmcp.core.records import DecisionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """The filters of `audit query`. `after_seq` -1 and `limit` 0 mean none."""

    since: str = ""
    until: str = ""
    org: str = ""
    app: str = ""
    user: str = ""
    model: str = ""
    outcome: str = ""
    rule: str = ""
    operation: str = ""
    provider: str = ""
    decision_id: str = ""
    stream: str = ""
    after_seq: int = -1
    limit: int = 0

    def matches(self, record: DecisionRecord) -> bool:
        """Tell whether `record` passes; what a backend's own query must agree with."""
        return (
            (not self.since or record.time >= self.since)
            and (not self.until or record.time < self.until)
            and _same(self.org, record.org)
            and _same(self.app, record.app)
            and _same(self.user, record.user)
            and _same(self.outcome, record.outcome)
            and _same(self.operation, record.operation)
            and _same(self.provider, record.gen_ai.provider)
            and _same(self.decision_id, record.decision_id)
            and _same(self.stream, record.stream)
            and record.seq > self.after_seq
            and (not self.rule or self.rule in rule_names(record))
            and (not self.model or self._is_model(record))
        )

    def _is_model(self, record: DecisionRecord) -> bool:
        pattern = _glob(self.model)
        return any(pattern.fullmatch(name.lower()) for name in (record.gen_ai.request_model, record.gen_ai.response_model))


def rule_names(record: DecisionRecord) -> set[str]:
    """Return both spellings of every rule that the record names."""
    rules = (*record.rules, *record.would_be.rules)
    return {rule.id for rule in rules} | {f"{rule.policy}/{rule.id}" for rule in rules}


def _same(wanted: str, actual: str) -> bool:
    return not wanted or wanted == actual


@lru_cache(maxsize=64)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern.lower())
    return re.compile("".join(parts), re.DOTALL)
