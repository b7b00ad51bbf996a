"""Rules of `llmcp.engine.headers`."""

from hypothesis import given
from hypothesis import strategies as st

from llmcp.engine.headers import client_headers, offered_encoding, upstream_headers

NAMES = st.sampled_from(
    [
        b"authorization",
        b"x-api-key",
        b"content-type",
        b"x-custom",
        b"x-llmcp-labels",
        b"connection",
        b"te",
        b"proxy-authorization",
        b"x-replay-id",
        b"x-hop",
        b"host",
        b"content-length",
    ]
)
VALUES = st.sampled_from(
    [
        b"x-hop, authorization",
        b"Bearer " + b"llmcp_" + b"abc",
        b"LLMcp_" + b"abc",
        b"plain",
        b"close",
        b"application/json",
        b"x-custom",
    ]
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12).map(tuple))
def test_nothing_of_llmcps_own_goes_upstream(headers) -> None:
    """No virtual key, no `x-llmcp-*`, no hop-by-hop header leaves, whatever else is there."""
    kept = upstream_headers(headers, accept_encoding=b"identity")
    for name, value in kept:
        assert not name.startswith(b"x-llmcp-")
        assert b"llmcp_" not in value.lower()
        assert name not in {b"connection", b"te", b"proxy-authorization", b"host", b"content-length"}


def test_a_header_that_connection_names_is_hop_by_hop() -> None:
    """What `Connection` lists is dropped."""
    kept = upstream_headers(((b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"x-stays", b"2")), accept_encoding=b"identity")
    assert dict(kept) == {b"x-stays": b"2", b"accept-encoding": b"identity"}


def test_connection_cannot_take_off_credentials_or_the_content_type() -> None:
    """A client that names `authorization` in `Connection` does not make its own key disappear."""
    headers = (
        (b"connection", b"authorization, content-type"),
        (b"authorization", b"Bearer k"),
        (b"content-type", b"application/json"),
    )
    assert (b"authorization", b"Bearer k") in upstream_headers(headers, accept_encoding=b"identity")
    assert (b"content-type", b"application/json") in upstream_headers(headers, accept_encoding=b"identity")


def test_unknown_headers_pass_in_order_and_repeated() -> None:
    """The list of what passes is open."""
    headers = ((b"x-a", b"1"), (b"anthropic-beta", b"x"), (b"x-a", b"2"))
    assert upstream_headers(headers, accept_encoding=b"gzip") == (*headers, (b"accept-encoding", b"gzip"))


def test_an_upstream_can_neither_open_cors_nor_lead_the_client_away() -> None:
    """`access-control-*` and `alt-svc` stay behind; rate-limit headers pass."""
    headers = (
        (b"access-control-allow-origin", b"*"),
        (b"alt-svc", b'h3=":443"'),
        (b"x-ratelimit-remaining-requests", b"9"),
        (b"x-llmcp-decision-id", b"forged"),
        (b"transfer-encoding", b"chunked"),
        (b"content-encoding", b"gzip"),
    )
    assert client_headers(headers, decoded=False) == ((b"x-ratelimit-remaining-requests", b"9"), (b"content-encoding", b"gzip"))
    assert client_headers(headers, decoded=True) == ((b"x-ratelimit-remaining-requests", b"9"),)


def test_streams_are_asked_for_uncompressed() -> None:
    """A stream is asked for as identity, a whole answer as gzip only where the client takes it."""
    offers = ((b"accept-encoding", b"br, gzip;q=0.5, zstd"),)
    assert offered_encoding(offers, stream=True) == b"identity"
    assert offered_encoding(offers, stream=False) == b"gzip"
    assert offered_encoding(((b"accept-encoding", b"gzip;q=0, br"),), stream=False) == b"identity"
    assert offered_encoding((), stream=False) == b"identity"


def test_a_method_override_stays_behind() -> None:
    """The upstream does the method that the rules were asked about."""
    headers = ((b"x-http-method-override", b"POST"), (b"x-http-method", b"POST"), (b"x-method-override", b"POST"), (b"x-a", b"b"))
    assert upstream_headers(headers, accept_encoding=b"identity") == ((b"x-a", b"b"), (b"accept-encoding", b"identity"))
