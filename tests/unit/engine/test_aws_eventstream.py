"""The AWS event-stream framer and encoder."""

import struct
from itertools import pairwise
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.engine.aws_eventstream import AwsEventStreamFramer, encode_message, exception_message

_NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
_MESSAGES = st.lists(st.tuples(_NAMES, st.binary(max_size=60)), max_size=6)


def _split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


def _read(chunks: list[bytes], limit: int = 1 << 20) -> list[tuple[str, bytes, bytes]]:
    framer = AwsEventStreamFramer(limit)
    frames = [f for chunk in chunks for f in framer.feed(chunk)] + framer.close()
    return [(f.name, f.data, f.raw) for f in frames]


@given(_MESSAGES, st.lists(st.integers(0, 1000), max_size=20))
@settings(max_examples=150)
def test_messages_come_out_as_they_went_in_for_any_chunking(messages: list[tuple[str, bytes]], cuts: list[int]) -> None:
    """Names and payloads survive, and the raws are the very input."""
    stream = b"".join(encode_message(((":event-type", n), (":message-type", "event")), p) for n, p in messages)
    frames = _read(_split(stream, cuts))
    assert [(n, d) for n, d, _ in frames] == messages
    assert b"".join(r for _, _, r in frames) == stream


@given(st.binary(max_size=300), st.lists(st.integers(0, 1000), max_size=20))
@settings(max_examples=150)
def test_any_bytes_pass_unchanged(data: bytes, cuts: list[int]) -> None:
    """Hostile bytes raise nothing and none is lost."""
    assert b"".join(r for _, _, r in _read(_split(data, cuts), 200)) == data


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=150)
def test_one_wrong_byte_makes_its_message_unreadable_and_loses_nothing(position: int, change: int) -> None:
    """A flipped byte anywhere is seen by one of the two checksums."""
    good = encode_message(((":event-type", "a"),), b"{}")
    broken = bytearray(good)
    broken[position % len(good)] ^= change
    frames = _read([bytes(broken)])
    assert all((n, d) == ("", b"") for n, d, _ in frames)
    assert b"".join(r for _, _, r in frames) == bytes(broken)


def test_a_message_with_a_wrong_checksum_does_not_hide_the_next_one() -> None:
    """Its length is covered by the prelude's own checksum, so the boundary is known."""
    good = encode_message(((":event-type", "a"),), b"{}")
    assert [n for n, _, _ in _read([good[:-1] + bytes((good[-1] ^ 1,)) + good])] == ["", "a"]


def test_headers_that_overrun_their_block_are_unreadable() -> None:
    """A header's length is not believed beyond the block."""
    block = b"\x0b:event-type\x07\xff\xffa"
    prelude = struct.pack(">II", 16 + len(block), len(block))
    message = prelude + struct.pack(">I", crc32(prelude)) + block
    message += struct.pack(">I", crc32(message))
    assert _read([message]) == [("", b"", message)]


def test_headers_of_every_type_are_stepped_over() -> None:
    """The name is found behind booleans, numbers, bytes, times and ids."""
    block = b"".join(
        bytes((1, 97, kind)) + bytes(size) for kind, size in {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}.items()
    )
    block += b"\x01b\x06\x00\x03xyz" + b"\x0b:event-type\x07\x00\x02ok"
    prelude = struct.pack(">II", 16 + len(block), len(block))
    message = prelude + struct.pack(">I", crc32(prelude)) + block
    message += struct.pack(">I", crc32(message))
    assert _read([message]) == [("ok", b"", message)]


def test_a_message_above_the_bound_is_passed_on_and_not_kept() -> None:
    """Memory is bounded by `max_message_bytes`, whatever the length field says."""
    framer = AwsEventStreamFramer(64)
    message = encode_message(((":event-type", "a"),), bytes(100))
    frames = framer.feed(message[:40])
    assert [(f.name, f.data, f.raw) for f in frames] == [("", b"", message[:40])]
    assert framer.pending() == b""
    assert [f.raw for f in framer.feed(message[40:])] == [message[40:]]


def test_a_message_cut_short_is_kept_until_the_end() -> None:
    """`pending` shows it, `close` returns it."""
    framer = AwsEventStreamFramer()
    message = encode_message(((":event-type", "a"),), b"{}")
    assert framer.feed(message[:-1]) == []
    assert framer.pending() == message[:-1]
    assert [f.raw for f in framer.close()] == [message[:-1]]


def test_an_exception_is_named_by_its_type() -> None:
    """SDKs find the exception's class by `:exception-type`."""
    assert [(n, d) for n, d, _ in _read([exception_message("throttlingException", b'{"message":"x"}')])] == [
        ("throttlingException", b'{"message":"x"}')
    ]
