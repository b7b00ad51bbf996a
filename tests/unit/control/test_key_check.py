"""What an answer says about a key: the words, and whether it can be used."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.control.key_check import BODY_BYTES, Answer, State, doubted, judge

_OK = Answer(200, b'{"data":[]}')


@pytest.mark.parametrize(
    ("answer", "state", "usable"),
    [
        (_OK, State.VALID, True),
        (Answer(200, b"[]"), State.VALID, True),
        (Answer(200, b'{"data":[' + b" " * BODY_BYTES), State.VALID, True),
        (Answer(200, b"<html>log in to the hotel"), State.ODD, False),
        (Answer(200, b""), State.ODD, False),
        (Answer(401, b"{}"), State.REFUSED, False),
        (Answer(400, b'{"error":{"details":[{"reason":"API_KEY_INVALID"}]}}'), State.REFUSED, False),
        (Answer(403, b"{}", "UnrecognizedClientException"), State.REFUSED, False),
        (Answer(403, b"{}", "AccessDeniedException:http://x"), State.LIMITED, True),
        (Answer(403, b'{"error":{"message":"Missing scopes: api.model.read"}}'), State.LIMITED, True),
        (Answer(403, b'{"error":{"code":"unsupported_country_region_territory"}}'), State.REFUSED, False),
        (Answer(402, b"{}"), State.NO_QUOTA, False),
        (Answer(429, b'{"error":{"code":"insufficient_quota"}}'), State.NO_QUOTA, False),
        (Answer(400, b'{"error":{"message":"Your credit balance is too low"}}'), State.NO_QUOTA, False),
        (Answer(429, b'{"error":{"code":"rate_limit_exceeded"}}'), State.RATE_LIMITED, False),
        (Answer(301, b""), State.ODD, False),
        (Answer(404, b"{}"), State.ODD, False),
        (Answer(503, b""), State.UNREACHABLE, False),
        (Answer(418, b""), State.ODD, False),
    ],
)
def test_each_answer_has_its_words(answer: Answer, state: State, usable: bool) -> None:
    """The status stands in them."""
    verdict = judge(answer)
    assert (verdict.state, verdict.usable) == (state, usable)
    assert f"HTTP {answer.status}" in verdict.said


@settings(max_examples=200)
@given(st.integers(100, 599), st.binary(max_size=80), st.text(max_size=30))
def test_no_word_of_the_provider_is_repeated(status: int, body: bytes, error_type: str) -> None:
    """An error may quote the key."""
    marker = b"zq7marker"
    verdict = judge(Answer(status, body + marker, error_type + "zq7marker"))
    assert "zq7marker" not in verdict.said


def test_an_answer_that_comes_without_a_key_too_proves_nothing() -> None:
    """Some providers list their models to anybody."""
    assert doubted(judge(_OK), _OK).state is State.UNPROVEN
    assert doubted(judge(_OK), Answer(401)).state is State.VALID
    assert doubted(judge(_OK), None).state is State.VALID
    assert doubted(judge(Answer(401)), _OK).state is State.REFUSED
