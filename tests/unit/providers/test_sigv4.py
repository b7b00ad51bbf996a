"""Rules of `llmcp.providers.sigv4`, held against botocore's signer."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.core.http import Forward, Headers, Origin, header
from llmcp.providers.sigv4 import KeyPair, read_key_pair, signed_headers

ORIGIN = Origin("https", "bedrock-runtime.eu-west-1.amazonaws.com", 443)
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
PAIR = KeyPair("AKIDEXAMPLE", "s" * 40)
_NAMES = st.sampled_from((b"content-type", b"x-amzn-bedrock-trace", b"x-amz-thing", b"accept", b"user-agent"))
_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(lambda text: text.encode())
_SEGMENTS = st.lists(
    st.text("abcXYZ019-._~:@!$&'()*+,= %/é", min_size=1, max_size=12).filter(lambda s: s not in {".", ".."}), max_size=4
)
_QUERIES = st.lists(st.tuples(st.text("abz-_.", min_size=1, max_size=4), st.text("abz019-_.%", max_size=5)), max_size=4)


def sign(target: str = "/model/m/converse", body: bytes = b"{}", headers: Headers = (), pair: KeyPair = PAIR) -> Headers:
    """Sign one request."""
    request = Forward(ORIGIN, "POST", target, headers, body)
    return signed_headers(request, pair, region="eu-west-1", service="bedrock", now=NOW)


def oracle(target: str, body: bytes, headers: Headers, pair: KeyPair) -> str:
    """Let botocore sign what `sign` signs."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("POST", f"https://{ORIGIN.authority()}{target}", data=body)
    for name, value in headers:
        if name == b"content-type" or name.startswith((b"x-amz-", b"x-amzn-")):
            request.headers.add_header(name.decode(), value.decode())
    signer = SigV4Auth(Credentials(pair.id, pair.key, pair.session or None), "bedrock", "eu-west-1")
    request.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signer._inject_signature_to_request(request, signature)
    return str(request.headers["Authorization"])


@settings(max_examples=150, deadline=None)
@given(
    segments=_SEGMENTS,
    query=_QUERIES,
    body=st.binary(max_size=64),
    headers=st.lists(st.tuples(_NAMES, _VALUES), max_size=5),
    session=st.sampled_from(("", "tok" * 10)),
    escaped=st.booleans(),
)
def test_the_signature_is_botocores(segments, query, body, headers, session, escaped) -> None:
    """Over paths, queries, headers, bodies and session tokens."""
    path = "/" + "/".join(quote(s, safe="" if escaped else ":@!$&'()*+,=") for s in segments)
    target = path + ("?" + "&".join(f"{k}={v}" for k, v in query) if query else "")
    pair = KeyPair(PAIR.id, PAIR.key, session)
    made = sign(target, body, tuple(headers), pair)
    assert header(made, b"authorization").decode() == oracle(target, body, tuple(headers), pair)
    assert header(made, b"x-amz-security-token").decode() == session


def test_an_older_signature_is_taken_off() -> None:
    """The client's own signature and its date never go along with ours."""
    old = ((b"authorization", b"AWS4-HMAC-SHA256 old"), (b"x-amz-date", b"old"), (b"x-amz-content-sha256", b"old"))
    made = sign(headers=(*old, (b"x-amz-security-token", b"old"), (b"accept", b"*/*")))
    assert b"old" not in b"".join(value for _, value in made)
    assert (b"accept", b"*/*") in made
    assert [name for name, _ in made].count(b"authorization") == 1


@pytest.mark.parametrize(
    "secret", ["ABSK" + "b" * 60, "bedrock-api-key-" + "x" * 20, "AKIDEXAMPLE", "AKIDEXAMPLE:short", "a:b:c:d", ""]
)
def test_what_is_no_key_pair_is_a_bearer_key(secret) -> None:
    """Bedrock's API keys have no colon."""
    assert read_key_pair(secret) is None


def test_a_key_pair_may_have_a_session_token() -> None:
    """Temporary credentials come in three parts."""
    assert read_key_pair("AKIDEXAMPLE:" + "k/+=" * 10) == KeyPair("AKIDEXAMPLE", "k/+=" * 10)
    assert read_key_pair("ASIAEXAMPLE:" + "k" * 40 + ":tok") == KeyPair("ASIAEXAMPLE", "k" * 40, "tok")


def test_the_secret_key_is_in_nothing_that_is_shown() -> None:
    """Neither in the headers nor in the pair's own words."""
    assert PAIR.key not in repr(PAIR)
    assert PAIR.key.encode() not in b"".join(name + value for name, value in sign())
