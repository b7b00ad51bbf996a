"""Edits of OpenAI requests: the intended document, every other byte kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.core.messages import Operation, RequestEdits
from llmcp.errors import NotEditableError
from llmcp.ports import Endpoint
from llmcp.providers import openai_chat, openai_completions, openai_embeddings, openai_misc, openai_responses

CHAT = Endpoint("openai", openai_chat.DIALECT, Operation.CHAT, "/v1/chat/completions?x=1", kind="chat")
RESPONSES = Endpoint("openai", openai_responses.DIALECT, Operation.CHAT, "/v1/responses", kind="responses")


def edit(body: bytes, endpoint: Endpoint = CHAT, strip: frozenset[str] = frozenset(), **fields: Any) -> tuple[str, bytes]:
    """Apply the edits."""
    return endpoint.dialect.edit_request(endpoint, body, RequestEdits(tuple(fields.items()), strip))


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b'{"model": "gpt-4o",  "max_tokens" : 99999}', b'{"model": "gpt-4o",  "max_tokens" : 8}'),
        (b'{"max_completion_tokens":9,"max_tokens":9}', b'{"max_completion_tokens":8,"max_tokens":8}'),
        (b'{"model":"gpt-4o"}', b'{"model":"gpt-4o","max_tokens":8}'),
        (b'{"model":"o3-mini"}', b'{"model":"o3-mini","max_completion_tokens":8}'),
        (b'{"model":"openai/gpt-5.1"}', b'{"model":"openai/gpt-5.1","max_completion_tokens":8}'),
        (b'{"model":"m","max_tokens":null}', b'{"model":"m","max_tokens":8}'),
    ],
)
def test_a_cap_is_set_under_the_name_that_counts(body: bytes, result: bytes) -> None:
    """Whatever spelling is there; else the one that the model takes."""
    assert edit(body, max_tokens=8) == ("/v1/chat/completions?x=1", result)


def test_a_cap_on_a_response_has_its_own_name() -> None:
    """`max_output_tokens`."""
    assert edit(b'{"model":"gpt-5"}', RESPONSES, max_tokens=8)[1] == b'{"model":"gpt-5","max_output_tokens":8}'


def test_stream_options_are_merged() -> None:
    """What the client asked for besides stays."""
    body = b'{"model":"m","stream":true,"stream_options":{"include_obfuscation":false}}'
    assert json.loads(edit(body, stream_options={"include_usage": True})[1])["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }
    assert edit(b'{"model":"m"}', RESPONSES, stream_options={"include_usage": True})[1] == b'{"model":"m"}'


def test_the_model_is_set_in_the_body_or_in_azures_path() -> None:
    """Azure's deployment names it; a body that names it too is kept in step."""
    azure = Endpoint(
        "azure", openai_chat.DIALECT, Operation.CHAT, "/openai/deployments/a%2Fb/chat/completions?api-version=1", model="a/b"
    )
    assert edit(b'{"model":"a"}', model="b")[1] == b'{"model":"b"}'
    assert edit(b'{"n":1}', azure, model="c/d") == ("/openai/deployments/c%2Fd/chat/completions?api-version=1", b'{"n":1}')
    assert edit(b'{"model":"x"}', azure, model="y") == ("/openai/deployments/y/chat/completions?api-version=1", b'{"model":"y"}')


TOOLS = (
    b'"tools": [ {"type":"function","function":{"name":"a"}}, {"type":"web_search"}, {"type":"custom","custom":{"name":"c"}} ]'
)


@pytest.mark.parametrize(
    ("strip", "left"),
    [
        ({"a"}, ["web_search", "c"]),
        ({"web_search"}, ["a", "c"]),
        ({"c"}, ["a", "web_search"]),
        ({"a", "c"}, ["web_search"]),
        ({"x"}, ["a", "web_search", "c"]),
    ],
)
def test_offers_are_taken_out_and_the_others_keep_their_bytes(strip: set[str], left: list[str]) -> None:
    """First, middle, last and several."""
    body = b'{"model":"m", ' + TOOLS + b', "tool_choice":"auto"}'
    edited = edit(body, strip=frozenset(strip))[1]
    assert list(CHAT.dialect.read_request(CHAT, edited).tools) == left
    assert edited.startswith(b'{"model":"m", "tools": [ ')
    assert json.loads(edited)["tool_choice"] == "auto"


def test_without_any_offer_left_what_refers_to_offers_goes_too() -> None:
    """An empty list, or a choice without offers, is an error at the provider."""
    body = b"{" + TOOLS + b',"tool_choice":"auto","parallel_tool_calls":true,"model":"m"}'
    assert edit(body, strip=frozenset({"a", "web_search", "c"}))[1] == b'{"model":"m"}'
    assert (
        edit(b'{"functions":[{"name":"f"}],"function_call":"auto"}', strip=frozenset({"f"}), max_tokens=3)[1]
        == b'{"max_tokens":3}'
    )


def test_a_choice_of_a_stripped_offer_is_dropped() -> None:
    """The provider would refuse it."""
    body = b"{" + TOOLS + b',"tool_choice":{"type":"function","function":{"name":"a"}}}'
    assert "tool_choice" not in json.loads(edit(body, strip=frozenset({"a"}))[1])


def test_offers_inside_a_namespace_are_taken_out() -> None:
    """And a namespace by its own name."""
    body = b'{"tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"a"},{"type":"function","name":"b"}]},{"type":"web_search"}]}'
    assert RESPONSES.dialect.read_request(RESPONSES, edit(body, RESPONSES, frozenset({"a"}))[1]).tools == ("n", "b", "web_search")
    assert RESPONSES.dialect.read_request(RESPONSES, edit(body, RESPONSES, frozenset({"n"}))[1]).tools == ("web_search",)


def test_web_search_options_are_an_offer_too() -> None:
    """The chat API offers search without a list."""
    body = b'{"model":"m","web_search_options":{}}'
    assert CHAT.dialect.read_request(CHAT, body).tools == ("web_search",)
    assert edit(body, strip=frozenset({"web_search"}))[1] == b'{"model":"m"}'


@pytest.mark.parametrize("module", [openai_embeddings, openai_misc])
def test_a_cap_means_nothing_where_there_is_no_output_to_cap(module: Any) -> None:
    """So a cap for everyone does not refuse embeddings."""
    endpoint = Endpoint("p", module.DIALECT, Operation.MODERATION, "/t")
    assert edit(b'{"model":"m"}', endpoint, max_tokens=8, temperature=0.5) == ("/t", b'{"model":"m"}')


def test_what_is_not_known_well_enough_cannot_be_edited() -> None:
    """Threads, forms, stored responses, bodies that are no JSON."""
    other = Endpoint("p", openai_misc.DIALECT, Operation.OTHER, "/t", kind="stateful")
    form = Endpoint("p", openai_misc.DIALECT, Operation.AUDIO, "/t", kind="audio")
    stored = Endpoint("p", openai_responses.DIALECT, Operation.OTHER, "/t", kind="item")
    for endpoint, body in ((other, b"{}"), (form, b"--b"), (stored, b""), (CHAT, b"nope"), (CHAT, b'{"a":')):
        with pytest.raises(NotEditableError):
            edit(body, endpoint, max_tokens=8, model="x")


@given(
    body=st.fixed_dictionaries(
        {"model": st.text(max_size=4)},
        optional={
            "max_tokens": st.integers(0, 9),
            "max_completion_tokens": st.integers(0, 9),
            "temperature": st.floats(0, 2),
            "messages": st.lists(
                st.fixed_dictionaries({"role": st.just("user"), "content": st.text(alphabet='"max_tokens":{}\\', max_size=20)}),
                max_size=2,
            ),
            "tools": st.lists(st.sampled_from("abc").map(lambda n: {"type": "function", "function": {"name": n}}), max_size=4),
        },
    ),
    strip=st.frozensets(st.sampled_from("abc"), max_size=2),
    indent=st.sampled_from([None, 2]),
    module=st.sampled_from([openai_chat, openai_completions]),
)
@settings(max_examples=150)
def test_an_edit_changes_what_it_names_and_nothing_else(
    body: dict[str, Any], strip: frozenset[str], indent: int | None, module: Any
) -> None:
    """The result is the request with the fields set, whatever its texts contain."""
    endpoint = Endpoint("openai", module.DIALECT, Operation.CHAT, "/t")
    edited = json.loads(edit(json.dumps(body, indent=indent).encode(), endpoint, strip, max_tokens=5, temperature=0.5)[1])
    expected = dict(body) | {"temperature": 0.5}
    caps = [k for k in ("max_tokens", "max_completion_tokens") if k in body] or ["max_tokens"]
    expected |= dict.fromkeys(caps, 5)
    if "tools" in expected:
        kept = [t for t in expected["tools"] if t["function"]["name"] not in strip]
        if kept or not expected["tools"]:
            expected["tools"] = kept
        else:
            del expected["tools"]
    assert edited == expected or (edited | {"tools": []}) == expected
