"""What an exchange keeps of its bodies, and when."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.planes import ALLOW, Program, ResponseProgram, deny, exchange, plane
from llmcp.core.decide import Decision, RecordLevel, Verdict
from llmcp.core.http import ReadBody, RequestHead
from llmcp.core.settings import RecordSettings, Settings
from llmcp.engine.exchange import Exchange
from llmcp.engine.settlement import kept_bodies

CHAT = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}'
ANSWER = (b'{"id":"x",', b'"choices":[]}')
JSON = (b"content-type", b"application/json")
FULL = Decision(Verdict.ALLOW, record=RecordLevel.FULL)


def run(decision: Decision, *, limit: int = 4096, answer: bool = True) -> Exchange:
    """Take one request through an exchange that rules decide as said."""
    on = plane(Program(lambda _view: decision), settings=Settings(record=RecordSettings(body_bytes=limit)))
    one = exchange(on)
    key = b"Bearer sk-" + b"x" * 20
    head = RequestHead("POST", "/openai/v1/chat/completions", ((b"authorization", key), JSON), "127.0.0.1")
    assert isinstance(one.receive_head(head), ReadBody)
    one.receive_body(CHAT)
    if answer:
        one.receive_response_head(200, (JSON,))
        for piece in ANSWER:
            one.receive_response_data(piece)
        one.receive_response_end()
    return one


def test_a_rule_that_wants_bodies_gets_both_as_they_were() -> None:
    """The client's bytes and the provider's, with their types."""
    kept = kept_bodies(run(FULL).progress)
    assert kept is not None
    assert kept.request is not None
    assert kept.response is not None
    assert (kept.request.data, kept.request.content_type, kept.request.truncated) == (CHAT, "application/json", False)
    assert (kept.response.data, kept.response.truncated) == (b"".join(ANSWER), False)


def test_without_such_a_rule_nothing_is_kept() -> None:
    """Not even while the exchange runs."""
    done = run(ALLOW)
    assert done.progress.kept is None
    assert kept_bodies(done.progress) is None


def test_a_refused_request_is_kept_too() -> None:
    """Evidence of what was refused is what such a rule is for."""
    refused = Decision(Verdict.DENY, rules=deny().rules, message="no", record=RecordLevel.FULL)
    kept = kept_bodies(run(refused, answer=False).progress)
    assert kept is not None
    assert kept.request is not None
    assert kept.request.data == CHAT
    assert kept.response is None


@pytest.mark.parametrize(("level", "wanted"), [(RecordLevel.FULL, True), (RecordLevel.NONE, False)])
def test_a_response_rule_decides_at_the_end(level: RecordLevel, wanted: Any) -> None:
    """Bodies are collected while it is open, and let go of when it says no."""
    rules = ResponseProgram(whole=lambda _view: Decision(Verdict.ALLOW, record=level), gates_tools=False, keeps_bodies=True)
    done = run(Decision(Verdict.ALLOW, response=rules))
    assert done.progress.kept is not None
    assert (kept_bodies(done.progress) is not None) is wanted


def test_what_is_kept_is_bounded_and_says_so() -> None:
    """The bound holds for each body; what the client gets is not shortened."""
    kept = kept_bodies(run(FULL, limit=1024).progress)
    assert kept is not None
    small = type(kept)(12)
    small.take_request(CHAT, content_type=b"", content_encoding=b"")
    small.begin_response(content_type=b"", content_encoding=b"")
    for piece in ANSWER:
        small.take_response(piece)
    small.finish()
    assert small.request is not None
    assert small.response is not None
    assert (small.request.data, small.request.truncated) == (CHAT[:12], True)
    assert (small.response.data, small.response.truncated) == (b"".join(ANSWER)[:12], True)
    assert small.size() == 24
