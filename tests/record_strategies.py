"""Records of all shapes, as documents, for tests of what reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import strategies as st

from llmcp.core import control_records
from llmcp.core.control_records import ControlRecord
from llmcp.core.records import (
    Bodies,
    DecisionRecord,
    Edit,
    Facts,
    Fault,
    Finding,
    GenAi,
    Inspected,
    Inspection,
    Outcome,
    Rule,
    Skipped,
    Upstream,
    WouldBe,
    canonical,
    timestamp,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COUNT = st.integers(0, 2**53 - 1) | st.integers(0, 500)
TIME = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(timestamp)
LABELS = st.dictionaries(st.text("abcxyz_.-", min_size=1, max_size=6), TEXT, max_size=3)
RULES = st.lists(st.builds(Rule, TEXT, TEXT, TEXT, TEXT), max_size=2).map(tuple)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
INSPECTED = st.builds(Inspected, COUNT, st.booleans(), st.lists(st.builds(Skipped, TEXT, TEXT), max_size=2).map(tuple))

DECISIONS = st.builds(
    DecisionRecord,
    id=TEXT,
    decision_id=TEXT,
    time=TIME,
    org=TEXT,
    app=TEXT,
    user=TEXT,
    groups=TEXTS,
    key_id=TEXT,
    agent=TEXT,
    session=TEXT,
    seq=COUNT,
    operation=st.sampled_from(["chat", "models", "embeddings", "other", ""]),
    outcome=st.sampled_from(Outcome).map(str),
    rules=RULES,
    would_be=st.builds(WouldBe, RULES, TEXT),
    revision=TEXT,
    gen_ai=st.builds(
        GenAi,
        provider=st.sampled_from(["openai", "azure", "bedrock", "mine", ""]),
        request_model=TEXT,
        response_model=TEXT,
        input_tokens=COUNT,
        output_tokens=COUNT,
        cached_tokens=COUNT,
        cache_write_tokens=COUNT,
        reasoning_tokens=COUNT,
        finish_reasons=TEXTS,
        tools=TEXTS,
        streamed=st.booleans(),
        usage_source=st.sampled_from(["none", "provider", "estimated"]),
    ),
    facts=st.builds(
        Facts,
        client_ip=st.sampled_from(["", "127.0.0.1", "::1"]),
        client_user_agent=TEXT,
        has_max_tokens=st.booleans(),
        max_tokens=COUNT,
        temperature=st.sampled_from(["", "0.7", "0", "nan", "1e999", "hot"]),
        tools=TEXTS,
        turns=COUNT,
        stream=st.booleans(),
    ),
    flags=LABELS,
    labels=LABELS,
    cost_microusd=COUNT,
    latency_ms=COUNT,
    error_type=TEXT,
    upstream=st.builds(Upstream, COUNT, st.sampled_from([0, 200, 429, 500])),
    inspection=st.builds(Inspection, INSPECTED, INSPECTED),
    findings=st.lists(st.builds(Finding, TEXT, COUNT, TEXT), max_size=2).map(tuple),
    edits=st.lists(st.builds(Edit, TEXT, TEXT, TEXT), max_size=2).map(tuple),
    faults=st.lists(st.builds(Fault, st.booleans(), TEXT, TEXT, TEXT), max_size=2).map(tuple),
    warnings=TEXTS,
    bodies=st.builds(Bodies, TEXT, TEXT),
).map(canonical)
"""Canonical decision records."""

CONTROLS = st.builds(
    ControlRecord,
    id=TEXT,
    time=TIME,
    action=st.sampled_from(["token.create", "org.remove", "audit.prune", "key.rotate", "token.list", "x"]),
    actor=TEXT,
    target=TEXT,
    org=TEXT,
    user=TEXT,
    seq=COUNT,
    outcome=st.sampled_from(["done", "failed"]),
    detail=LABELS,
).map(control_records.canonical)
"""Canonical control records."""

# What nobody wrote, or what a later version will: documents that lack keys, have more, or have other types.
STRANGE = st.dictionaries(
    st.sampled_from(
        ["id", "time", "stream", "gen_ai", "rules", "labels", "facts", "upstream", "user", "later", "outcome", "findings"]
    ),
    st.recursive(
        TEXT | st.integers(-(2**53), 2**53) | st.booleans(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
        max_leaves=4,
    ),
    max_size=6,
)


def document(record: bytes) -> dict[str, Any]:
    """Return a canonical record as a document."""
    read: dict[str, Any] = msgspec.json.decode(record)
    return read
