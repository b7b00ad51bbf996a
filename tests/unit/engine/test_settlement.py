"""What an exchange that is over leaves in its record."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fakes.planes import exchange, plane
from llmcp import data
from llmcp.core.http import Forward, ReadBody, RequestHead
from llmcp.core.pricing import PriceTable
from llmcp.core.records import DecisionRecord
from llmcp.engine.settlement import settle

JSON = (b"content-type", b"application/json")
BODY = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello there"}]}'


def answered(status: int, body: bytes) -> DecisionRecord:
    """Return the record of a chat request that got this answer."""
    run = exchange(plane())
    head = RequestHead("POST", "/openai/v1/chat/completions", ((b"authorization", b"Bearer sk-" + b"x" * 20), JSON), "127.0.0.1")
    assert isinstance(run.receive_head(head), ReadBody)
    assert isinstance(run.receive_body(BODY), Forward)
    run.receive_response_head(status, (JSON,))
    run.receive_response_data(body)
    run.receive_response_end()
    run.finished()
    record = settle(run, prices=PriceTable.load(data.prices()), now=datetime(2026, 11, 21, tzinfo=UTC), ended_ns=1)
    assert record is not None
    return record


@pytest.mark.parametrize("status", [302, 304, 404, 500])
def test_what_no_model_answered_costs_nothing(status: int) -> None:
    """Redirects and errors: no usage is guessed for them."""
    record = answered(status, b"")
    assert (record.gen_ai.input_tokens, record.cost_microusd) == (0, 0)


def test_an_answer_without_usage_is_estimated() -> None:
    """Never 0 for work that was done."""
    record = answered(200, b'{"model":"gpt-4o-mini","choices":[{"message":{"content":"hello to you too"}}]}')
    assert record.gen_ai.input_tokens > 0
    assert record.cost_microusd > 0
