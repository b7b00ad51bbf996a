"""The Python `openai` client, unchanged but for its base URL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from fakes.provider_server import ARGUMENTS, PIECES, REPLY, Fault, ProviderServer
from fakes.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.daemon import Daemon

KEY = "sk-" + "k" * 40
HELLO: Any = [{"role": "user", "content": "Hello, 東京!"}]
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
SHELL: Any = {"type": "function", "function": {"name": "shell", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(params=["/v1", "/openai/v1"], ids=["unified", "native"])
def client(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    """Give a client whose base URL is the gateway's unified path, then its native one."""
    with openai.OpenAI(base_url=daemon.url + request.param, api_key=KEY) as made:
        yield made


@pytest.mark.usefixtures("provider")
def test_a_chat_completion_arrives_whole(client: openai.OpenAI) -> None:
    """The provider's text, usage and finish reason reach the program as they are."""
    got = client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert got.choices[0].message.content == REPLY
    assert got.choices[0].finish_reason == "stop"
    assert got.usage is not None
    assert got.usage.prompt_tokens == 11


@pytest.mark.usefixtures("provider")
def test_a_streamed_chat_keeps_its_pieces(client: openai.OpenAI) -> None:
    """Every delta arrives as one delta, in order, characters whole."""
    stream = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
    pieces = [chunk.choices[0].delta.content for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    assert tuple(pieces) == PIECES


@pytest.mark.usefixtures("provider")
def test_a_client_that_asks_for_usage_in_a_stream_gets_it(client: openai.OpenAI) -> None:
    """The usage chunk that the client itself wanted is not dropped."""
    stream = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True})
    usages = [chunk.usage for chunk in stream if chunk.usage]
    assert [u.total_tokens for u in usages] == [18]


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize("stream", [False, True])
def test_an_allowed_tool_is_called(client: openai.OpenAI, stream: bool) -> None:
    """Offers go up and calls come down, arguments in pieces where they are streamed."""
    messages: Any = [{"role": "user", "content": "call the tool"}]
    if stream:
        with client.chat.completions.stream(model="gpt-4o", messages=messages, tools=[WEATHER]) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER]).choices[0].message  # type: ignore[assignment]
    assert message.tool_calls
    assert message.tool_calls[0].function.name == "weather"  # type: ignore[union-attr]
    assert json.loads(message.tool_calls[0].function.arguments) == json.loads(ARGUMENTS)  # type: ignore[union-attr]


@pytest.mark.usefixtures("provider")
def test_responses_work_whole_and_streamed(client: openai.OpenAI) -> None:
    """The Responses API, which has its own events and no `[DONE]`."""
    assert client.responses.create(model="gpt-4o", input="Hello").output_text == REPLY
    deltas = [
        e.delta
        for e in client.responses.create(model="gpt-4o", input="Hello", stream=True)
        if e.type == "response.output_text.delta"
    ]
    assert tuple(deltas) == PIECES


@pytest.mark.usefixtures("provider")
def test_embeddings_work(client: openai.OpenAI) -> None:
    """The client asks for base64 and decodes it."""
    got = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert [e.embedding for e in got.data] == [[0.25, -0.5, 1.0]] * 2


@pytest.mark.usefixtures("provider")
def test_models_are_listed(client: openai.OpenAI) -> None:
    """The key's form says which provider a unified list is for."""
    assert [m.id for m in client.models.list()] == ["gpt-4o"]


@pytest.mark.parametrize("base", ["/v1", "/openai/v1"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_permission_denied_after_one_request(
    daemon: Daemon, provider: ProviderServer, base: str, stream: bool
) -> None:
    """The SDK raises its own exception, does not retry, and the provider sees nothing."""
    with Relay(daemon.port) as relay, openai.OpenAI(base_url=relay.url + base, api_key=KEY) as client:
        with pytest.raises(openai.PermissionDeniedError) as raised:
            client.chat.completions.create(model="forbidden-model", messages=HELLO, stream=stream)
        assert len(relay.requests) == 1
    assert provider.received == []
    assert raised.value.code == "llmcp_policy_denied"
    assert "forbidden-model" in str(raised.value)
    decision = raised.value.response.headers["x-llmcp-decision-id"]
    assert decision in str(raised.value)
    record = daemon.record(decision)
    assert record["outcome"] == "denied"
    assert [r["id"] for r in record["rules"]] == ["forbidden-model"]


def test_a_forbidden_tool_is_refused_before_it_is_offered(daemon: Daemon, provider: ProviderServer) -> None:
    """The offer of a denied tool never reaches the provider."""
    with openai.OpenAI(base_url=daemon.url + "/v1", api_key=KEY) as client, pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=[WEATHER, SHELL])
    assert provider.received == []


@pytest.mark.parametrize(
    ("status", "exception"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
def test_the_providers_own_error_reaches_the_client_word_for_word(
    daemon: Daemon, provider: ProviderServer, status: int, exception: type[openai.APIStatusError]
) -> None:
    """Body and rate-limit headers of an upstream error are passed on byte for byte."""
    body = b'{"error": {"message": "as the provider words it",  "type": "some_type", "param": "p", "code": "some_code"}}'
    provider.misbehave(Fault("status", status, body, (("retry-after", "7"), ("x-ratelimit-remaining-requests", "0"))))
    with openai.OpenAI(base_url=daemon.url + "/v1", api_key=KEY, max_retries=0) as client, pytest.raises(exception) as raised:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert raised.value.response.content == body
    assert raised.value.response.headers["retry-after"] == "7"
    assert raised.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(provider.received) == 1


def test_an_unknown_virtual_key_is_an_authentication_error(daemon: Daemon, provider: ProviderServer) -> None:
    """A value of our own form that nobody issued never goes on as if it were a provider's."""
    with (
        openai.OpenAI(base_url=daemon.url + "/openai/v1", api_key="llmcp_" + "q" * 40) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert provider.received == []


def test_a_stream_that_breaks_off_upstream_is_not_mistaken_for_a_complete_one(daemon: Daemon, provider: ProviderServer) -> None:
    """The client sees that the answer was cut short; what came before arrives."""
    provider.misbehave(Fault("reset_midway"))
    with openai.OpenAI(base_url=daemon.url + "/v1", api_key=KEY, max_retries=0) as client:
        stream = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        seen: list[str] = []
        with pytest.raises(Exception, match=r"(?i)incomplete|closed|peer|connection|error|provider|upstream"):
            seen.extend(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert "".join(seen) in ("", REPLY[: len("".join(seen))])


async def _async_chat(url: str) -> str:
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY) as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


@pytest.mark.usefixtures("provider")
def test_the_asynchronous_client_works(daemon: Daemon) -> None:
    """The same over asyncio."""
    import asyncio

    assert asyncio.run(_async_chat(daemon.url + "/v1")) == REPLY
