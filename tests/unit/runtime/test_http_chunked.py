"""The chunked coding of request bodies: any split gives the same, and what is not exact is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.runtime.chunked import ChunkedDecoder
from llmcp.runtime.http1 import HttpRefusalError
from llmcp.runtime.render import LAST_CHUNK, chunk


def decode(*pieces: bytes) -> tuple[bytes, bool, bytes]:
    """Feed `pieces`; return the body, whether it is complete, and what stood behind it."""
    decoder = ChunkedDecoder()
    body = b""
    rest = b""
    for piece in pieces:
        if decoder.done:
            rest += piece
        else:
            body += decoder.feed(piece)
            while decoder.rest and not decoder.done:
                body += decoder.feed(decoder.rest)
            rest += decoder.rest
    return body, decoder.done, rest


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut `data` at the given places."""
    places = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@settings(max_examples=150)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(0, 400), max_size=12), st.binary(max_size=20)
)
def test_any_split_gives_the_same_body_and_leaves_what_is_behind(chunks: list[bytes], cuts: list[int], behind: bytes) -> None:
    """Writing in chunks and reading them back is the identity, wherever the reads are cut."""
    wire = b"".join(map(chunk, chunks)) + LAST_CHUNK
    assert decode(*split(wire + behind, cuts)) == (b"".join(chunks), True, behind)


def test_extensions_and_trailers_are_dropped() -> None:
    """A short extension and good trailers pass, and reach nobody."""
    wire = b'5;a=b;c="d"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET'
    assert decode(wire) == (b"hello", True, b"GET")
    assert decode(*[bytes([c]) for c in wire]) == (b"hello", True, b"GET")


def test_a_body_of_very_many_chunks_is_read_bit_by_bit() -> None:
    """One call reads a part and gives the rest back, so that others have their turn."""
    wire = chunk(b"a") * 5000 + LAST_CHUNK + b"GET"
    decoder = ChunkedDecoder()
    first = decoder.feed(wire)
    assert 0 < len(first) < 5000
    assert decoder.rest
    assert not decoder.done
    assert decode(wire) == (b"a" * 5000, True, b"GET")


def test_leading_zeros_of_a_size_are_digits_like_others() -> None:
    """The grammar says one or more hexadecimal digits."""
    assert decode(b"0005\r\nhello\r\n000\r\n\r\n") == (b"hello", True, b"")


BROKEN = {
    "no size": b"\r\nhello",
    "not hexadecimal": b"xyz\r\n",
    "a sign": b"+5\r\nhello\r\n",
    "a minus": b"-5\r\n",
    "a prefix": b"0x5\r\nhello\r\n",
    "a space in front": b" 5\r\nhello\r\n",
    "a space behind": b"5 \r\nhello\r\n",
    "a comma": b"5,5\r\nhello\r\n",
    "an underscore": b"1_0\r\n",
    "a huge size": b"FFFFFFFFFFFFFFFF\r\n",
    "a bare LF": b"5\nhello\r\n",
    "a bare CR": b"5\rhello\r\n",
    "a bare LF behind the chunk": b"5\r\nhello\n0\r\n\r\n",
    "a chunk longer than its size": b"5\r\nhello!\r\n",
    "a chunk shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "a NUL in an extension": b"5;a=\0\r\nhello\r\n",
    "a bare CR in an extension": b"5;a\rb\r\nhello\r\n",
    "a huge extension": b"5;" + b"a" * 300 + b"\r\nhello\r\n",
    "an endless extension": b"5;" + b"a" * 3000,
    "a folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "a trailer without a colon": b"0\r\nAb\r\n\r\n",
    "a trailer with a space before the colon": b"0\r\nA : b\r\n\r\n",
    "a bare LF as the end": b"0\r\n\n",
    "an endless trailer": b"0\r\nA: " + b"b" * 5000,
    "endless trailers": b"0\r\n" + b"A: bbbbbbbbbbbbbbbbbb\r\n" * 500,
}


@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN)
def test_broken_chunks_are_refused_whole_and_byte_by_byte(wire: bytes) -> None:
    """Each of the table is refused, however it arrives."""
    with pytest.raises(HttpRefusalError):
        decode(wire)
    with pytest.raises(HttpRefusalError):
        decode(*[bytes([c]) for c in wire])


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([b"5", b"\r\n", b"hello", b"0", b";", b"\n", b"\r", b"a", b"\0", b":"]), max_size=15),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_hostile_bytes_fare_alike_under_any_split(tokens: list[bytes], cuts: list[int]) -> None:
    """Whether a body is refused, and what came out before, does not hang on how it was cut."""
    wire = b"".join(tokens)

    def outcome(pieces: list[bytes]) -> tuple[bytes, bool, bytes] | None:
        try:
            return decode(*pieces)
        except HttpRefusalError:
            return None

    # A bare CR at the end of a piece is not wrong yet: both ends are made complete before they are compared.
    assert outcome([*split(wire, cuts), b"zz\n"]) == outcome([wire + b"zz\n"])
