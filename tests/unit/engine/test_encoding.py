"""Rules of `llmcp.engine.encoding`."""

import gzip
import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.engine.encoding import decode_request, decoder_for, readable
from llmcp.errors import MalformedRequestError


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@given(
    data=st.binary(max_size=4000),
    coding=st.sampled_from([(b"gzip", gzip.compress), (b"deflate", zlib.compress), (b"deflate", _raw_deflate)]),
    cuts=st.lists(st.integers(0, 5000), max_size=8),
)
def test_any_chunking_decodes_to_the_same(data, coding, cuts) -> None:
    """However a compressed body is cut, the decoder's output is the original."""
    name, pack = coding
    packed = pack(data)
    decoder = decoder_for(name)
    assert decoder is not None
    edges = sorted({0, len(packed), *(c for c in cuts if c < len(packed))})
    assert b"".join(decoder.feed(packed[a:b]) for a, b in itertools.pairwise(edges)) == data


def test_several_gzip_members_are_one_body() -> None:
    """Providers that flush by starting a new member are read to the end."""
    decoder = decoder_for(b"gzip")
    assert decoder is not None
    assert decoder.feed(gzip.compress(b"ab") + gzip.compress(b"cd")) == b"abcd"


def test_a_request_that_grows_past_the_limit_is_refused_without_being_held() -> None:
    """A decompression bomb is the client's error."""
    with pytest.raises(MalformedRequestError, match="limit"):
        decode_request(gzip.compress(b"0" * 1_000_000), b"gzip", 10_000)


@pytest.mark.parametrize(
    "body", [b"not gzip", gzip.compress(b"abc")[:-3], gzip.compress(b"abc") + b"tail"], ids=["garbage", "cut", "tail"]
)
def test_a_broken_or_padded_request_body_is_refused(body) -> None:
    """What llmcp reads must be what the provider reads: no tail, no truncation."""
    with pytest.raises(MalformedRequestError):
        decode_request(body, b"gzip", 10_000)


def test_an_encoding_that_cannot_be_read_is_refused_by_name() -> None:
    """Zstd and brotli are not read: the request cannot be checked."""
    assert not readable(b"zstd")
    with pytest.raises(MalformedRequestError, match="content encoding"):
        decode_request(b"x", b"zstd", 100)
