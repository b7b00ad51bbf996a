"""Refusals in OpenAI's words."""

from __future__ import annotations

import json

import pytest

from llmcp.core.http import header
from llmcp.core.messages import Observation, Operation
from llmcp.engine.framing import SseFramer
from llmcp.ports import REFUSAL_STATUS, Endpoint, Framing, Refusal, RefusalKind
from llmcp.providers import openai_chat, openai_responses


@pytest.mark.parametrize("kind", list(RefusalKind))
def test_every_refusal_has_status_and_shape(kind: RefusalKind) -> None:
    """The SDK finds message, type, param and code."""
    answer = openai_chat.DIALECT.refuse(Refusal(kind, "why", "d1"))
    error = json.loads(answer.body)["error"]
    assert answer.status == REFUSAL_STATUS[kind]
    assert error["message"] == "why"
    assert error["code"] == kind.value
    assert error["param"] is None
    assert error["type"]


@pytest.mark.parametrize(
    "kind",
    [
        RefusalKind.POLICY,
        RefusalKind.BUDGET,
        RefusalKind.APPROVAL,
        RefusalKind.UNAUTHENTICATED,
        RefusalKind.BAD_REQUEST,
        RefusalKind.TOO_LARGE,
    ],
)
def test_what_a_retry_cannot_change_says_so(kind: RefusalKind) -> None:
    """Else both SDKs would try twice more."""
    assert header(openai_chat.DIALECT.refuse(Refusal(kind, "m", "d")).headers, b"x-should-retry") == b"false"


def test_a_rate_refusal_says_when_to_come_back() -> None:
    """`retry-after`, and no word against retrying."""
    headers = openai_chat.DIALECT.refuse(Refusal(RefusalKind.RATE, "m", "d")).headers
    assert int(header(headers, b"retry-after")) >= 1
    assert not header(headers, b"x-should-retry")


def test_a_spent_budget_is_insufficient_quota() -> None:
    """The type that OpenAI's clients know."""
    answer = openai_chat.DIALECT.refuse(Refusal(RefusalKind.BUDGET, "m", "d"))
    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (429, "insufficient_quota")


def test_a_refusal_inside_a_stream_is_read_back_as_an_error() -> None:
    """By our own reader, as by the SDK."""
    for module, code in ((openai_chat, "llmcp_policy_denied"), (openai_responses, "invalid_prompt")):
        endpoint = Endpoint("p", module.DIALECT, Operation.CHAT, "/")
        seen = Observation()
        for frame in SseFramer().feed(
            module.DIALECT.refuse_in_stream(endpoint, Refusal(RefusalKind.POLICY, "m", "d"), Framing.SSE)
        ):
            module.DIALECT.read_event(endpoint, frame, seen)
        assert seen.error is not None
        assert (seen.error.code, seen.error.message) == (code, "m")
