"""Cursors: they go on with the same question and no other, and grant nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.core import record_cursor
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import MAX_SAFE_INTEGER
from llmcp.errors import UsageError

NAMES = st.sampled_from(["", "a", "b"])
FILTERS = st.builds(
    RecordFilter, org=NAMES, user=NAMES, model=NAMES, labels=st.sampled_from([(), ("a",), ("a", "b")]), text=NAMES, stream=NAMES
)
SPOKEN = RecordFilter(since="1h", org="a", limit=5)
RESOLVED = replace(SPOKEN, since="2026-01-01T00:00:00.000000Z")


@given(st.integers(0, MAX_SAFE_INTEGER), FILTERS, st.booleans())
def test_a_cursor_leads_to_the_position_it_was_made_at(seq: int, spoken: RecordFilter, forward: bool) -> None:
    """In the direction of the first page; the limit may change from page to page."""
    first = replace(spoken, after_seq=0 if forward else -1)
    cursor = record_cursor.encode(seq, spoken=first, resolved=first)
    wanted = record_cursor.resume(cursor, spoken=replace(first, limit=7), resolved=replace(first, limit=7))
    assert (wanted.after_seq, wanted.before_seq) == ((seq, 0) if forward else (-1, seq))
    assert replace(wanted, after_seq=-1, before_seq=0) == replace(spoken, limit=7)


@given(FILTERS, FILTERS)
def test_a_cursor_of_another_question_is_refused(one: RecordFilter, other: RecordFilter) -> None:
    """Any filter that differs, and the scope is one of them."""
    cursor = record_cursor.encode(3, spoken=one, resolved=one)
    if one == other:
        record_cursor.resume(cursor, spoken=other, resolved=other)
        return
    with pytest.raises(UsageError) as caught:
        record_cursor.resume(cursor, spoken=other, resolved=other)
    assert caught.value.code == "bad-cursor"


def test_the_window_does_not_slide_from_page_to_page() -> None:
    """`--since 1h` means on every page what it meant on the first."""
    cursor = record_cursor.encode(3, spoken=SPOKEN, resolved=RESOLVED)
    later = replace(SPOKEN, since="2026-01-01T00:00:09.000000Z")
    assert record_cursor.resume(cursor, spoken=SPOKEN, resolved=later).since == RESOLVED.since


def test_a_forged_cursor_does_not_widen_the_scope() -> None:
    """The org is the asker's own, whatever the cursor says."""
    cursor = record_cursor.encode(3, spoken=replace(SPOKEN, org="b"), resolved=replace(RESOLVED, org="b"))
    with pytest.raises(UsageError):
        record_cursor.resume(cursor, spoken=SPOKEN, resolved=RESOLVED)
    own = record_cursor.encode(3, spoken=SPOKEN, resolved=replace(RESOLVED, org="b"))
    assert record_cursor.resume(own, spoken=SPOKEN, resolved=RESOLVED).org == "a"


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_any_other_text_is_refused(text: str) -> None:
    """With a way out, never with a traceback."""
    with pytest.raises(UsageError):
        record_cursor.resume(text, spoken=SPOKEN, resolved=RESOLVED)


@pytest.mark.parametrize("part", ["-1", "9223372036854775807", "9223372036854775808", "1e3", "null"])
def test_a_position_that_is_none_is_refused(part: str) -> None:
    """It would reach the database."""
    from base64 import urlsafe_b64encode

    digest = record_cursor._digest(SPOKEN)
    forged = urlsafe_b64encode(f'["{digest}",{part},false,"",""]'.encode()).decode().rstrip("=")
    with pytest.raises(UsageError):
        record_cursor.resume(forged, spoken=SPOKEN, resolved=RESOLVED)
