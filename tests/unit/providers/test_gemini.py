"""Gemini's dialect: what is read, edited and answered."""

import json
import re
from typing import Any

import pytest

from llmcp.core.messages import Channel, Observation, Operation, RequestEdits, RequestFacts, Text
from llmcp.errors import MalformedRequestError, NotEditableError
from llmcp.ports import Endpoint, Frame, Framing, Refusal, RefusalKind
from llmcp.providers.gemini import DIALECT, ROUTES

_TARGET = "/v1beta/models/gemini-2.5-flash:generateContent?alt=sse"


def _endpoint(kind: str = "generate", model: str = "gemini-2.5-flash") -> Endpoint:
    return Endpoint("gemini", DIALECT, Operation.CHAT, _TARGET, kind, model, stream=True)


def _read(body: Any, kind: str = "generate") -> RequestFacts:
    return DIALECT.read_request(_endpoint(kind), json.dumps(body).encode())


def _route(path: str, method: str = "POST") -> tuple[str, str, str]:
    for route in ROUTES:
        found = re.fullmatch(route.pattern, path)
        if found and (not route.methods or method in route.methods):
            return route.operation, route.kind, found.groupdict().get("model") or ""
    return "", "", ""


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/v1beta/models/g:generatecontent", "POST", ("chat", "generate", "g")),
        ("/v1beta/tunedmodels/g:streamgeneratecontent", "POST", ("chat", "generate", "g")),
        ("/v1/projects/p/locations/l/publishers/google/models/g:generatecontent", "POST", ("chat", "generate", "g")),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/c:rawpredict", "POST", ("", "", "")),
        ("/v1/projects/p/locations/l/publishers/mistralai/models/c:rawpredict", "POST", ("chat", "opaque", "c")),
        ("/v1/projects/p/locations/l/publishers/google/models/g:predict", "POST", ("other", "opaque", "g")),
        ("/v1beta/models/g:batchembedcontents", "POST", ("embeddings", "embed", "g")),
        ("/v1beta/models/g:counttokens", "POST", ("count_tokens", "count_tokens", "g")),
        ("/v1beta/models", "GET", ("models", "resource", "")),
        ("/v1beta/openai/models", "GET", ("", "", "")),
        ("/upload/v1beta/files", "POST", ("files", "resource", "")),
        ("/v1beta/cachedcontents", "POST", ("other", "cache", "")),
        ("/v1beta/cachedcontents/c", "GET", ("other", "resource", "")),
    ],
)
def test_paths_name_their_operation(path: str, method: str, expected: tuple[str, str, str]) -> None:
    """Google's own models on both hosts; other publishers' and the OpenAI-like paths are left to other dialects."""
    assert _route(path, method) == expected


def test_every_text_is_read_with_its_role_and_channel() -> None:
    """Both spellings, lone objects for arrays, thoughts, function calls and results; no signature, no binary part."""
    facts = _read(
        {
            "system_instruction": {"parts": {"text": "sys"}},
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}, {"inline_data": {"data": "AAAA"}}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "hm", "thought": True, "thoughtSignature": "SIG"},
                        {"function_call": {"name": "f", "args": {"a": "b"}}},
                        {"executableCode": {"language": "PYTHON", "code": "print()"}},
                    ],
                },
                {"parts": {"functionResponse": {"name": "f", "response": {"out": "x"}}}},
            ],
        }
    )
    assert facts.texts == (
        Text("system", Channel.TEXT, "sys"),
        Text("user", Channel.TEXT, "hi"),
        Text("model", Channel.REASONING, "hm"),
        Text("model", Channel.TOOL_ARGUMENTS, '{"a":"b"}'),
        Text("model", Channel.TEXT, "PYTHON"),
        Text("model", Channel.TEXT, "print()"),
        Text("user", Channel.TOOL_RESULT, "x"),
    )
    assert (facts.turns, facts.model, facts.stream) == (3, "gemini-2.5-flash", True)
    assert facts.skipped == (("inlineData", "binary or elsewhere"),)


@pytest.mark.parametrize(
    "config",
    [
        {"generationConfig": {"maxOutputTokens": 5, "temperature": 0.5}},
        {"generation_config": {"max_output_tokens": 5, "temperature": 0.5}},
        {"generationConfig": {"maxOutputTokens": "5", "temperature": "0.5"}},
    ],
)
def test_limits_are_read_in_every_spelling_that_google_takes(config: Any) -> None:
    """Numbers in strings too: its JSON mapping takes them."""
    facts = _read(config)
    assert (facts.max_tokens, facts.temperature) == (5, 0.5)


@pytest.mark.parametrize(
    "body",
    [
        b'{"generationConfig":{"maxOutputTokens":5},"generation_config":{"maxOutputTokens":9}}',
        b'{"generationConfig":{"maxOutputTokens":5,"max_output_tokens":9}}',
        b'{"generationConfig":{"maxOutputTokens":5,"maxOutputTokens":9}}',
        b'{"contents":[],"contents":[]}',
        b'{"generationConfig":[]}',
    ],
)
def test_a_field_in_two_spellings_is_refused(body: bytes) -> None:
    """Nothing a rule decides on may be ambiguous."""
    with pytest.raises(MalformedRequestError):
        DIALECT.read_request(_endpoint(), body)


def test_tools_are_named_by_function_or_by_key() -> None:
    """A built-in tool's key counts in camelCase, however it is spelled."""
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}, {"google_search": {}}, {"codeExecution": {}}]
    assert _read({"tools": tools}).tools == ("f", "g", "googleSearch", "codeExecution")
    assert _read({"tools": {"function_declarations": [{"name": "f"}]}}).tools == ("f",)


def test_the_tools_of_a_batchs_requests_are_read() -> None:
    """Each of them is a request of its own; together they offer what any of them offers."""
    request = {"request": {"contents": [], "tools": [{"functionDeclarations": [{"name": "shell"}]}]}}
    batch = {"batch": {"input_config": {"requests": {"requests": [request]}}}}
    assert _read(batch, "batch").tools == ("shell",)


def test_wrapped_and_embedding_requests_are_read() -> None:
    """`generateContentRequest` of countTokens, `requests` of a batch of embeddings."""
    content = {"parts": [{"text": "x"}]}
    assert _read({"generateContentRequest": {"contents": [content]}}, "count_tokens").texts == (Text("user", Channel.TEXT, "x"),)
    assert _read({"requests": [{"content": content}] * 2}, "embed").turns == 2


def test_a_wrapped_request_cannot_hide_the_contents() -> None:
    """Only countTokens knows `generateContentRequest`; elsewhere it is an unknown member."""
    facts = _read({"generateContentRequest": {"contents": []}, "contents": [{"parts": [{"text": "x"}]}]})
    assert len(facts.texts) == 1


def test_a_tools_own_json_is_read_under_every_key() -> None:
    """There, `id` and `data` are words like others."""
    part = {"functionResponse": {"name": "f", "response": {"id": "a", "data": {"type": "b"}}}}
    assert [t.text for t in _read({"contents": [{"parts": [part]}]}).texts] == ["a", "b"]


def test_usage_adds_thoughts_and_tool_prompts_and_the_last_report_counts() -> None:
    """Output has the thoughts in it, input the tool prompts and the cached tokens; a report without counts says nothing."""
    seen = Observation()
    for usage in (
        {"promptTokenCount": 1, "candidatesTokenCount": 1},
        {
            "promptTokenCount": 10,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 7,
            "toolUsePromptTokenCount": 3,
            "cachedContentTokenCount": 4,
        },
        {"trafficType": "ON_DEMAND"},
    ):
        DIALECT.read_event(_endpoint(), Frame(b"", "", json.dumps({"usageMetadata": usage}).encode()), seen)
    usage_seen = seen.usage
    assert (usage_seen.input_tokens, usage_seen.output_tokens, usage_seen.cached_tokens, usage_seen.reasoning_tokens) == (
        13,
        12,
        4,
        7,
    )


def test_candidates_are_told_apart_and_numeric_reasons_kept() -> None:
    """By their index, or their place where none is said."""
    body = {
        "candidates": [
            {"finishReason": 1, "content": {"parts": [{"text": "a"}, {"text": "b", "thought": True}]}},
            {"index": 4, "finishReason": "MAX_TOKENS", "content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}},
        ],
        "modelVersion": "m",
        "responseId": "i",
    }
    seen = Observation()
    DIALECT.read_body(_endpoint(), 200, (), json.dumps([body]).encode(), seen)
    assert seen.finish_reasons == {0: "1", 4: "MAX_TOKENS"}
    assert (seen.text_bytes, seen.reasoning_bytes, seen.model, seen.response_id, seen.terminal) == (1, 1, "m", "i", True)
    assert [(t.name, t.args_bytes) for t in seen.tools] == [("f", 7)]


def test_an_error_in_a_stream_is_read() -> None:
    """The type is Google's status."""
    seen = Observation()
    DIALECT.read_event(_endpoint(), Frame(b"", "", b'{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}'), seen)
    assert seen.error is not None
    assert (seen.error.type, seen.error.code) == ("RESOURCE_EXHAUSTED", "429")


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"contents": [] }', b'{"contents": [],"generationConfig":{"maxOutputTokens":5} }'),
        (b'{"generation_config": {"max_output_tokens": 9}}', b'{"generation_config": {"max_output_tokens": 5}}'),
        (b'{"generationConfig": {"topK" : 1}}', b'{"generationConfig": {"topK" : 1,"maxOutputTokens":5}}'),
        (b'{"generationConfig": null}', b'{"generationConfig": {"maxOutputTokens":5}}'),
    ],
)
def test_a_limit_is_set_in_the_clients_own_spelling(body: bytes, edited: bytes) -> None:
    """Two spellings of one field would be an error at Google's."""
    assert DIALECT.edit_request(_endpoint(), body, RequestEdits((("max_tokens", 5),))) == (_TARGET, edited)


def test_the_model_is_edited_in_the_path() -> None:
    """The query stays."""
    target, body = DIALECT.edit_request(_endpoint(), b"{}", RequestEdits((("model", "gemini-2.0"),)))
    assert (target, body) == ("/v1beta/models/gemini-2.0:generateContent?alt=sse", b"{}")


def test_stripped_tools_leave_no_empty_shells() -> None:
    """A declaration, a list of them, a tool, all tools: each goes when nothing is left of it, with the config that names it."""

    def strip(tools: Any, *names: str, **more: Any) -> Any:
        body = json.dumps({"tools": tools, **more}).encode()
        return json.loads(DIALECT.edit_request(_endpoint(), body, RequestEdits(strip_tools=frozenset(names)))[1])

    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}], "googleSearch": {}}, {"codeExecution": {}}]
    assert strip(tools, "f")["tools"] == [{"functionDeclarations": [{"name": "g"}], "googleSearch": {}}, {"codeExecution": {}}]
    assert strip(tools, "f", "g")["tools"] == [{"googleSearch": {}}, {"codeExecution": {}}]
    assert strip(tools, "f", "g", "googleSearch")["tools"] == [{"codeExecution": {}}]
    config = {"functionCallingConfig": {"allowedFunctionNames": ["f"]}}
    assert strip(tools, "f", "g", "googleSearch", "codeExecution", toolConfig=config) == {}
    assert "toolConfig" not in strip(tools, "f", toolConfig=config)
    assert "toolConfig" in strip(tools, "g", toolConfig=config)


def test_a_cache_cannot_be_edited() -> None:
    """It has no limits to set."""
    with pytest.raises(NotEditableError):
        DIALECT.edit_request(_endpoint("cache"), b"{}", RequestEdits((("max_tokens", 5),)))


def test_refusals_have_googles_form() -> None:
    """An int code and a status."""
    answer = DIALECT.refuse(Refusal(RefusalKind.POLICY, "no", "d-1"))
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["message"], error["status"]) == (403, 403, "no", "PERMISSION_DENIED")
    assert error["details"][0]["reason"] == "llmcp_policy_denied"


def test_a_refusal_keeps_a_stream_well_formed() -> None:
    """SSE: a chunk whose first key is `error`. JSON array: a last element and the bracket."""
    refusal = Refusal(RefusalKind.POLICY, "no", "d-1")
    assert DIALECT.refuse_in_stream(_endpoint(), refusal, Framing.SSE).startswith(b'data: {"error":{"code":403')
    array = b'[{"candidates":[]}' + DIALECT.refuse_in_stream(_endpoint(), refusal, Framing.JSON_ARRAY)
    assert json.loads(array)[1]["error"]["code"] == 403
