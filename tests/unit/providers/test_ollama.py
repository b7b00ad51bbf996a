"""Ollama's dialect: what is read, edited and answered."""

import json
from typing import Any

import pytest

from llmcp.core.messages import Channel, Observation, Operation, RequestEdits, RequestFacts, Text
from llmcp.errors import MalformedRequestError
from llmcp.ports import Endpoint, Frame, Framing, Refusal, RefusalKind
from llmcp.providers.ollama import DIALECT


def _endpoint(kind: str = "chat", stream: bool | None = None) -> Endpoint:
    return Endpoint("ollama", DIALECT, Operation.CHAT, "/api/chat", kind, stream=stream)


def _read(body: Any, kind: str = "chat") -> RequestFacts:
    return DIALECT.read_request(_endpoint(kind), json.dumps(body).encode())


@pytest.mark.parametrize(
    ("value", "expected"), [({}, True), ({"stream": None}, True), ({"stream": True}, True), ({"stream": False}, False)]
)
def test_ollama_streams_unless_told_not_to(value: Any, expected: bool) -> None:
    """An absent `stream` means true."""
    assert _read(value).stream is expected


def test_limits_stand_in_options_and_a_negative_one_is_none() -> None:
    """`num_predict: -1` is the server's word for no limit."""
    facts = _read({"options": {"num_predict": 5, "temperature": 0.5}})
    assert (facts.max_tokens, facts.temperature) == (5, 0.5)
    assert _read({"options": {"num_predict": -1}}).max_tokens is None


def test_every_text_is_read_with_its_role_and_channel() -> None:
    """Chat with tools; member names of messages in any case, as the server takes them."""
    facts = _read(
        {
            "model": "m",
            "messages": [
                {"Role": "user", "CONTENT": "hi", "images": ["AAAA"]},
                {
                    "role": "assistant",
                    "content": "",
                    "thinking": "t",
                    "tool_calls": [{"function": {"name": "f", "arguments": {"a": "b"}}}],
                },
                {"role": "tool", "content": "r"},
            ],
            "tools": [{"type": "function", "function": {"name": "f"}}],
        }
    )
    assert facts.texts == (
        Text("user", Channel.TEXT, "hi"),
        Text("assistant", Channel.REASONING, "t"),
        Text("assistant", Channel.TOOL_ARGUMENTS, '{"a":"b"}'),
        Text("tool", Channel.TOOL_RESULT, "r"),
    )
    assert (facts.tools, facts.turns, facts.skipped) == (("f",), 3, (("images", "binary"),))


def test_prompts_of_the_other_operations_are_read() -> None:
    """Generate and embed."""
    facts = _read({"prompt": "p", "system": "s", "suffix": "x"}, "generate")
    assert [t.text for t in facts.texts] == ["s", "p", "x"]
    assert [t.text for t in _read({"input": ["a", "b"]}, "embed").texts] == ["a", "b"]


@pytest.mark.parametrize("body", [b'{"model":"a","Model":"b"}', b'{"MODEL":"b"}', b'{"stream":false,"Stream":true}'])
def test_a_governed_member_in_another_case_is_refused(body: bytes) -> None:
    """The server would read it; a rule would not."""
    with pytest.raises(MalformedRequestError):
        DIALECT.read_request(_endpoint(), body)


def test_a_stream_is_read() -> None:
    """Text, thinking, tool calls; counts stand in the last line."""
    seen = Observation(keep_text=True)
    for value in (
        {"model": "m", "message": {"content": "a", "thinking": "t"}, "done": False},
        {
            "model": "m",
            "message": {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            "done": False,
        },
        {"model": "m", "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 4},
    ):
        DIALECT.read_event(_endpoint(), Frame(b"", "", json.dumps(value).encode()), seen)
    assert (seen.model, seen.texts[0], seen.reasoning_bytes, seen.finish_reasons, seen.terminal) == (
        "m",
        "a",
        1,
        {0: "stop"},
        True,
    )
    assert [(t.name, t.args_bytes) for t in seen.tools] == [("f", 7)]
    assert (seen.usage.input_tokens, seen.usage.output_tokens) == (3, 4)


def test_errors_are_read_from_bodies_and_streams() -> None:
    """A string under `error`."""
    seen = Observation()
    DIALECT.read_event(_endpoint(), Frame(b"", "", b'{"error":"gone"}'), seen)
    assert seen.error is not None
    assert seen.error.message == "gone"


def test_a_limit_is_set_in_options() -> None:
    """Added where there are none, changed where it stands."""
    edits = RequestEdits((("max_tokens", 5),))
    assert DIALECT.edit_request(_endpoint(), b'{"model":"m"}', edits)[1] == b'{"model":"m","options":{"num_predict":5}}'
    assert (
        DIALECT.edit_request(_endpoint(), b'{"options": {"num_predict" : 9, "a":1}}', edits)[1]
        == b'{"options": {"num_predict" : 5, "a":1}}'
    )


def test_refusals_have_ollamas_form() -> None:
    """A string under `error`; in a stream, as a line."""
    refusal = Refusal(RefusalKind.POLICY, "no", "d-1")
    assert (DIALECT.refuse(refusal).status, DIALECT.refuse(refusal).body) == (403, b'{"error":"no"}')
    assert DIALECT.refuse_in_stream(_endpoint(), refusal, Framing.NDJSON) == b'{"error":"no"}\n'
