"""Anthropic's dialect: what is read, edited and answered."""

import json
import re
from typing import Any

import pytest

from llmcp.core.http import header
from llmcp.core.messages import Channel, Observation, Operation, RequestEdits, RequestFacts, Text
from llmcp.errors import MalformedRequestError, NotEditableError
from llmcp.ports import Endpoint, Frame, Framing, Refusal, RefusalKind
from llmcp.providers.anthropic import DIALECT, ROUTES


def _endpoint(kind: str = "messages", model: str = "", target: str = "/v1/messages") -> Endpoint:
    return Endpoint("anthropic", DIALECT, Operation.CHAT, target, kind, model)


def _read(body: Any, endpoint: Endpoint | None = None) -> RequestFacts:
    return DIALECT.read_request(endpoint or _endpoint(), json.dumps(body).encode())


def _stream(*events: dict[str, Any]) -> Observation:
    seen = Observation(keep_text=True)
    for event in events:
        DIALECT.read_event(_endpoint(), Frame(b"", event["type"], json.dumps(event).encode()), seen)
    return seen


def _route(path: str, method: str = "POST") -> tuple[str, str, str]:
    for route in ROUTES:
        found = re.fullmatch(route.pattern, path)
        if found and (not route.methods or method in route.methods):
            return route.operation, route.kind, found.groupdict().get("model", "")
    return "", "", ""


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/v1/messages", "POST", ("chat", "messages", "")),
        ("/anthropic/v1/messages", "POST", ("chat", "messages", "")),
        ("/v1/messages/count_tokens", "POST", ("count_tokens", "count_tokens", "")),
        ("/v1/messages/batches", "POST", ("batches", "batch", "")),
        ("/v1/messages/batches/b/results", "GET", ("batches", "resource", "")),
        ("/v1/files/f/content", "GET", ("files", "resource", "")),
        ("/v1/models", "GET", ("models", "resource", "")),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawpredict", "POST", ("chat", "messages", "claude@1")),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamrawpredict",
            "POST",
            ("chat", "messages", "claude"),
        ),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawpredict",
            "POST",
            ("count_tokens", "count_tokens", ""),
        ),
    ],
)
def test_paths_name_their_operation(path: str, method: str, expected: tuple[str, str, str]) -> None:
    """Wherever the Messages format is served, the same operations are told apart."""
    assert _route(path, method) == expected


def test_every_text_is_read_with_its_role_and_channel() -> None:
    """System prompts of both shapes, tool inputs as JSON, tool results of every shape, thinking; no signature, no image."""
    facts = _read(
        {
            "model": "m",
            "system": [{"type": "text", "text": "sys"}],
            "messages": [
                {"role": "user", "content": "plain"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "SIG"},
                        {"type": "redacted_thinking", "data": "SECRET"},
                        {"type": "tool_use", "id": "1", "name": "f", "input": {"mail": "a\u0040b"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "1", "content": "short"},
                        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "long"}]},
                        {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
                        {"type": "document", "source": {"type": "text", "data": "doc"}, "title": "title"},
                        {"type": "kind_of_tomorrow", "deep": [{"words": "new"}]},
                    ],
                },
            ],
        }
    )
    assert facts.texts == (
        Text("system", Channel.TEXT, "sys"),
        Text("user", Channel.TEXT, "plain"),
        Text("assistant", Channel.REASONING, "hm"),
        Text("assistant", Channel.TOOL_ARGUMENTS, '{"mail":"a@b"}'),
        Text("user", Channel.TOOL_RESULT, "short"),
        Text("user", Channel.TOOL_RESULT, "long"),
        Text("user", Channel.TEXT, "doc"),
        Text("user", Channel.TEXT, "title"),
        Text("user", Channel.TEXT, "new"),
    )
    assert facts.turns == 3
    assert {what for what, _ in facts.skipped} == {"redacted_thinking", "image"}
    assert _read({"system": "s", "messages": []}).texts == (Text("system", Channel.TEXT, "s"),)


def test_governed_fields_are_read() -> None:
    """Model, stream, limit, temperature and the names of tools: the type where a tool has no name."""
    facts = _read(
        {
            "model": "m",
            "stream": True,
            "max_tokens": 7,
            "temperature": 0.5,
            "messages": [],
            "tools": [{"name": "shell", "input_schema": {"name": "not-this"}}, {"type": "mcp_toolset"}],
        }
    )
    assert (facts.model, facts.stream, facts.max_tokens, facts.temperature) == ("m", True, 7, 0.5)
    assert facts.tools == ("shell", "mcp_toolset")


def test_the_path_names_model_and_stream_on_vertex() -> None:
    """The body has neither."""
    endpoint = Endpoint("vertex", DIALECT, Operation.CHAT, "/x", "messages", "claude", stream=True)
    facts = _read({"anthropic_version": "v", "messages": []}, endpoint)
    assert (facts.model, facts.stream) == ("claude", True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"no",
        b'{"model":"a","model":"b"}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"model": "a", "MODEL": "b"}',
        b'{"model": 5}',
        b'{"max_tokens": "many"}',
        b'{"max_tokens": 1e999}',
        b'{"stream": "perhaps"}',
        b'{"messages": "\xff"}',
    ],
)
def test_a_body_that_two_readers_could_read_differently_is_refused(body: bytes) -> None:
    """Nothing a rule decides on may be ambiguous."""
    with pytest.raises(MalformedRequestError):
        DIALECT.read_request(_endpoint(), body)


def test_a_lone_surrogate_loses_nothing() -> None:
    """JSON that a strict decoder refuses is still inspected."""
    facts = DIALECT.read_request(_endpoint(), b'{"model":"m","messages":[{"role":"user","content":"a\\ud83d b"}]}')
    assert facts.texts == (Text("user", Channel.TEXT, "a? b"),)


def test_a_batch_is_read_whole_and_names_one_model() -> None:
    """All texts of all its requests count; two models cannot be governed as one."""
    request = {"custom_id": "a", "params": {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}}
    facts = _read({"requests": [request, request]}, _endpoint("batch"))
    assert (facts.model, facts.max_tokens, facts.turns, len(facts.texts)) == ("m", 5, 2, 2)
    with pytest.raises(MalformedRequestError):
        _read({"requests": [request, {"params": {"model": "n"}}]}, _endpoint("batch"))


def test_stream_usage_is_cumulative_and_null_says_nothing() -> None:
    """The last word on each field counts; cache reads and writes are part of the input."""
    seen = _stream(
        {
            "type": "message_start",
            "message": {
                "id": "i",
                "model": "m",
                "usage": {
                    "input_tokens": 10,
                    "output_tokens": 1,
                    "cache_read_input_tokens": 100,
                    "cache_creation_input_tokens": 20,
                    "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
                },
            },
        },
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"input_tokens": 12, "output_tokens": 30, "cache_read_input_tokens": None},
        },
        {"type": "message_stop"},
    )
    usage = seen.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (132, 30, 100)
    assert (usage.cache_write_tokens, usage.cache_write_1h_tokens) == (20, 5)
    assert (seen.model, seen.response_id, seen.finish_reasons, seen.terminal) == ("m", "i", {0: "end_turn"}, True)


def test_only_the_clients_tools_are_tool_calls() -> None:
    """What the provider runs itself is no call of the client; argument bytes are counted."""
    seen = _stream(
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "server_tool_use", "name": "web_search", "input": {}},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"q":1}'}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "shell", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"é"}'}},
    )
    assert [(t.name, t.args_bytes) for t in seen.tools] == [("shell", 10)]


def test_a_fallback_block_changes_the_model_in_mid_stream() -> None:
    """The record names the model that wrote the answer."""
    seen = _stream(
        {"type": "message_start", "message": {"model": "first"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "fallback", "to": {"model": "second"}}},
    )
    assert seen.model == "second"


def test_text_and_thinking_are_counted_apart() -> None:
    """Broken-off streams are charged by these."""
    seen = _stream(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "abc"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "é"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "S"}},
    )
    assert (seen.reasoning_bytes, seen.text_bytes, seen.texts) == (3, 2, ["é"])


def test_errors_are_read_from_bodies_streams_and_plain_text() -> None:
    """Whatever form an error has."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    streamed = _stream(error).error
    assert streamed is not None
    assert (streamed.type, streamed.message) == ("overloaded_error", "busy")
    seen = Observation()
    DIALECT.read_body(_endpoint(), 502, (), b"<html>bad gateway", seen)
    assert seen.error is not None
    assert seen.error.message == "<html>bad gateway"


def test_edits_change_their_fields_and_nothing_else() -> None:
    """Set fields stand where they stood, or at the end; every other byte is the client's."""
    body = b'{ "model" : "m",\n\t"max_tokens":9, "messages":[{"role":"user","content":"max_tokens\\u0041"}] }'
    edits = RequestEdits((("max_tokens", 5), ("temperature", 0.0), ("model", "n")))
    target, edited = DIALECT.edit_request(_endpoint(target="/v1/messages?beta=true"), body, edits)
    assert target == "/v1/messages?beta=true"
    assert edited == body.replace(b'"m"', b'"n"').replace(b"9", b"5").replace(b"] }", b'],"temperature":0.0 }')


def test_stripped_tools_take_a_choice_that_names_them_along() -> None:
    """What is left is a request that the provider accepts."""
    body = {"model": "m", "tools": [{"name": "a"}, {"name": "b"}], "tool_choice": {"type": "tool", "name": "b"}, "messages": []}
    _, edited = DIALECT.edit_request(_endpoint(), json.dumps(body).encode(), RequestEdits(strip_tools=frozenset({"b"})))
    assert json.loads(edited) == {"model": "m", "tools": [{"name": "a"}], "messages": []}
    _, edited = DIALECT.edit_request(_endpoint(), json.dumps(body).encode(), RequestEdits(strip_tools=frozenset({"a", "b"})))
    assert json.loads(edited) == {"model": "m", "messages": []}


def test_the_model_is_edited_in_the_path_where_the_path_names_it() -> None:
    """On Vertex the body stays as it is."""
    target = "/v1/projects/p/publishers/anthropic/models/claude%401:rawPredict?x=1"
    endpoint = _endpoint(model="claude@1", target=target)
    edited = DIALECT.edit_request(endpoint, b'{"a":1}', RequestEdits((("model", "claude@2"),)))
    assert edited == ("/v1/projects/p/publishers/anthropic/models/claude@2:rawPredict?x=1", b'{"a":1}')


def test_a_field_that_the_format_does_not_have_is_not_editable() -> None:
    """Nothing is dropped silently."""
    with pytest.raises(NotEditableError):
        DIALECT.edit_request(_endpoint(), b"{}", RequestEdits((("stream_options", {}),)))
    with pytest.raises(NotEditableError):
        DIALECT.edit_request(_endpoint("batch"), b"{}", RequestEdits((("max_tokens", 5),)))


@pytest.mark.parametrize(
    ("kind", "status", "error_type"),
    [
        (RefusalKind.POLICY, 403, "permission_error"),
        (RefusalKind.RATE, 429, "rate_limit_error"),
        (RefusalKind.BUDGET, 429, "billing_error"),
        (RefusalKind.UNAVAILABLE, 503, "api_error"),
        (RefusalKind.UNAUTHENTICATED, 401, "authentication_error"),
    ],
)
def test_refusals_have_the_providers_own_types(kind: RefusalKind, status: int, error_type: str) -> None:
    """So that SDKs raise their normal exceptions."""
    answer = DIALECT.refuse(Refusal(kind, "no", "d-1"))
    assert answer.status == status
    assert json.loads(answer.body) == {"type": "error", "error": {"type": error_type, "message": "no"}, "request_id": "d-1"}
    assert header(answer.headers, b"request-id") == b"d-1"
    assert (header(answer.headers, b"x-should-retry") == b"false") is (kind in {RefusalKind.POLICY, RefusalKind.BUDGET})


def test_a_refusal_in_a_stream_is_a_named_event() -> None:
    """The SDKs pass over a bare `data:` error."""
    event = DIALECT.refuse_in_stream(_endpoint(), Refusal(RefusalKind.POLICY, "no", "d-1"), Framing.SSE)
    assert event.startswith(b'event: error\ndata: {"type":"error"')
    assert event.endswith(b"}\n\n")
