"""Gemini's Interactions format."""

import json
from typing import Any

from llmcp.core.messages import Channel, Observation, Operation, RequestEdits, RequestFacts, Text
from llmcp.ports import Endpoint, Frame, Framing, Refusal, RefusalKind
from llmcp.providers.gemini import DIALECT

_ENDPOINT = Endpoint("gemini", DIALECT, Operation.CHAT, "/v1beta/interactions", "interaction")


def _read(body: Any) -> RequestFacts:
    return DIALECT.read_request(_ENDPOINT, json.dumps(body).encode())


def test_every_text_is_read_with_its_role_and_channel() -> None:
    """Inputs of every shape; no signature, no picture."""
    facts = _read(
        {
            "model": "models/gemini-x",
            "stream": True,
            "system_instruction": "sys",
            "input": [
                "plain",
                {"type": "text", "text": "lone"},
                {"type": "user_input", "content": [{"type": "text", "text": "hi"}, {"type": "image", "data": "AAAA"}]},
                {"type": "thought", "summary": [{"type": "text", "text": "hm"}], "signature": "SIG"},
                {"type": "function_call", "name": "f", "arguments": {"a": "b"}},
                {"type": "function_result", "call_id": "c", "result": {"out": "r"}},
            ],
            "tools": [{"type": "function", "name": "f"}, {"type": "google_search"}],
            "generation_config": {"max_output_tokens": 5, "temperature": 0.5},
            "previous_interaction_id": "p",
        }
    )
    assert facts.texts == (
        Text("system", Channel.TEXT, "sys"),
        Text("user", Channel.TEXT, "plain"),
        Text("user", Channel.TEXT, "lone"),
        Text("user", Channel.TEXT, "hi"),
        Text("model", Channel.REASONING, "hm"),
        Text("model", Channel.TOOL_ARGUMENTS, '{"a":"b"}'),
        Text("user", Channel.TOOL_RESULT, "r"),
    )
    assert (facts.model, facts.stream, facts.max_tokens, facts.temperature, facts.turns) == ("gemini-x", True, 5, 0.5, 6)
    assert facts.tools == ("f", "google_search")
    assert {what for what, _ in facts.skipped} == {"image", "history"}
    assert _read({"agent": "deep-research", "input": "x"}).model == "deep-research"


def test_a_stream_is_read() -> None:
    """Steps, deltas and the usage of the last event."""
    seen = Observation(keep_text=True)
    for event in (
        {"event_type": "interaction.created", "interaction": {"id": "i", "model": "m", "status": "in_progress"}},
        {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "thought_summary", "content": {"type": "text", "text": "hm"}}},
        {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "a"}},
        {"event_type": "step.start", "index": 2, "step": {"type": "function_call", "name": "f", "arguments": {}}},
        {"event_type": "step.delta", "index": 2, "delta": {"type": "arguments_delta", "arguments": "{}"}},
        {
            "event_type": "interaction.completed",
            "interaction": {
                "id": "i",
                "status": "completed",
                "usage": {"total_input_tokens": 10, "total_output_tokens": 2, "total_thought_tokens": 3, "total_tokens": 15},
            },
        },
    ):
        DIALECT.read_event(_ENDPOINT, Frame(b"", "", json.dumps(event).encode()), seen)
    assert (seen.model, seen.response_id, seen.texts, seen.reasoning_bytes) == ("m", "i", ["a"], 2)
    assert [(t.name, t.args_bytes) for t in seen.tools] == [("f", 2)]
    assert (seen.finish_reasons, seen.terminal) == ({0: "completed"}, True)
    assert (seen.usage.input_tokens, seen.usage.output_tokens, seen.usage.reasoning_tokens) == (10, 5, 3)


def test_thoughts_that_the_total_counts_already_are_not_added() -> None:
    """The total decides."""
    seen = Observation()
    usage = {"total_input_tokens": 10, "total_output_tokens": 5, "total_thought_tokens": 3, "total_tokens": 15}
    DIALECT.read_body(_ENDPOINT, 200, (), json.dumps({"usage": usage}).encode(), seen)
    assert seen.usage.output_tokens == 5


def test_edits_and_refusals_have_its_own_form() -> None:
    """Limits stand in `generation_config`, errors in an event of their own."""
    edited = DIALECT.edit_request(_ENDPOINT, b'{"model":"m"}', RequestEdits((("max_tokens", 5), ("model", "n"))))[1]
    assert edited == b'{"model":"n","generation_config":{"max_output_tokens":5}}'
    event = DIALECT.refuse_in_stream(_ENDPOINT, Refusal(RefusalKind.POLICY, "no", "d-1"), Framing.SSE)
    assert event == b'event: error\ndata: {"event_type":"error","error":{"code":"llmcp_policy_denied","message":"no"}}\n\n'
