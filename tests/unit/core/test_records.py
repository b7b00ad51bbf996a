"""The record's canonical form and the order of outcomes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.core import records
from llmcp.core.decide import RuleHit
from llmcp.core.records import DecisionRecord, Outcome, canonical, parse, strongest, timestamp

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ASCII_KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=6)


def _values(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for one field's declared type, so that a new field is covered the day it is added."""
    if kind is int:
        return st.integers(-records.MAX_SAFE_INTEGER, records.MAX_SAFE_INTEGER)
    if kind is bool:
        return st.booleans()
    if kind is str:
        return TEXT
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _structs(kind)
    if get_origin(kind) is tuple:
        return st.lists(_values(get_args(kind)[0]), max_size=2).map(tuple)
    return st.dictionaries(ASCII_KEYS, TEXT, max_size=3)


def _structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: _values(hints[name]) for name in kind.__struct_fields__})


RECORDS = _structs(DecisionRecord)


@settings(max_examples=150, deadline=None)
@given(RECORDS)
def test_the_canonical_form_is_rfc_8785(record: DecisionRecord) -> None:
    """Our fast encoder and the reference implementation agree byte for byte."""
    assert canonical(record) == rfc8785.dumps(msgspec.to_builtins(record))


@settings(max_examples=100, deadline=None)
@given(RECORDS)
def test_a_record_read_back_is_the_record(record: DecisionRecord) -> None:
    """Parsing is the inverse of the canonical form."""
    assert parse(canonical(record)) == record


@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(records).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)],
)
def test_fields_are_declared_in_sorted_order(kind: type[msgspec.Struct]) -> None:
    """Declaration order is encoding order, so it must be the canonical one."""
    assert list(kind.__struct_encode_fields__) == sorted(kind.__struct_encode_fields__)


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=0, max_value=2**80), st.text(max_size=8), st.text(max_size=8))
def test_hostile_integers_and_broken_text_still_give_a_canonical_record(number: int, model: str, label: str) -> None:
    """A client may ask for 2^70 tokens of a model named by half a surrogate pair; its record must still stand."""
    facts = records.Facts(max_tokens=number, has_max_tokens=True)
    record = DecisionRecord(id="1", time="t", facts=facts, gen_ai=records.GenAi(request_model=model), labels={"k": label})
    data = canonical(record)
    assert rfc8785.dumps(msgspec.json.decode(data)) == data
    assert parse(data).facts.max_tokens == min(number, records.MAX_SAFE_INTEGER)


def test_every_key_is_there_even_in_the_emptiest_record() -> None:
    """A reader never has to ask whether a key exists."""
    document = msgspec.json.decode(canonical(DecisionRecord(id="1", time="t")))
    assert set(document) == set(DecisionRecord.__struct_fields__)
    assert document["gen_ai"]["input_tokens"] == 0
    assert document["would_be"] == {"rules": [], "verdict": ""}


def test_read_only_mappings_are_encoded_as_objects() -> None:
    """A subject's labels are a read-only view; the record takes them as they are."""
    record = DecisionRecord(id="1", time="t", labels=MappingProxyType({"b": "1", "a": "2"}))
    assert b'"labels":{"a":"2","b":"1"}' in canonical(record)


def test_keys_of_a_newer_version_are_ignored() -> None:
    """An older reader can show a newer record."""
    data = canonical(DecisionRecord(id="1", time="t"))
    assert parse(data[:-1] + b',"zzz":1}').id == "1"


@given(st.lists(st.sampled_from(Outcome), min_size=1))
def test_the_strongest_outcome_wins_in_any_order(outcomes: list[Outcome]) -> None:
    """The order is that of the declaration."""
    ranks = list(Outcome)
    assert ranks.index(strongest(*outcomes)) == min(map(ranks.index, outcomes))


def test_outcomes_stand_in_the_contracts_order() -> None:
    """The list is public surface."""
    assert " > ".join(Outcome) == "error > cut > denied > held > redacted > edited > cached > allowed"
    assert strongest() is Outcome.ALLOWED


@given(st.datetimes(), st.datetimes(), st.integers(-14, 14))
def test_timestamps_are_utc_and_sort_as_the_times_do(one: datetime, two: datetime, hours: int) -> None:
    """Text order is time order, whatever zone the clock was in."""
    zone = timezone(timedelta(hours=hours))
    middle = datetime(2, 1, 1), datetime(9998, 1, 1)
    one, two = (min(max(t, middle[0]), middle[1]) for t in (one, two))
    first, second = one.replace(tzinfo=UTC), two.replace(tzinfo=zone)
    assert (timestamp(first) < timestamp(second)) == (first < second)
    assert datetime.fromisoformat(timestamp(second)) == second
    assert timestamp(second).endswith("Z")


def test_rule_hits_keep_their_four_names() -> None:
    """The record's rule object has the contract's keys."""
    (rule,) = records.rules_of((RuleHit(policy="p", id="r", effect="deny", mode="warn"),))
    assert msgspec.to_builtins(rule) == {"policy": "p", "id": "r", "effect": "deny", "mode": "warn"}
