"""Models that a request names beside its own: a token for some models, and rules about models, are asked about each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakes.accesses import access, credential, make_token
from fakes.planes import exchange, plane
from llmcp.core.http import Forward, ReadBody, RequestHead, Respond

KEY, TOKEN = make_token(models=("gpt-4o*", "claude-sonnet-*"))
SERVED = access(TOKEN, credentials=[credential(name) for name in ("openai", "openrouter", "anthropic")])
JSON = (b"content-type", b"application/json")
GPT: dict[str, Any] = {"model": "gpt-4o"}
CLAUDE: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": []}
ADVISOR = {"type": "advisor_20260301", "name": "advisor"}


def ask(target: str, body: dict[str, Any]) -> Any:
    """Send one request."""
    run = exchange(plane(), access=SERVED)
    bearer = (b"authorization", b"Bearer " + KEY.encode())
    said: Any = run.receive_head(RequestHead("POST", target, (bearer, JSON, (b"content-length", b"9")), "127.0.0.1"))
    return run.receive_body(json.dumps(body).encode()) if isinstance(said, ReadBody) else said


PLACES: list[tuple[str, Any]] = [
    ("/openrouter/api/v1/chat/completions", lambda model: {**GPT, "messages": [], "models": [model]}),
    ("/openrouter/api/v1/responses", lambda model: {**GPT, "input": "x", "models": [model]}),
    ("/openrouter/api/v1/completions", lambda model: {**GPT, "prompt": "x", "models": ["gpt-4o", model]}),
    ("/openrouter/api/v1/messages", lambda model: {**CLAUDE, "models": [model]}),
    ("/v1/responses", lambda model: {**GPT, "input": "x", "tools": [{"type": "image_generation", "model": model}]}),
    ("/anthropic/v1/messages", lambda model: {**CLAUDE, "tools": [{**ADVISOR, "model": model}]}),
]


@pytest.mark.parametrize(("target", "body"), PLACES)
def test_a_token_for_some_models_names_no_other_beside_them(target: str, body: Any) -> None:
    """To fall back on, or for a tool of the provider's to work with."""
    refused = ask(target, body("dearest-model-1"))
    assert isinstance(refused, Respond)
    assert refused.status == 403
    assert b"dearest-model-1" in refused.body
    assert isinstance(ask(target, body("gpt-4o-mini")), Forward)


@pytest.mark.parametrize(("target", "body"), PLACES)
def test_such_a_model_is_read_for_certain_or_refused(target: str, body: Any) -> None:
    """What is no name is not taken for no model."""
    if "models" not in body("x"):
        return
    assert ask(target, {**body("gpt-4o-mini"), "models": "dearest-model-1"}).status == 400
    assert ask(target, {**body("gpt-4o-mini"), "Models": ["dearest-model-1"]}).status == 400


def test_a_clients_tool_may_have_a_parameter_called_model() -> None:
    """Only what stands beside its type is one."""
    schema = {"type": "object", "properties": {"model": {"type": "string"}}}
    assert isinstance(
        ask("/v1/responses", {**GPT, "input": "x", "tools": [{"type": "function", "name": "f", "parameters": schema}]}), Forward
    )
    assert isinstance(ask("/anthropic/v1/messages", {**CLAUDE, "tools": [{"name": "f", "input_schema": schema}]}), Forward)
