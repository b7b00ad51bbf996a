"""Bedrock's dialect: what is read, and what is refused."""

import base64
import json
import re
from typing import Any

import pytest

from llmcp.core.http import header
from llmcp.core.messages import Channel, Observation, Operation, RequestEdits, RequestFacts, Text
from llmcp.engine.aws_eventstream import AwsEventStreamFramer
from llmcp.errors import NotEditableError
from llmcp.ports import Endpoint, Frame, Framing, Refusal, RefusalKind
from llmcp.providers.bedrock import DIALECT, ROUTES


def _endpoint(kind: str = "converse") -> Endpoint:
    return Endpoint("bedrock", DIALECT, Operation.CHAT, "/model/m/x", kind, "m", stream=True)


def _read(body: Any, kind: str = "converse") -> RequestFacts:
    return DIALECT.read_request(_endpoint(kind), json.dumps(body).encode())


def _answer(body: Any, kind: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Observation:
    seen = Observation(keep_text=True)
    DIALECT.read_body(_endpoint(kind), 200, headers, json.dumps(body).encode(), seen)
    return seen


def _events(*events: tuple[str, Any]) -> Observation:
    seen = Observation(keep_text=True)
    for name, value in events:
        DIALECT.read_event(_endpoint(), Frame(b"", name, json.dumps(value).encode()), seen)
    return seen


def _chunks(*values: Any) -> Observation:
    seen = Observation(keep_text=True)
    for value in values:
        data = json.dumps({"bytes": base64.b64encode(json.dumps(value).encode()).decode()}).encode()
        DIALECT.read_event(_endpoint("invoke"), Frame(b"", "chunk", data), seen)
    return seen


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/model/amazon.nova-lite-v1:0/converse", ("converse", "amazon.nova-lite-v1:0", False)),
        ("/model/a/converse-stream", ("converse", "a", True)),
        (
            "/model/arn:aws:bedrock:r:1:inference-profile%2fus.a/invoke",
            ("invoke", "arn:aws:bedrock:r:1:inference-profile%2fus.a", False),
        ),
        (
            "/model/arn:aws:bedrock:r:1:inference-profile/us.a/invoke",
            ("invoke", "arn:aws:bedrock:r:1:inference-profile/us.a", False),
        ),
        ("/model/a/invoke-with-response-stream", ("invoke", "a", True)),
        ("/model/a/count-tokens", ("count_tokens", "a", False)),
    ],
)
def test_the_path_names_model_form_and_stream(path: str, expected: tuple[str, str, bool]) -> None:
    """Also where the model is an ARN, with its slash escaped or not."""
    route, found = next((r, m) for r in ROUTES if (m := re.fullmatch(r.pattern, path)))
    assert (route.kind, found["model"], route.stream) == expected


def test_every_text_of_converse_is_read() -> None:
    """Roles and channels; no signature, no redacted content, no binary part."""
    facts = _read(
        {
            "system": [{"text": "sys"}, {"cachePoint": {"type": "default"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [{"text": "hi"}, {"guardContent": {"text": {"text": "guarded"}}}, {"image": {"source": {}}}],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "SIG"}}},
                        {"reasoningContent": {"redactedContent": "SECRET"}},
                        {"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": "b"}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [{"toolResult": {"toolUseId": "1", "content": [{"text": "r"}, {"json": {"k": "v"}}]}}],
                },
            ],
            "inferenceConfig": {"maxTokens": 7, "temperature": 0.5},
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "f"}}, {"systemTool": {"name": "nova_grounding"}}, {"cachePoint": {}}]
            },
        }
    )
    assert facts.texts == (
        Text("system", Channel.TEXT, "sys"),
        Text("user", Channel.TEXT, "hi"),
        Text("user", Channel.TEXT, "guarded"),
        Text("assistant", Channel.REASONING, "hm"),
        Text("assistant", Channel.TOOL_ARGUMENTS, '{"a":"b"}'),
        Text("user", Channel.TOOL_RESULT, "r"),
        Text("user", Channel.TOOL_RESULT, "v"),
    )
    assert (facts.model, facts.max_tokens, facts.temperature, facts.turns) == ("m", 7, 0.5, 3)
    assert facts.tools == ("f", "nova_grounding")


@pytest.mark.parametrize(
    ("body", "limit", "text"),
    [
        ({"anthropic_version": "v", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}, 5, "x"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}], "inferenceConfig": {"max_new_tokens": 5}}, 5, "x"),
        ({"prompt": "x", "max_gen_len": 5}, 5, "x"),
        ({"prompt": "x", "max_tokens_to_sample": 5}, 5, "x"),
        ({"inputText": "x", "textGenerationConfig": {"maxTokenCount": 5}}, 5, "x"),
        ({"message": "x", "chat_history": []}, None, "x"),
        ({"texts": ["x"]}, None, "x"),
    ],
)
def test_every_vendors_invoke_body_is_read(body: Any, limit: int | None, text: str) -> None:
    """The form is told from the body alone."""
    facts = _read(body, "invoke")
    assert (facts.max_tokens, facts.texts, facts.inspected) == (limit, (Text("user", Channel.TEXT, text),), True)


def test_an_unknown_invoke_body_is_searched_and_said_to_be_not_inspected() -> None:
    """A rule can then decide by its `onError`."""
    facts = _read({"taskType": "T", "deep": {"text": {"value": "x"}}}, "invoke")
    assert not facts.inspected
    assert facts.texts[-1].text == "x"


def test_count_tokens_is_read_in_both_forms() -> None:
    """Converse in the open, Invoke in base64."""
    converse = {"messages": [{"role": "user", "content": [{"text": "x"}]}]}
    assert _read({"input": {"converse": converse}}, "count_tokens").turns == 1
    inner = base64.b64encode(b'{"prompt":"x"}').decode()
    assert _read({"input": {"invokeModel": {"body": inner}}}, "count_tokens").texts[0].text == "x"


def test_a_signed_body_is_never_edited() -> None:
    """Any change would break the signature."""
    with pytest.raises(NotEditableError, match="cannot be edited") as caught:
        DIALECT.edit_request(_endpoint(), b"{}", RequestEdits((("max_tokens", 5),)))
    assert "signed" in caught.value.why
    assert DIALECT.edit_request(_endpoint(), b"{}", RequestEdits()) == ("/model/m/x", b"{}")


def test_a_converse_stream_is_read() -> None:
    """Text, reasoning, tool calls, stop reason; usage includes the cache."""
    seen = _events(
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "ab"}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"reasoningContent": {"text": "r"}}}),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"name": "f"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": "{}"}}}),
        ("messageStop", {"stopReason": "tool_use"}),
        (
            "metadata",
            {
                "usage": {
                    "inputTokens": 1,
                    "outputTokens": 2,
                    "cacheReadInputTokens": 10,
                    "cacheWriteInputTokens": 20,
                    "cacheDetails": [{"ttl": "1h", "inputTokens": 5}, {"ttl": "5m", "inputTokens": 15}],
                }
            },
        ),
    )
    usage = seen.usage
    assert (seen.texts, seen.reasoning_bytes, seen.finish_reasons, seen.terminal) == (["ab"], 1, {0: "tool_use"}, True)
    assert [(t.name, t.args_bytes) for t in seen.tools] == [("f", 2)]
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (31, 2, 10)
    assert (usage.cache_write_tokens, usage.cache_write_1h_tokens) == (20, 5)


def test_invoke_chunks_are_read_in_every_form() -> None:
    """Anthropic's events, Nova's, Llama's; the invocation metrics fill what the vendor did not say."""
    metrics = {"inputTokenCount": 4, "outputTokenCount": 5}
    seen = _chunks(
        {"type": "message_start", "message": {"model": "c", "usage": {"input_tokens": 3}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics},
    )
    assert (seen.model, seen.texts, seen.usage.input_tokens, seen.usage.output_tokens, seen.terminal) == ("c", ["a"], 3, 5, True)
    seen = _chunks({"contentBlockDelta": {"delta": {"text": "a"}}}, {"messageStop": {"stopReason": "end_turn"}})
    assert (seen.texts, seen.finish_reasons) == (["a"], {0: "end_turn"})
    seen = _chunks(
        {"generation": "a", "prompt_token_count": 3}, {"generation": "", "stop_reason": "stop", "generation_token_count": 2}
    )
    assert (seen.texts[0], seen.finish_reasons, seen.usage.input_tokens, seen.usage.output_tokens) == ("a", {0: "stop"}, 3, 2)


def test_plain_answers_are_read_and_headers_fill_the_usage() -> None:
    """Titan, AI21, the first Claude models."""
    seen = _answer(
        {"inputTextTokenCount": 3, "results": [{"tokenCount": 2, "outputText": "a", "completionReason": "FINISH"}]}, "invoke"
    )
    assert (seen.usage.input_tokens, seen.usage.output_tokens, seen.finish_reasons, seen.texts[-1]) == (3, 2, {0: "FINISH"}, "a")
    seen = _answer({"completions": [{"data": {"text": "a"}, "finishReason": {"reason": "length"}}]}, "invoke")
    assert (seen.texts[-1], seen.finish_reasons) == ("a", {0: "length"})
    headers = ((b"x-amzn-bedrock-input-token-count", b"7"), (b"x-amzn-bedrock-output-token-count", b"8"))
    seen = _answer({"completion": "a", "stop_reason": "stop"}, "invoke", headers)
    assert (seen.usage.input_tokens, seen.usage.output_tokens) == (7, 8)


def test_an_exception_in_the_stream_is_an_error() -> None:
    """Its type is the message's `:exception-type`."""
    seen = _events(("throttlingException", {"message": "slow down"}))
    assert seen.error is not None
    assert (seen.error.type, seen.error.message) == ("throttlingException", "slow down")


def test_a_damaged_message_is_counted() -> None:
    """The framer gives it neither name nor data."""
    seen = Observation()
    DIALECT.read_event(_endpoint(), Frame(b"junk", "", b""), seen)
    assert seen.unreadable == 1


def test_the_error_type_stands_in_a_header() -> None:
    """With an address behind a colon, sometimes."""
    seen = Observation()
    headers = ((b"x-amzn-errortype", b"AccessDeniedException:http://internal/"),)
    DIALECT.read_body(_endpoint(), 403, headers, b'{"message":"no access"}', seen)
    assert seen.error is not None
    assert (seen.error.type, seen.error.message) == ("AccessDeniedException", "no access")


@pytest.mark.parametrize(
    ("kind", "error_type"),
    [
        (RefusalKind.POLICY, "AccessDeniedException"),
        (RefusalKind.RATE, "ThrottlingException"),
        (RefusalKind.BUDGET, "ServiceQuotaExceededException"),
        (RefusalKind.UNAVAILABLE, "ServiceUnavailableException"),
    ],
)
def test_refusals_have_the_services_own_types(kind: RefusalKind, error_type: str) -> None:
    """SDKs find the exception's class by the header."""
    answer = DIALECT.refuse(Refusal(kind, "no", "d-1"))
    assert header(answer.headers, b"x-amzn-errortype").decode() == error_type
    assert json.loads(answer.body) == {"message": "no"}


def test_a_refusal_in_a_stream_is_a_well_formed_exception_message() -> None:
    """With right checksums: SDKs check them."""
    data = DIALECT.refuse_in_stream(_endpoint(), Refusal(RefusalKind.POLICY, "no", "d-1"), Framing.AWS_EVENTSTREAM)
    framer = AwsEventStreamFramer()
    assert [(f.name, f.data) for f in framer.feed(data)] == [("validationException", b'{"message":"no"}')]
    assert framer.close() == []
