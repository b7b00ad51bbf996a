"""The Python `anthropic` client, unchanged but for its base URL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from fakes.provider_server import ARGUMENTS, PIECES, REPLY, Fault, ProviderServer
from fakes.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.daemon import Daemon

KEY = "sk-ant-" + "k" * 40
MODEL = "claude-sonnet-4-5"
HELLO: Any = [{"role": "user", "content": "Hello, 東京!"}]
WEATHER: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
SHELL: Any = {"name": "shell", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture(params=["", "/anthropic"], ids=["unified", "native"])
def client(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[anthropic.Anthropic]:
    """Give a client whose base URL is the gateway itself, then its native prefix."""
    with anthropic.Anthropic(base_url=daemon.url + request.param, api_key=KEY) as made:
        yield made


@pytest.mark.usefixtures("provider")
def test_a_message_arrives_whole(client: anthropic.Anthropic) -> None:
    """Text, stop reason and usage reach the program as they are."""
    got = client.messages.create(model=MODEL, max_tokens=50, messages=HELLO)
    assert got.content[0].text == REPLY  # type: ignore[union-attr]
    assert got.stop_reason == "end_turn"
    assert got.usage.cache_read_input_tokens == 4


@pytest.mark.usefixtures("provider")
def test_a_streamed_message_keeps_its_pieces(client: anthropic.Anthropic) -> None:
    """Every delta arrives as one delta, in order."""
    with client.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream:
        assert tuple(stream.text_stream) == PIECES
        assert stream.get_final_message().usage.output_tokens == 9


@pytest.mark.usefixtures("provider")
def test_an_allowed_tool_is_called_whole_and_streamed(client: anthropic.Anthropic) -> None:
    """Offers go up and calls come down."""
    asked: Any = {
        "model": MODEL,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "call the tool"}],
        "tools": [WEATHER],
    }
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (client.messages.create(**asked), streamed):
        assert message.stop_reason == "tool_use"
        assert message.content[0].name == "weather"  # type: ignore[union-attr]
        assert message.content[0].input == json.loads(ARGUMENTS)  # type: ignore[union-attr]


@pytest.mark.usefixtures("provider")
def test_tokens_are_counted(client: anthropic.Anthropic) -> None:
    """`count_tokens` passes."""
    assert client.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens == 13


@pytest.mark.parametrize("base", ["", "/anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_permission_denied_after_one_request(
    daemon: Daemon, provider: ProviderServer, base: str, stream: bool
) -> None:
    """The SDK raises its own exception, does not retry, and the provider sees nothing."""
    with Relay(daemon.port) as relay, anthropic.Anthropic(base_url=relay.url + base, api_key=KEY) as client:
        with pytest.raises(anthropic.PermissionDeniedError) as raised:
            client.messages.create(model="forbidden-claude", max_tokens=5, messages=HELLO, stream=stream)
        assert len(relay.requests) == 1
    assert provider.received == []
    body: Any = raised.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == "permission_error"
    assert "forbidden-model" in body["error"]["message"]
    decision = raised.value.response.headers["x-llmcp-decision-id"]
    assert daemon.record(decision)["outcome"] == "denied"


def test_a_forbidden_tool_is_refused_before_it_is_offered(daemon: Daemon, provider: ProviderServer) -> None:
    """The offer of a denied tool never reaches the provider."""
    with anthropic.Anthropic(base_url=daemon.url, api_key=KEY) as client, pytest.raises(anthropic.PermissionDeniedError):
        client.messages.create(model=MODEL, max_tokens=5, messages=HELLO, tools=[WEATHER, SHELL])
    assert provider.received == []


def test_the_providers_own_error_reaches_the_client_word_for_word(daemon: Daemon, provider: ProviderServer) -> None:
    """An overloaded provider is told in its own words, which clients match."""
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_9"}'
    provider.misbehave(Fault("status", 529, body, (("request-id", "req_9"),)))
    with (
        anthropic.Anthropic(base_url=daemon.url, api_key=KEY, max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError) as raised,
    ):
        client.messages.create(model=MODEL, max_tokens=5, messages=HELLO)
    assert raised.value.status_code == 529
    assert raised.value.response.content == body
    assert raised.value.request_id == "req_9"


def test_an_unknown_virtual_key_is_an_authentication_error(daemon: Daemon, provider: ProviderServer) -> None:
    """A value of our own form that nobody issued never goes on as if it were a provider's."""
    with (
        anthropic.Anthropic(base_url=daemon.url, api_key="llmcp_" + "q" * 40) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(model=MODEL, max_tokens=5, messages=HELLO)
    assert provider.received == []


@pytest.mark.usefixtures("provider")
def test_input_tokens_are_recorded_with_cache_reads_and_writes(daemon: Daemon) -> None:
    """The provider's `input_tokens` excludes the cache; the record's does not."""
    with anthropic.Anthropic(base_url=daemon.url, api_key=KEY) as client:
        raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=50, messages=HELLO)
    usage = daemon.record(raw.headers["x-llmcp-decision-id"])["gen_ai"]
    assert (usage["input_tokens"], usage["cached_tokens"], usage["output_tokens"]) == (13, 4, 9)
