"""The Python `google-genai` client, unchanged but for its base URL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google import genai
from google.genai import errors, types

from fakes.provider_server import ARGUMENTS, PIECES, REPLY, Fault, ProviderServer
from fakes.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.daemon import Daemon

KEY = "AIza" + "k" * 35
MODEL = "gemini-2.5-flash"


def _client(url: str) -> genai.Client:
    return genai.Client(api_key=KEY, vertexai=False, http_options=types.HttpOptions(base_url=url + "/gemini"))


def _tools(name: str) -> Any:
    declared = types.FunctionDeclaration(
        name=name, parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}}
    )
    return types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )


@pytest.fixture
def client(daemon: Daemon) -> Iterator[genai.Client]:
    """Give a client whose base URL is the gateway's `/gemini`."""
    made = _client(daemon.url)
    yield made
    made.close()


@pytest.mark.usefixtures("provider")
def test_an_answer_arrives_whole(client: genai.Client) -> None:
    """Text, finish reason and usage reach the program as they are."""
    got = client.models.generate_content(model=MODEL, contents="Hello, 東京!")
    assert got.text == REPLY
    assert got.usage_metadata is not None
    assert got.usage_metadata.cached_content_token_count == 4


@pytest.mark.usefixtures("provider")
def test_a_streamed_answer_keeps_its_pieces(client: genai.Client) -> None:
    """Every chunk arrives as one chunk, in order."""
    assert tuple(chunk.text for chunk in client.models.generate_content_stream(model=MODEL, contents="Hello")) == PIECES


@pytest.mark.usefixtures("provider")
def test_an_allowed_tool_is_called(client: genai.Client) -> None:
    """Function declarations go up and function calls come down."""
    got = client.models.generate_content(model=MODEL, contents="call the tool", config=_tools("weather"))
    assert got.function_calls
    assert got.function_calls[0].name == "weather"
    assert got.function_calls[0].args == json.loads(ARGUMENTS)


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_a_client_error_after_one_request(daemon: Daemon, provider: ProviderServer, stream: bool) -> None:
    """The SDK raises its own exception with our words, does not retry, and the provider sees nothing."""
    with Relay(daemon.port) as relay:
        client = _client(relay.url)
        with pytest.raises(errors.ClientError) as raised:  # noqa: PT012
            if stream:
                list(client.models.generate_content_stream(model="forbidden-gemini", contents="Hello"))
            else:
                client.models.generate_content(model="forbidden-gemini", contents="Hello")
        client.close()
        assert len(relay.requests) == 1
    assert raised.value.code == 403
    assert raised.value.status == "PERMISSION_DENIED"
    assert "forbidden-model" in str(raised.value)
    assert provider.received == []


def test_a_forbidden_tool_is_refused_before_it_is_offered(client: genai.Client, provider: ProviderServer) -> None:
    """The offer of a denied tool never reaches the provider."""
    with pytest.raises(errors.ClientError):
        client.models.generate_content(model=MODEL, contents="Hello", config=_tools("shell"))
    assert provider.received == []


def test_the_providers_own_error_reaches_the_client(client: genai.Client, provider: ProviderServer) -> None:
    """Code, status and message are the provider's."""
    provider.misbehave(Fault("status", 404, b'{"error":{"code":404,"message":"no such model","status":"NOT_FOUND"}}'))
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model=MODEL, contents="Hello")
    assert (raised.value.code, raised.value.status, raised.value.message) == (404, "NOT_FOUND", "no such model")


@pytest.mark.usefixtures("provider")
def test_thoughts_are_recorded_as_output(daemon: Daemon) -> None:
    """Gemini counts thoughts beside the candidates; the record's output includes them."""
    target, body = f"/gemini/v1beta/models/{MODEL}:generateContent", b'{"contents":[{"parts":[{"text":"Hello"}]}]}'
    got = daemon.call("POST", target, body, {"x-goog-api-key": KEY})
    usage = daemon.record(got.headers["x-llmcp-decision-id"])["gen_ai"]
    assert (usage["input_tokens"], usage["cached_tokens"], usage["output_tokens"]) == (11, 4, 7)
