"""Request targets: what is refused, what is compared, what is forwarded."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.providers.paths import BadTargetError, join, parse_target, raw_span


@pytest.mark.parametrize(
    "target",
    [
        "/openai/../admin",
        "/openai/v1/..",
        "/openai/./v1",
        "/openai/%2e%2e/v1",
        "/openai/%2E./v1",
        "/openai/.%2e/v1",
        "/openai/%252e%252e/v1",
        "/openai/%25252e%25252e/v1",
        "/openai/v1%2f..%2fx",
        "/openai/%2e%2e%2fx",
        "/openai/..;/v1",
        "/openai/..%3b/v1",
        "/openai//v1",
        "//openai/v1",
        "/openai/%2f/v1",
        "/openai/v1//",
        "/openai\\v1",
        "/openai/%5cv1",
        "/openai/%5C..%5Cv1",
        "/openai/v1;a=b",
        "/openai/v1%00",
        "/openai/v1%0d%0ahost:%20x",
        "/openai/v1\x00",
        "/openai/v1 x",
        "/openai/%",
        "/openai/%2",
        "/openai/%zz",
        "/openai/%c0%ae%c0%ae/v1",
        "/openai/%ff",
        "/openai/é",
        "/openai/v1#x",
        "/openai/v1?a=b#c",
        "/openai/v1?a b",
        "http://evil/openai/v1",
        "openai/v1",
        "*",
        "",
        "/%" + "25" * 6 + "2e",
    ],
)
def test_targets_that_two_readers_could_resolve_differently_are_refused(target: str) -> None:
    """Rule 1."""
    with pytest.raises(BadTargetError):
        parse_target(target)


@pytest.mark.parametrize(
    ("target", "normal"),
    [
        ("/", ""),
        ("/OpenAI/v1/Chat/Completions/", "/openai/v1/chat/completions"),
        ("/%6fpenai/v1", "/openai/v1"),
        ("/model/arn%3Aaws%3Ax%2Fy/converse", "/model/arn:aws:x%2fy/converse"),
        ("/v1/files/a..b/c...d", "/v1/files/a..b/c...d"),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", "/v1beta/models/m:streamgeneratecontent"),
        ("/x/projects/<P>/y", "/x/projects/<p>/y"),
    ],
)
def test_paths_are_compared_decoded_and_in_lower_case(target: str, normal: str) -> None:
    """Rule 2; the client's spelling is kept beside."""
    parsed = parse_target(target)
    assert parsed.normal == normal
    assert parsed.path + parsed.query == target


@given(before=st.text(max_size=5), middle=st.text(min_size=1, max_size=6), after=st.text(max_size=5))
def test_a_span_of_the_normal_path_leads_to_the_clients_own_spelling(before: str, middle: str, after: str) -> None:
    """Also where characters take several bytes, or are an encoded slash."""
    path = f"/a{quote(before, safe='')}/{quote(middle, safe='')}/{quote(after, safe='')}z"
    try:
        normal = parse_target(path).normal
    except BadTargetError:
        return
    start = normal.index("/", 1) + 1
    end = normal.index("/", start)
    assert raw_span(path, start, end) == middle


@pytest.mark.parametrize(
    ("base", "api", "rest", "joined"),
    [
        ("", "/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1", "/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1", "/v1", "/chat/completions", "/v1/chat/completions"),
        ("/v1", "/v1", "/v1beta/x", "/v1/v1beta/x"),
        ("/proxy", "/v1", "/v1/chat/completions", "/proxy/v1/chat/completions"),
        ("/proxy/v1", "/v1", "/v1/chat/completions", "/proxy/v1/chat/completions"),
        ("", "/openai/v1", "/openai/v1/models", "/openai/v1/models"),
        ("", "/openai/v1", "/v1/models", "/openai/v1/models"),
        ("/openai/v1", "/openai/v1", "/v1/models", "/openai/v1/models"),
        ("/openai/v1", "/openai/v1", "/openai/v1/models", "/openai/v1/models"),
        ("/x/openai/v1", "/openai/v1", "/v1/models", "/x/openai/v1/models"),
        ("", "/api/paas/v4", "/v1/chat/completions", "/api/paas/v4/chat/completions"),
        ("", "/api/paas/v4", "/api/coding/paas/v4/chat/completions", "/api/coding/paas/v4/chat/completions"),
        ("", "", "/v1/embeddings", "/v1/embeddings"),
        ("/v1beta", "/v1beta", "/v1beta/models/m:generateContent", "/v1beta/models/m:generateContent"),
        ("", "/v1", "", ""),
    ],
)
def test_a_path_is_put_below_the_base_url_and_never_doubled(base: str, api: str, rest: str, joined: str) -> None:
    """Convenience of `/v1`, and base URLs that end in the API's own path."""
    assert join(base, api, rest, verbatim=False) == joined


def test_a_verbatim_provider_keeps_its_own_v1() -> None:
    """Cohere has a `/v1` beside the OpenAI-compatible one."""
    assert join("", "/compatibility/v1", "/v1/chat", verbatim=True) == "/v1/chat"
