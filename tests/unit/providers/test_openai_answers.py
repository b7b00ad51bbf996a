"""Answers in the OpenAI dialects: whole bodies and streams, in the forms that hosts really send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcp.core.messages import Observation, Operation, ProviderError
from llmcp.engine.framing import SseFramer
from llmcp.ports import Endpoint, Frame
from llmcp.providers import openai_chat, openai_completions, openai_embeddings, openai_misc, openai_responses

MODULES = [openai_chat, openai_completions, openai_embeddings, openai_misc, openai_responses]


def stream(module: Any, *events: Any, kind: str = "") -> Observation:
    """Feed events (values, or bytes of a whole SSE event) byte by byte."""
    endpoint = Endpoint("p", module.DIALECT, Operation.CHAT, "/", kind=kind)
    wire = b"".join(e if isinstance(e, bytes) else b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)
    framer, seen = SseFramer(), Observation(keep_text=True)
    frames = [f for i in range(len(wire)) for f in framer.feed(wire[i : i + 1])] + framer.close()
    for frame in frames:
        module.DIALECT.read_event(endpoint, frame, seen)
    return seen


def whole(module: Any, body: Any, status: int = 200, kind: str = "") -> Observation:
    """Read a whole body (a value, or bytes as they are)."""
    seen = Observation(keep_text=True)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    module.DIALECT.read_body(Endpoint("p", module.DIALECT, Operation.CHAT, "/", kind=kind), status, (), raw, seen)
    return seen


def delta(content: Any = None, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """Return a chat chunk."""
    return {
        "id": "c1",
        "model": "m-1",
        "choices": [{"index": index, "delta": {"content": content, **more}, "finish_reason": finish}],
    }


def test_a_chat_stream_is_read() -> None:
    """Model, id, text, finish reason, usage, end."""
    seen = stream(
        openai_chat,
        b": ping\n\n",
        delta("Hé"),
        delta("llo"),
        delta(None, "stop"),
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}},
        b"data: [DONE]\n\n",
    )
    assert (seen.model, seen.response_id, seen.texts, seen.text_bytes) == ("m-1", "c1", ["Hé", "llo"], 6)
    assert seen.finish_reasons == {0: "stop"}
    assert (seen.usage.input_tokens, seen.usage.output_tokens, seen.usage.cached_tokens) == (9, 4, 8)
    assert seen.terminal


def test_the_chunk_that_only_has_usage_is_told_apart() -> None:
    """So that it can be dropped when llmcp asked for it."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    assert stream(openai_chat, {"choices": [], "usage": usage}).scratch["usage_only"] is True
    assert stream(openai_chat, delta("x") | {"usage": usage}).scratch["usage_only"] is False
    assert stream(openai_chat, {"choices": []}).scratch["usage_only"] is False


def test_usage_under_x_groq_and_in_several_chunks() -> None:
    """The last word on each field counts."""
    seen = stream(
        openai_chat,
        delta("a") | {"usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        delta("b", "stop") | {"x_groq": {"usage": {"prompt_tokens": 5, "completion_tokens": 7}}},
    )
    assert (seen.usage.input_tokens, seen.usage.output_tokens) == (5, 7)


def test_a_stream_without_done_has_ended_once_every_choice_has_its_reason() -> None:
    """Some hosts never say [DONE]."""
    assert not stream(openai_chat, delta("a"), delta("b", index=1), delta(None, "stop")).terminal
    assert stream(openai_chat, delta("a"), delta("b", index=1), delta(None, "stop"), delta(None, "length", index=1)).terminal


def test_a_delta_beside_a_message_is_what_counts() -> None:
    """Perplexity repeats the whole message in each chunk."""
    chunk = {"choices": [{"index": 0, "message": {"content": "abc"}, "delta": {"content": "c"}}]}
    assert stream(openai_chat, chunk).texts == ["c"]


def test_tool_calls_are_put_together_by_index() -> None:
    """Names once, arguments in pieces."""
    seen = stream(
        openai_chat,
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "add", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"x"'}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "mul", "arguments": "{}"}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
    )
    assert [(t.name, t.args_bytes) for t in seen.tools] == [("add", 7), ("mul", 2)]


def test_tool_calls_without_index_are_put_together_by_id() -> None:
    """As some hosts send them."""
    seen = stream(
        openai_chat,
        delta(tool_calls=[{"id": "a", "function": {"name": "f"}}]),
        delta(tool_calls=[{"id": "b", "function": {"name": "g"}}]),
    )
    assert [t.name for t in seen.tools] == ["f", "g"]


def test_no_call_hides_behind_the_index_of_another() -> None:
    """A second id with a name is a second call, whatever the index says."""
    seen = stream(
        openai_chat,
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "ok", "arguments": "{}"}}]),
        delta(tool_calls=[{"index": 0, "id": "b", "function": {"name": "shell", "arguments": "{}"}}]),
    )
    assert [t.name for t in seen.tools] == ["ok", "shell"]
    bare = [
        delta(tool_calls=[{"index": 0, "id": i, "function": {"name": n}}])
        for i, n in (("a", "ok"), ("b", "shell"), ("c", "shell"))
    ]
    assert [t.name for t in stream(openai_chat, *bare).tools] == ["ok", "shell", "shell"]


def test_a_name_in_pieces_is_joined_and_a_repeated_one_is_not_doubled() -> None:
    """SDKs join what comes in pieces; some hosts repeat the name with each chunk."""
    pieces = stream(openai_chat, *(delta(tool_calls=[{"index": 0, "function": {"name": n}}]) for n in ("get_", "weather")))
    repeated = stream(
        openai_chat, *(delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": "x"}}]) for _ in "ab")
    )
    assert [t.name for t in pieces.tools] == ["get_weather"]
    assert [(t.name, t.args_bytes) for t in repeated.tools] == [("f", 2)]


def test_legacy_function_calls_are_tool_calls() -> None:
    """`function_call`, whole and streamed."""
    call = {"name": "f", "arguments": "{}"}
    assert [t.name for t in stream(openai_chat, delta(function_call=call)).tools] == ["f"]
    assert [t.name for t in whole(openai_chat, {"choices": [{"message": {"function_call": call}}]}).tools] == ["f"]


def test_a_whole_chat_answer_is_read() -> None:
    """All choices, reasoning once though it is spelt twice, parts, refusal."""
    seen = whole(
        openai_chat,
        {
            "id": "c",
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "message": {"content": "hi", "reasoning": "why", "reasoning_content": "why"},
                    "finish_reason": "stop",
                },
                {
                    "index": 1,
                    "message": {"content": [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"text": "yo"}]},
                    "finish_reason": "length",
                },
                {"index": 2, "message": {"content": None, "refusal": "no"}, "finish_reason": ""},
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        },
    )
    assert (seen.texts, seen.reasoning_bytes) == (["hi", "yo", "no"], 5)
    assert seen.finish_reasons == {0: "stop", 1: "length", 2: ""}


def test_completions_texts_are_read() -> None:
    """Whole and streamed."""
    answer = {"id": "t", "model": "m", "choices": [{"index": 0, "text": "abc", "finish_reason": "length"}]}
    assert whole(openai_completions, answer).texts == stream(openai_completions, answer).texts == ["abc"]


def usage_of(**usage: Any) -> Any:
    """Return what is read of a usage object."""
    return whole(openai_chat, {"choices": [], "usage": usage}).usage


def test_reasoning_counted_beside_the_completion_is_added() -> None:
    """Where the total shows it (xAI), or the size (Gemini behind Vercel)."""
    details = {"completion_tokens_details": {"reasoning_tokens": 40}}
    assert usage_of(prompt_tokens=10, completion_tokens=60, total_tokens=70, **details).output_tokens == 60
    assert usage_of(prompt_tokens=10, completion_tokens=60, total_tokens=110, **details).output_tokens == 100
    assert usage_of(prompt_tokens=10, completion_tokens=9, total_tokens=19, **details).output_tokens == 49


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 3}}, 3),
        ({"prompt_cache_hit_tokens": 4}, 4),
        ({"cached_tokens": 5}, 5),
        ({"num_cached_tokens": 6}, 6),
        ({"prompt_tokens_details": None}, None),
    ],
)
def test_cached_tokens_under_every_name(usage: dict[str, Any], cached: int | None) -> None:
    """OpenAI, DeepSeek, Moonshot, Mistral."""
    assert usage_of(prompt_tokens=9, **usage).cached_tokens == cached


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 0.0012345}, 1234),
        ({"cost": "0.5"}, 500_000),
        ({"cost": {"total_cost": 0.006}}, 6000),
        ({"cost_in_usd_ticks": 1_724_000}, 172),
        ({}, None),
        ({"cost": None}, None),
    ],
)
def test_what_the_provider_says_it_charged(usage: dict[str, Any], cost: int | None) -> None:
    """Micro-USD, whatever the unit."""
    assert usage_of(prompt_tokens=1, **usage).provider_cost_microusd == cost


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"message": "m", "type": "t", "code": "c", "param": None}}, ("t", "c", "m")),
        ({"error": {"message": "m", "code": 429}}, ("", "429", "m")),
        ({"error": {"message": "m", "type": 400, "status": "BAD"}}, ("400", "", "m")),
        ({"error": "just text", "code": "x"}, ("", "x", "just text")),
        ([{"error": {"message": "m", "status": "S", "code": 5}}], ("S", "5", "m")),
        ({"detail": "gone"}, ("", "", "gone")),
        ({"detail": [{"loc": ["body"]}]}, ("", "", '[{"loc":["body"]}]')),
        ({"id": "x", "message": "no such model"}, ("", "", "no such model")),
        ({"type": "invalid", "message": "m"}, ("invalid", "", "m")),
        ({}, ("", "", "")),
        (b"<html>bad gateway", ("", "", "<html>bad gateway")),
        (b"", ("", "", "")),
        (b"\xff\xfe", ("", "", "\ufffd\ufffd")),
        (b'"text"', ("", "", "text")),
    ],
)
@pytest.mark.parametrize("module", MODULES)
def test_errors_of_every_shape_are_read(module: Any, body: Any, error: tuple[str, str, str]) -> None:
    """Objects, strings, lists, `detail`, `message`, and no JSON at all."""
    assert whole(module, body, status=500).error == ProviderError(*error)


def test_an_error_inside_a_stream_of_status_200_is_read() -> None:
    """With and without an event name."""
    error = {"error": {"message": "m", "type": "t", "code": "c"}}
    assert stream(openai_chat, delta("a"), error).error == ProviderError("t", "c", "m")
    named = b"event: error\ndata: " + json.dumps({"message": "m", "code": 5}).encode() + b"\n\n"
    assert stream(openai_chat, named).error == ProviderError("", "5", "m")


def test_an_error_in_a_body_of_status_200_is_read() -> None:
    """As Azure's content filter does."""
    assert whole(openai_chat, {"error": {"message": "m", "type": None, "code": "content_filter"}}).error == ProviderError(
        "", "content_filter", "m"
    )


def test_a_responses_stream_is_read() -> None:
    """Texts per channel, tool names before their arguments, usage and status at the end."""
    item = {"type": "function_call", "name": "f", "call_id": "c", "arguments": ""}
    seen = stream(
        openai_responses,
        {"type": "response.created", "response": {"id": "r1", "model": "gpt-5", "status": "in_progress"}},
        {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "hi"},
        {"type": "response.output_item.added", "output_index": 1, "item": item},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "i", "delta": "{}"},
        {"type": "response.output_item.done", "output_index": 1, "item": item | {"arguments": "{}"}},
        {
            "type": "response.completed",
            "response": {
                "id": "r1",
                "model": "gpt-5-2025",
                "status": "completed",
                "output": [
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
                    item | {"arguments": "{}"},
                ],
                "usage": {"input_tokens": 7, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 2}},
            },
        },
    )
    assert (seen.model, seen.response_id, seen.texts, seen.reasoning_bytes) == ("gpt-5-2025", "r1", ["hi"], 2)
    assert [(t.name, t.args_bytes) for t in seen.tools] == [("f", 2)]
    assert (seen.finish_reasons, seen.usage.input_tokens, seen.usage.cached_tokens, seen.terminal) == (
        {0: "completed"},
        7,
        2,
        True,
    )


def test_a_tool_call_is_known_before_its_arguments() -> None:
    """So that a gate can act before anything of it is let go."""
    seen = stream(
        openai_responses,
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "custom_tool_call", "name": "sql"}},
    )
    assert [t.name for t in seen.tools] == ["sql"]


def test_calls_that_the_client_carries_out_are_tool_calls_by_type() -> None:
    """A rule against `shell` must bind; what the provider runs itself is no call of the client's."""
    output = [{"type": "local_shell_call", "action": {}}, {"type": "apply_patch_call"}, {"type": "web_search_call"}]
    assert [t.name for t in whole(openai_responses, {"status": "completed", "output": output}).tools] == [
        "local_shell",
        "apply_patch",
    ]


def test_a_final_response_without_output_is_completed_by_its_items() -> None:
    """The ChatGPT backend leaves `output` empty."""
    message = {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}
    seen = stream(
        openai_responses,
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": {"status": "completed", "output": []}},
    )
    assert seen.texts == ["hello"]


def test_text_that_only_the_final_response_holds_is_not_missed() -> None:
    """A rule about the text must see what the client sees."""
    message = {"type": "message", "content": [{"type": "output_text", "text": "hello world"}]}
    seen = stream(
        openai_responses,
        {"type": "response.output_text.delta", "delta": "hello"},
        {"type": "response.completed", "response": {"output": [message]}},
    )
    assert (seen.texts, seen.text_bytes) == (["hello world"], 11)


def test_errors_of_a_responses_stream_are_read() -> None:
    """Nested, flat, and in the failed response, which has the last word."""
    nested = {"type": "error", "error": {"type": "t", "code": "c", "message": "m"}}
    flat = {"type": "error", "code": "c", "message": "m"}
    failed = {
        "type": "response.failed",
        "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}},
    }
    assert stream(openai_responses, nested).error == ProviderError("t", "c", "m")
    assert stream(openai_responses, flat).error == ProviderError("error", "c", "m")
    assert stream(openai_responses, nested, failed).error == ProviderError("", "rate_limit_exceeded", "x")


def test_a_count_of_tokens_is_no_usage() -> None:
    """`input_tokens` of the counting endpoint charges nothing."""
    assert not whole(openai_responses, {"object": "response.input_tokens", "input_tokens": 11}, kind="input_tokens").usage.known()


def test_vectors_are_skipped() -> None:
    """Model and usage of embeddings."""
    seen = whole(
        openai_embeddings, {"data": [{"embedding": [0.5] * 10}], "model": "e", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    )
    assert (seen.model, seen.usage.input_tokens, seen.usage.output_tokens) == ("e", 8, None)


def test_a_threads_run_is_charged_by_its_last_event() -> None:
    """Steps are part of the run."""
    events = [
        f"event: thread.run{part}.completed\ndata: {json.dumps({'usage': {'prompt_tokens': 2}})}\n\n".encode()
        for part in ("", ".step")
    ]
    assert stream(openai_misc, *events, kind="stateful").usage.input_tokens == 2


def test_events_of_odd_type_are_counted_and_never_raise() -> None:
    """The chunk's other parts are still read."""
    seen = stream(
        openai_chat, {"model": "m", "choices": [{"index": 0, "delta": {"content": 7}}, 5], "usage": "x"}, b"data: nope\n\n"
    )
    assert seen.model == "m"
    assert seen.unreadable == 4


_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "index",
                    "delta",
                    "message",
                    "content",
                    "function",
                    "tool_calls",
                    "name",
                    "usage",
                    "choices",
                    "id",
                    "error",
                    "output",
                    "response",
                    "item",
                    "output_index",
                ],
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("module", MODULES)
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["", "error", "thread.run.completed", "response.completed"]),
            st.one_of(
                st.binary(max_size=20),
                _odd.map(lambda v: json.dumps(v).encode()),
                st.dictionaries(
                    st.sampled_from(["type", "choices", "usage", "error", "response", "item", "model", "id", "delta"]),
                    _odd,
                    max_size=4,
                ).map(
                    lambda v: json.dumps(v).encode(),
                ),
            ),
        ),
        max_size=4,
    ),
    status=st.sampled_from([200, 400]),
)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_no_answer_makes_a_dialect_raise(module: Any, events: list[tuple[str, bytes]], status: int) -> None:
    """Fuzz of the response readers, whole and streamed."""
    endpoint = Endpoint("p", module.DIALECT, Operation.CHAT, "/")
    seen = Observation(keep_text=True)
    for name, data in events:
        module.DIALECT.read_event(endpoint, Frame(data, name, data), seen)
        module.DIALECT.read_body(endpoint, status, (), data, Observation())
    assert isinstance(seen.model, str)
    assert all(isinstance(v, str) for v in seen.finish_reasons.values())
    assert all(isinstance(t.name, str) for t in seen.tools)


def test_a_tool_search_whose_arguments_are_an_object_is_read() -> None:
    """Not every call of the Responses API has its arguments as text; one that has not is no unreadable answer."""
    search = {"type": "tool_search_call", "id": "ts_1", "arguments": {"query": "weather"}, "status": "completed"}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]}
    seen = whole(openai_responses, {"id": "r", "model": "m", "status": "completed", "output": [search, said]})
    assert seen.unreadable == 0
    assert seen.texts == ["hello"]
