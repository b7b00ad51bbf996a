"""Requests in the OpenAI dialects: what rules may ask of them, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcp.core.messages import Channel, Operation, RequestFacts, Text
from llmcp.errors import MalformedRequestError
from llmcp.ports import Endpoint
from llmcp.providers import openai_chat, openai_completions, openai_embeddings, openai_misc, openai_responses

MODULES = [openai_chat, openai_completions, openai_embeddings, openai_misc, openai_responses]


def endpoint(module: Any, operation: Operation = Operation.CHAT, **fields: Any) -> Endpoint:
    """Return an endpoint of the module's dialect."""
    return Endpoint("openai", module.DIALECT, operation, "/v1/x", **fields)


def read(module: Any, body: Any, operation: Operation = Operation.CHAT, **fields: Any) -> RequestFacts:
    """Read `body` (a value, or bytes as they are)."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return module.DIALECT.read_request(endpoint(module, operation, **fields), raw)


def test_what_an_assistant_reasoned_is_read_wherever_a_host_puts_it() -> None:
    """In the history too, under either name, whatever else the message says."""
    for name in ("reasoning", "reasoning_content"):
        facts = read(openai_chat, {"model": "m", "messages": [{"role": "assistant", "content": "a", name: "because"}]})
        assert [(text.channel, text.text) for text in facts.texts] == [(Channel.TEXT, "a"), (Channel.REASONING, "because")]


def test_a_chat_request_is_read_with_every_text() -> None:
    """Roles, channels, tools, limits and turns."""
    facts = read(
        openai_chat,
        {
            "model": "gpt-4o",
            "stream": True,
            "max_tokens": 10,
            "temperature": 0,
            "stream_options": {"include_usage": False},
            "messages": [
                {"role": "developer", "content": "rules"},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:"}}],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "refusal": "no",
                    "reasoning_content": "hm",
                    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "1", "content": "42"},
            ],
            "tools": [
                {"type": "function", "function": {"name": "f"}},
                {"type": "custom", "custom": {"name": "sql"}},
                {"type": "web_search"},
            ],
            "functions": [{"name": "old"}],
        },
    )
    assert (facts.model, facts.stream, facts.max_tokens, facts.temperature, facts.turns) == ("gpt-4o", True, 10, 0.0, 4)
    assert facts.tools == ("f", "sql", "web_search", "old")
    assert facts.texts == (
        Text("developer", Channel.TEXT, "rules"),
        Text("user", Channel.TEXT, "look"),
        Text("assistant", Channel.REFUSAL, "no"),
        Text("assistant", Channel.REASONING, "hm"),
        Text("assistant", Channel.TOOL_ARGUMENTS, "{}"),
        Text("tool", Channel.TOOL_RESULT, "42"),
    )
    assert facts.skipped == (("image_url", "not text"),)
    assert facts.extra == openai_chat.ChatExtra(include_usage=False)


def test_what_a_request_does_not_say_is_none() -> None:
    """Neutral values are not this layer's business."""
    facts = read(openai_chat, {"messages": []})
    assert (facts.model, facts.max_tokens, facts.temperature, facts.stream, facts.extra) == ("", None, None, False, None)


def test_the_most_generous_of_two_limits_counts() -> None:
    """Which of two a host obeys is its own business, so a cap must look at the larger."""
    assert read(openai_chat, {"max_tokens": 5, "max_completion_tokens": 9000}).max_tokens == 9000


@pytest.mark.parametrize(
    ("value", "expected"),
    [("4096", 4096), (7.0, 7), (1e400, 2**63 - 1), (10**30, 2**63 - 1), (True, None), ("x", None), ([], None)],
)
def test_limits_of_odd_types_are_read_as_lax_servers_read_them(value: Any, expected: int | None) -> None:
    """Several model servers take digits in a string; a rule must see the same number."""
    assert read(openai_chat, {"max_tokens": value, "messages": [{"role": "user", "content": "x"}]}).max_tokens == expected


def test_a_message_of_odd_type_costs_only_itself() -> None:
    """The rest of the request is still read."""
    facts = read(
        openai_chat,
        {
            "model": "m",
            "messages": [
                7,
                {"role": "user", "content": {"a": 1}},
                {"role": "user", "content": ["x", {"type": "text", "text": 5}]},
            ],
        },
    )
    assert facts.turns == 2
    assert [t.text for t in facts.texts] == ["x"]


def test_a_responses_request_is_read_with_every_text() -> None:
    """Instructions, items of all kinds, tools and namespaces."""
    facts = read(
        openai_responses,
        {
            "model": "gpt-5",
            "instructions": "be brief",
            "max_output_tokens": 50,
            "previous_response_id": "resp_1",
            "input": [
                {"role": "user", "content": "hi"},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "yes"}, {"type": "refusal", "refusal": "no"}],
                },
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "why"}], "encrypted_content": "gAAA"},
                {"type": "function_call", "name": "f", "arguments": '{"a":1}', "call_id": "c"},
                {"type": "function_call_output", "call_id": "c", "output": "done"},
                {"type": "custom_tool_call", "name": "g", "input": "raw"},
                {"type": "item_reference", "id": "x"},
            ],
            "tools": [
                {"type": "function", "name": "f"},
                {"type": "web_search_preview"},
                {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "lookup"}]},
            ],
        },
        kind="responses",
    )
    assert [(t.role, t.channel.value, t.text) for t in facts.texts] == [
        ("system", "text", "be brief"),
        ("user", "text", "hi"),
        ("assistant", "text", "yes"),
        ("assistant", "refusal", "no"),
        ("assistant", "reasoning", "why"),
        ("assistant", "tool_arguments", '{"a":1}'),
        ("tool", "tool_result", "done"),
        ("assistant", "tool_arguments", "raw"),
    ]
    assert facts.tools == ("f", "web_search_preview", "crm", "lookup")
    assert facts.max_tokens == 50
    assert dict(facts.skipped) == {"history": "stored at the provider", "reasoning": "encrypted", "item_reference": "no text"}


def test_a_responses_input_may_be_one_string() -> None:
    """One text, one turn."""
    facts = read(openai_responses, {"model": "m", "input": "hello"}, kind="responses")
    assert (facts.turns, facts.texts[0].text) == (1, "hello")


@pytest.mark.parametrize(
    ("prompt", "texts", "skipped"), [("a", ["a"], ()), (["a", "b"], ["a", "b"], ()), ([1, 2], [], (("prompt", "token ids"),))]
)
def test_a_prompt_may_be_text_texts_or_tokens(prompt: Any, texts: list[str], skipped: Any) -> None:
    """Tokens cannot be read, and that is said."""
    facts = read(openai_completions, {"model": "m", "prompt": prompt, "max_tokens": 3})
    assert [t.text for t in facts.texts] == texts
    assert facts.skipped == skipped


def test_embedding_inputs_are_texts() -> None:
    """Each input is one text."""
    assert [t.text for t in read(openai_embeddings, {"model": "m", "input": ["a", "b"]}, Operation.EMBEDDINGS).texts] == [
        "a",
        "b",
    ]


def test_the_path_names_the_model_where_the_body_does_not() -> None:
    """Azure deployments."""
    assert read(openai_chat, {"messages": []}, model="dep").model == "dep"


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"nope",
        b'"x"',
        b"{",
        b'{"a":1}{"b":2}',
        b"\xff\xfe{}",
        b'{"model":"\xff"}',
        b"\xef\xbb\xbf{}",
        '{"model":"x"}'.encode("utf-16"),
    ],
)
def test_a_body_that_is_no_json_object_in_utf8_is_refused(module: Any, body: bytes) -> None:
    """Nothing that rules cannot read goes through as if it had been read."""
    operation = Operation.MODERATION if module is openai_misc else Operation.CHAT
    with pytest.raises(MalformedRequestError):
        read(module, body, operation)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    "body",
    ['{"model":"a","model":"b"}', '{"model":"a","mod\\u0065l":"b"}', '{"Model":"a"}', '{"model":["a"]}', '{"model":{"id":"a"}}'],
)
def test_a_model_that_could_be_read_in_two_ways_is_refused(module: Any, body: str) -> None:
    """A gateway and a provider may read different ones."""
    with pytest.raises(MalformedRequestError):
        read(module, body.encode(), Operation.MODERATION)


@pytest.mark.parametrize("module", [openai_chat, openai_completions, openai_embeddings, openai_responses])
def test_an_empty_body_is_refused_where_json_is_needed(module: Any) -> None:
    """And accepted on endpoints that may have none."""
    with pytest.raises(MalformedRequestError):
        read(module, b"")
    assert not read(openai_misc, b"", Operation.OTHER).inspected


def form(*fields: str) -> bytes:
    """Return a multipart form."""
    parts = [f"--b\r\nContent-Disposition: form-data; {f}\r\n" for f in fields]
    return ("".join(parts) + "--b--\r\n").encode()


def test_the_model_field_of_a_form_is_read() -> None:
    """Audio transcription: rules about models bind."""
    body = form(
        'name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\nID3..',
        'name="model"\r\n\r\nwhisper-1',
        "name=prompt\r\n\r\nnames",
    )
    facts = read(openai_misc, body, Operation.AUDIO, json_body=False)
    assert (facts.model, facts.inspected, [t.text for t in facts.texts]) == ("whisper-1", True, ["names"])


@pytest.mark.parametrize(
    "fields",
    [
        ('name="model"\r\n\r\na', 'name="model"\r\n\r\nb'),
        ('name="model"\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==',),
        ("name*=utf-8''model\r\n\r\na",),
        ('name="model"\r\n\r\na', 'name="file"\r\n\r\n--x\r\ncontent-disposition: form-data; name=MODEL\r\n\r\nb'),
    ],
)
def test_a_form_whose_model_is_in_doubt_is_refused(fields: tuple[str, ...]) -> None:
    """Twice, encoded, or inside another boundary."""
    with pytest.raises(MalformedRequestError):
        read(openai_misc, form(*fields), Operation.AUDIO, json_body=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"models": "gpt-4o"},
        {"models": [["gpt-4o"]]},
        {"models": {"a": "gpt-4o"}},
        {"tools": {"type": "function", "function": {"name": "shell"}}},
        {"tools": [{"type": "function", "function": "shell"}]},
        {"tools": ["shell"]},
        {"functions": {"name": "shell"}},
        {"messages": {"role": "user", "content": "hi"}},
        {"messages": "hi"},
    ],
)
def test_what_rules_ask_about_by_name_is_refused_in_another_form(fields: dict[str, Any]) -> None:
    """Dropped silently, it would be a tool, a model or a message that no rule was asked about."""
    body = json.dumps({"model": "m", "messages": []} | fields).encode()
    with pytest.raises(MalformedRequestError):
        read(openai_chat, body)


@pytest.mark.parametrize(
    "header",
    [
        'Content-Disposition: form-data;\r\n name="model"',
        'Content-Disposition: form-data; name="mod\\el"',
        'Content-Disposition: form-data; name="mod%65l"',
        "Content-Disposition: form-data; name='model'",
        'Content-Disposition: form-data; name="x"; name="model"',
        "Content-Disposition: form-data",
        "Content-Disposition: form-data; name*=utf-8''model",
    ],
)
def test_a_forms_field_that_readers_name_differently_is_refused(header: str) -> None:
    """Folded lines, escapes, quotes of other kinds, two names: some server reads `model` there."""
    with pytest.raises(MalformedRequestError):
        read(openai_misc, f"--b\r\n{header}\r\n\r\ntts\r\n--b--\r\n".encode(), Operation.AUDIO, json_body=False)


@pytest.mark.parametrize(
    "header",
    [
        'Content-Disposition : form-data; name="model"',
        'Content-Disposition: form-data; filename="a; name=y"; name="model"',
        'X: y\rContent-Disposition: form-data; name="model"',
        'Content-Disposition: x; name="model"',
        'Content-Disposition: form-data; NAME = "model"; x="\\""',
    ],
)
def test_a_forms_model_is_read_in_odd_spellings(header: str) -> None:
    """What a lenient server takes for the field is read as the field."""
    body = f"--b\r\n{header}\r\n\r\ntts\r\n--b--\r\n".encode()
    assert read(openai_misc, body, Operation.AUDIO, json_body=False).model == "tts"


def test_a_form_may_begin_with_a_preamble() -> None:
    """What stands before the first boundary hides nothing."""
    assert read(openai_misc, b"hello\r\n" + form('name="model"\r\n\r\ntts'), Operation.AUDIO, json_body=False).model == "tts"


def test_a_file_that_looks_like_a_mail_is_no_doubtful_form() -> None:
    """Only fields that rules read are looked at."""
    mail = 'name="file"\r\n\r\nContent-Disposition: attachment; filename="x"\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ=='
    assert read(openai_misc, form(mail), Operation.FILES, kind="files", json_body=False).skipped == (
        ("files", "endpoint is not inspected"),
        ("file", "not text"),
    )


def test_stateful_endpoints_are_said_not_to_be_inspected() -> None:
    """But their model is read."""
    facts = read(openai_misc, {"model": "gpt-4", "instructions": "x"}, Operation.OTHER, kind="stateful", json_body=False)
    assert (facts.model, facts.inspected) == ("gpt-4", False)


_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "function", "name", "role", "tools", "id"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
_keys = st.sampled_from(
    sorted(
        openai_chat.GOVERNED
        | openai_responses.GOVERNED
        | {"prompt", "prediction", "suffix", "conversation", "previous_response_id"}
    )
)


@pytest.mark.parametrize("module", MODULES)
@given(body=st.dictionaries(_keys, _odd, max_size=6))
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_odd_types_never_raise_anything_but_malformed(module: Any, body: dict[str, Any]) -> None:
    """Any JSON object is read as far as it goes, or refused."""
    try:
        facts = read(module, body, Operation.MODERATION)
    except MalformedRequestError:
        lists = ("models", "tools", "functions", "messages")
        assert not isinstance(body.get("model"), str | None) or any(body.get(name) is not None for name in lists)
    else:
        assert isinstance(facts.model, str)
        assert all(isinstance(t.text, str) for t in facts.texts)
        assert all(isinstance(t, str) for t in facts.tools)


@pytest.mark.parametrize("module", MODULES)
@given(body=st.binary(max_size=80) | st.text(alphabet='{}[]":,\\u01mode', max_size=60).map(str.encode))
@settings(max_examples=120)
def test_hostile_bytes_never_raise_anything_but_malformed(module: Any, body: bytes) -> None:
    """Fuzz of the request readers."""
    with suppress(MalformedRequestError):
        read(module, body)


def test_deep_nesting_is_refused_not_a_crash() -> None:
    """A body of brackets must not exhaust the stack."""
    for depth in (2_000, 100_000):
        body = b'{"model":"m","messages":' + b"[" * depth + b"]" * depth + b"}"
        with suppress(MalformedRequestError):
            read(openai_chat, body)
