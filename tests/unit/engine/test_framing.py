"""Framing: any chunking gives the same events, and the raw bytes always add up."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.engine.framing import (
    OVERSIZE,
    Framer,
    JsonArrayFramer,
    NdjsonFramer,
    SseFramer,
    WholeFramer,
    framer_for,
    sniff,
    undecided,
)
from llmcp.ports import Frame, Framing

KINDS: list[type] = [SseFramer, NdjsonFramer, JsonArrayFramer, WholeFramer]
_SSE_PIECES = [
    b"data: ",
    b"data:",
    b"data",
    b"event: x",
    b": c",
    b"id: 1",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"{}",
    b"\xef\xbb\xbf",
    b"[DONE]",
]
_JSON_PIECES = [
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b'"',
    b"\\",
    b'"a\\"}"',
    b"1",
    b" ",
    b"\n",
    b'{"a":"]"}',
    b"null",
    b"\\u0041",
    b"\r\n",
]
_streams = st.one_of(
    st.lists(st.sampled_from(_SSE_PIECES), max_size=30).map(b"".join),
    st.lists(st.sampled_from(_JSON_PIECES), max_size=30).map(b"".join),
    st.binary(max_size=60),
)


def run(framer: Framer, chunks: list[bytes]) -> list[Frame]:
    """Feed the chunks and close."""
    frames = [frame for chunk in chunks for frame in framer.feed(chunk)]
    return frames + framer.close()


def cut(data: bytes, points: list[int]) -> list[bytes]:
    """Cut `data` at `points`."""
    edges = sorted({min(p, len(data)) for p in points} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


def events(frames: list[Frame]) -> list[tuple[str, bytes]]:
    """Return name and data of the frames that have any."""
    return [(f.name, f.data) for f in frames if f.name or f.data]


@pytest.mark.parametrize("kind", KINDS)
@given(data=_streams, points=st.lists(st.integers(0, 80), max_size=12), limit=st.sampled_from([8, 20, 1 << 20]))
@settings(max_examples=150)
def test_any_chunking_gives_the_same_events_and_every_byte_comes_back(
    kind: type, data: bytes, points: list[int], limit: int
) -> None:
    """Rules 1, 2 and 5: raw adds up, events are a function of the stream alone, and nothing raises."""
    whole = run(kind(limit), [data])
    parts = run(kind(limit), cut(data, points))
    single = run(kind(limit), [data[i : i + 1] for i in range(len(data))])
    for frames in (whole, parts, single):
        assert b"".join(f.raw for f in frames) == data
    assert events(whole) == events(parts) == events(single)


@pytest.mark.parametrize("kind", KINDS)
@given(chunks=st.lists(st.binary(max_size=20), max_size=8))
@settings(max_examples=80)
def test_what_is_pending_is_what_no_frame_has_returned_yet(kind: type, chunks: list[bytes]) -> None:
    """`pending` and the frames so far are together the input so far."""
    framer: Framer = kind(50)
    seen, given_ = b"", b""
    for chunk in chunks:
        given_ += chunk
        seen += b"".join(f.raw for f in framer.feed(chunk))
        assert seen + framer.pending() == given_


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_sse_takes_all_three_line_ends(end: bytes) -> None:
    """LF, CR LF and CR end a line; a blank line ends the event."""
    stream = end.join([b": hello", b"event: delta", b"data: {", b"data:}", b"id: 7", b"", b"data: [DONE]", b"", b""])
    assert events(run(SseFramer(), [stream])) == [("delta", b"{\n}"), ("", b"[DONE]")]


def test_sse_mixed_line_ends_in_one_stream() -> None:
    """Line ends may differ from line to line."""
    assert events(run(SseFramer(), [b"data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\n\n"])) == [
        ("", b"a"),
        ("", b"b"),
        ("", b"c"),
        ("", b"d"),
    ]


def test_sse_byte_order_mark_is_skipped_at_the_start_only() -> None:
    """A BOM before the first field is not part of its name."""
    bom = b"\xef\xbb\xbf"
    assert events(run(SseFramer(), [bom + b"data: a\n\n" + bom + b"data: b\n\n"])) == [("", b"a")]


def test_sse_last_event_without_a_blank_line_is_flushed_at_close() -> None:
    """Servers that stop after the last line lose no event."""
    assert events(run(SseFramer(), [b"data: a\n\ndata: b"])) == [("", b"a"), ("", b"b")]


def test_sse_only_one_space_after_the_colon_is_dropped() -> None:
    """The payload keeps its own leading spaces."""
    assert events(run(SseFramer(), [b"data:  a\n\ndata:b\n\n"])) == [("", b" a"), ("", b"b")]


def test_ndjson_lines_and_a_last_line_without_newline() -> None:
    """Each line is an event, CR LF too."""
    assert events(run(NdjsonFramer(), [b'{"a":1}\r\n\n{"b":2}'])) == [("", b'{"a":1}'), ("", b'{"b":2}')]


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(alphabet='ab{}[],:"\\é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='k"}{', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    values=st.lists(_json_values, max_size=5), indent=st.sampled_from([None, 1]), points=st.lists(st.integers(0, 200), max_size=8)
)
@settings(max_examples=150)
def test_a_json_array_is_cut_into_its_elements(values: list[object], indent: int | None, points: list[int]) -> None:
    """The elements' data parse to what the array holds, whatever strings contain."""
    data = json.dumps(values, indent=indent).encode()
    frames = run(JsonArrayFramer(), cut(data, points))
    assert [json.loads(f.data) for f in frames if f.data] == values


def test_an_array_element_is_let_go_as_soon_as_it_is_complete() -> None:
    """Token pacing survives: an element does not wait for the comma after it."""
    framer = JsonArrayFramer()
    assert [f.data for f in framer.feed(b'[{"a":1}')] == [b'{"a":1}']
    assert [f.data for f in framer.feed(b',\r\n{"a":2}')] == [b'{"a":2}']
    assert [f.data for f in framer.feed(b"]")] == [b""]


def test_json_values_that_follow_each_other_are_events_too() -> None:
    """An error object instead of the array is still read."""
    assert [f.data for f in run(JsonArrayFramer(), [b'{"error":{"code":1}}\n{"b":"]"}']) if f.data] == [
        b'{"error":{"code":1}}',
        b'{"b":"]"}',
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_past_the_bound_is_passed_unread_and_the_next_one_is_read(kind: type) -> None:
    """Rule 4: memory is bounded, the bytes are not lost, and the event after it is seen."""
    big = b'{"a":"' + b"x" * 500 + b'"}'
    stream = {SseFramer: b"data: %s\n\ndata: {}\n\n", NdjsonFramer: b"%s\n{}\n", JsonArrayFramer: b"[%s,{}]", WholeFramer: b"%s"}[
        kind
    ] % big
    for size in (1, 7, len(stream)):
        framer: Framer = kind(100)
        frames: list[Frame] = []
        for at in range(0, len(stream), size):
            frames += framer.feed(stream[at : at + size])
            assert len(framer.pending()) <= 100 + size
        frames += framer.close()
        assert b"".join(f.raw for f in frames) == stream
        expected = [OVERSIZE] if kind is WholeFramer else [OVERSIZE, b"{}"]
        assert [f.data for f in frames if f.data] == expected


@pytest.mark.parametrize(
    ("kind", "head", "tail"),
    [(SseFramer, b"data: ", b"\n\n"), (NdjsonFramer, b"", b"\n"), (JsonArrayFramer, b"[", b"]"), (WholeFramer, b"", b"")],
)
def test_a_large_event_byte_by_byte_is_looked_at_once(kind: type, head: bytes, tail: bytes) -> None:
    """Rule 3: 300 KB one byte at a time; a rescan per byte would take longer than the test's own time limit allows."""
    stream = head + b'{"a":"' + b"x" * 300_000 + b'"}' + tail
    frames = run(kind(), [stream[i : i + 1] for i in range(len(stream))])
    assert len([f for f in frames if f.data]) == 1


@pytest.mark.parametrize(
    ("content_type", "body", "streamed", "expected"),
    [
        (b"text/event-stream; charset=utf-8", b"data: {}", True, Framing.SSE),
        (b"application/json", b"data: {}", True, Framing.SSE),
        (b"", b"\xef\xbb\xbf\n: ping", False, Framing.SSE),
        (b"text/plain", b"event: x\ndata: 1", False, Framing.SSE),
        (b"text/event-stream", b'{"error":{}}', True, Framing.WHOLE),
        (b"text/event-stream", b"", True, Framing.SSE),
        (b"application/x-ndjson", b'{"a":1}\n', True, Framing.NDJSON),
        (b"application/stream+json", b'{"a":1}\n', True, Framing.NDJSON),
        (b"application/json", b'{"a":1}\n{"b":2}\n', True, Framing.NDJSON),
        (b"application/json", b'{\n "a":1}\n', True, Framing.WHOLE),
        (b"application/json", b'{"a":1}\n', False, Framing.WHOLE),
        (b"application/json; charset=UTF-8", b'[{\n "a"', True, Framing.JSON_ARRAY),
        (b"application/json", b"[1]", False, Framing.WHOLE),
        (b"application/vnd.amazon.eventstream", b"\x00\x00", True, Framing.AWS_EVENTSTREAM),
        (b"audio/mpeg", b"\xff\xf3", False, Framing.WHOLE),
    ],
)
def test_the_bytes_are_believed_before_the_content_type(
    content_type: bytes, body: bytes, streamed: bool, expected: Framing
) -> None:
    """What recorded traffic holds under odd content types is still cut right."""
    assert sniff(content_type, body, streamed) is expected


@given(
    content_type=st.sampled_from([b"", b"application/json", b"text/event-stream", b"application/x-ndjson", b"audio/mpeg"]),
    body=st.sampled_from(
        [
            b"data: {}\n\n",
            b"event: x\n",
            b": c\n",
            b'{"a":1}\n{"b":2}\n',
            b"[{}]",
            b'{\n"a":1}',
            b"dating\n",
            b"\xef\xbb\xbf id:1\n",
        ]
    ),
    streamed=st.booleans(),
    size=st.integers(0, 12),
)
def test_once_decided_more_bytes_change_nothing(content_type: bytes, body: bytes, streamed: bool, size: int) -> None:
    """`undecided` says when to wait; what `sniff` says afterwards is final."""
    if not undecided(content_type, body[:size], streamed):
        assert sniff(content_type, body[:size], streamed) is sniff(content_type, body, streamed)


def test_each_framing_has_its_decoder() -> None:
    """`framer_for` makes a fresh decoder each time."""
    for framing in (Framing.SSE, Framing.NDJSON, Framing.JSON_ARRAY, Framing.WHOLE):
        assert framer_for(framing) is not framer_for(framing)
