"""Cohere's dialect: what is read, edited and answered."""

import json
from typing import Any

import pytest

from llmcp.core.messages import Channel, Observation, Operation, RequestEdits, RequestFacts, Text
from llmcp.errors import MalformedRequestError, NotEditableError
from llmcp.ports import Endpoint, Frame, Framing, Refusal, RefusalKind
from llmcp.providers.cohere import DIALECT


def _endpoint(kind: str = "chat", target: str = "/v2/chat") -> Endpoint:
    return Endpoint("cohere", DIALECT, Operation.CHAT, target, kind)


def _read(body: Any, kind: str = "chat") -> RequestFacts:
    return DIALECT.read_request(_endpoint(kind), json.dumps(body).encode())


def _stream(*events: Any) -> Observation:
    seen = Observation(keep_text=True)
    for event in events:
        data = event if isinstance(event, bytes) else json.dumps(event).encode()
        DIALECT.read_event(_endpoint(), Frame(b"", "", data), seen)
    return seen


def test_every_text_of_a_v2_chat_is_read() -> None:
    """Roles and channels; documents of both shapes; no picture."""
    facts = _read(
        {
            "model": "m",
            "stream": True,
            "max_tokens": 5,
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "u"}}]},
                {"role": "assistant", "tool_plan": "plan", "tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}]},
                {"role": "tool", "tool_call_id": "1", "content": [{"type": "document", "document": {"data": "result"}}]},
            ],
            "documents": [{"id": "1", "data": {"title": "t"}}, "plain"],
            "tools": [{"type": "function", "function": {"name": "f"}}],
        }
    )
    assert facts.texts == (
        Text("user", Channel.TEXT, "hi"),
        Text("assistant", Channel.REASONING, "plan"),
        Text("assistant", Channel.TOOL_ARGUMENTS, '{"a":1}'),
        Text("tool", Channel.TOOL_RESULT, "result"),
        Text("document", Channel.TEXT, "t"),
        Text("document", Channel.TEXT, "plain"),
    )
    assert (facts.model, facts.stream, facts.max_tokens, facts.tools, facts.turns) == ("m", True, 5, ("f",), 3)


def test_every_text_of_v1_and_of_the_other_operations_is_read() -> None:
    """Chat with a history, embed, rerank."""
    facts = _read({"preamble": "p", "message": "m", "chat_history": [{"role": "CHATBOT", "message": "h"}]})
    assert [(t.role, t.text) for t in facts.texts] == [("system", "p"), ("CHATBOT", "h"), ("user", "m")]
    assert [t.text for t in _read({"texts": ["a", "b"]}, "embed").texts] == ["a", "b"]
    assert [t.text for t in _read({"query": "q", "documents": ["d", {"text": "e"}]}, "rerank").texts] == ["q", "d", "e"]


def test_an_ambiguous_request_is_refused() -> None:
    """A governed key that stands twice."""
    with pytest.raises(MalformedRequestError):
        DIALECT.read_request(_endpoint(), b'{"model":"a","model":"b"}')


def test_a_v2_stream_is_read() -> None:
    """Text, thinking, a tool call in pieces, usage; `[DONE]` says nothing."""
    seen = _stream(
        {"type": "message-start", "id": "i"},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "p"}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "a"}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"thinking": "bc"}}}},
        {
            "type": "tool-call-start",
            "index": 0,
            "delta": {"message": {"tool_calls": {"function": {"name": "f", "arguments": ""}}}},
        },
        {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}}},
        {
            "type": "message-end",
            "delta": {
                "finish_reason": "TOOL_CALL",
                "usage": {
                    "billed_units": {"input_tokens": 3, "output_tokens": 4},
                    "tokens": {"input_tokens": 30.0, "output_tokens": 40.0},
                    "cached_tokens": 2,
                },
            },
        },
        b"[DONE]",
    )
    assert (seen.response_id, seen.texts, seen.reasoning_bytes, seen.terminal) == ("i", ["a"], 3, True)
    assert [(t.name, t.args_bytes) for t in seen.tools] == [("f", 2)]
    assert (seen.finish_reasons, seen.unreadable, seen.events) == ({0: "TOOL_CALL"}, 0, 8)
    assert (seen.usage.input_tokens, seen.usage.output_tokens, seen.usage.cached_tokens) == (30, 40, 2)


def test_a_v1_stream_is_read() -> None:
    """Its events are told apart by `event_type`."""
    seen = _stream(
        {"event_type": "stream-start", "generation_id": "g"},
        {"event_type": "text-generation", "text": "a"},
        {"event_type": "tool-calls-generation", "tool_calls": [{"name": "f", "parameters": {"a": 1}}]},
        {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": {"meta": {"tokens": {"input_tokens": 1}}}},
    )
    assert (seen.response_id, seen.texts, [t.name for t in seen.tools]) == ("g", ["a"], ["f"])
    assert (seen.finish_reasons, seen.usage.input_tokens, seen.terminal) == ({0: "COMPLETE"}, 1, True)


def test_billed_units_count_where_nothing_else_is_said() -> None:
    """Embeddings and the old generations."""
    seen = Observation()
    body = b'{"id":"i","embeddings":[[0.1,0.2]],"meta":{"billed_units":{"input_tokens":7}}}'
    DIALECT.read_body(_endpoint("embed"), 200, (), body, seen)
    assert (seen.usage.input_tokens, seen.response_id) == (7, "i")


def test_edits_use_cohere_names() -> None:
    """`top_p` is `p`; nothing else of the body changes."""
    body = b'{"model": "m", "p": 0.1, "messages": []}'
    edited = DIALECT.edit_request(_endpoint(), body, RequestEdits((("top_p", 0.5), ("max_tokens", 5))))[1]
    assert edited == b'{"model": "m", "p": 0.5, "messages": [],"max_tokens":5}'
    with pytest.raises(NotEditableError):
        DIALECT.edit_request(_endpoint("embed"), body, RequestEdits((("max_tokens", 5),)))


def test_refusals_have_coheres_form() -> None:
    """`message` at the top."""
    answer = DIALECT.refuse(Refusal(RefusalKind.POLICY, "no", "d-1"))
    assert (answer.status, json.loads(answer.body)["message"]) == (403, "no")


@pytest.mark.parametrize(
    ("target", "framing", "kind"),
    [("/v2/chat", Framing.SSE, b"event: message-end\n"), ("/v1/chat", Framing.NDJSON, b'{"event_type":"stream-end"')],
)
def test_a_refusal_in_a_stream_is_its_last_event(target: str, framing: Framing, kind: bytes) -> None:
    """With the reason `ERROR`, in the version that was called."""
    event = DIALECT.refuse_in_stream(_endpoint(target=target), Refusal(RefusalKind.POLICY, "no", "d-1"), framing)
    assert event.startswith(kind)
    assert b'"finish_reason":"ERROR"' in event
