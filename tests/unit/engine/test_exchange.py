"""Rules of `llmcp.engine.exchange`, driven by bytes and compared by values."""

from __future__ import annotations

import gzip
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.planes import ALLOW, Program, ResponseProgram, deny, exchange, plane
from llmcp.core.decide import Decision, Verdict
from llmcp.core.http import Cut, Forward, Hold, ReadBody, Replay, RequestHead, Respond, ResponseStart
from llmcp.core.messages import RequestEdits
from llmcp.core.settings import AuthSettings, LimitSettings, ProviderSettings, Settings
from llmcp.engine.exchange import Exchange, State
from llmcp.errors import WrongStateError
from llmcp.ports import RefusalKind

KEY = b"Bearer sk-" + b"x" * 20
JSON = (b"content-type", b"application/json")
SSE = ((b"content-type", b"text/event-stream"),)
CHAT = b'{"model": "gpt-4o-mini",  "messages":[{"role":"user","content":"hi"}] , "max_tokens":5}'


def head(target: str = "/openai/v1/chat/completions", *extra: tuple[bytes, bytes], method: str = "POST") -> RequestHead:
    """A request head with a key and a JSON body to come."""
    return RequestHead(method, target, ((b"authorization", KEY), JSON, (b"content-length", b"9"), *extra), "127.0.0.1")


def ask(run: Exchange, body: bytes = CHAT, target: str = "/openai/v1/chat/completions", *extra: tuple[bytes, bytes]) -> Any:
    """Send a request into the exchange; return what it wants done."""
    said = run.receive_head(head(target, *extra))
    return run.receive_body(body) if isinstance(said, ReadBody) else said


def error_of(respond: Respond) -> dict[str, Any]:
    """Return the error object of an OpenAI-shaped refusal."""
    return json.loads(respond.body)["error"]


def test_nothing_edited_means_the_same_bytes() -> None:
    """White space, order and unknown fields of the body arrive as they were sent."""
    forward = ask(exchange(plane()))
    assert isinstance(forward, Forward)
    assert forward.body == CHAT
    assert forward.target == "/v1/chat/completions"
    assert (forward.origin.host, forward.origin.port) == ("127.0.0.1", 9)
    assert (b"authorization", KEY) in forward.headers


def test_an_edit_changes_the_bytes_of_its_field_alone() -> None:
    """`set` splices; the rest of the body stays byte for byte."""
    edits = Decision(Verdict.ALLOW, edits=RequestEdits((("max_tokens", 2),)))
    forward = ask(exchange(plane(Program(lambda _view: edits))))
    assert forward.body == CHAT.replace(b'"max_tokens":5', b'"max_tokens":2')


def test_a_denial_is_worded_in_the_callers_dialect_and_names_rule_and_decision() -> None:
    """403, the dialect's shape, nothing forwarded, and llmcp's own headers."""
    respond = ask(exchange(plane(Program(lambda _view: deny("no-mini", "ask for another")))))
    assert isinstance(respond, Respond)
    assert respond.status == 403
    error = error_of(respond)
    assert error["code"] == "llmcp_policy_denied"
    assert "ask for another" in error["message"]
    assert "p/no-mini" in error["message"]
    assert "d_test" in error["message"]
    assert (b"x-llmcp-decision-id", b"d_test") in respond.headers
    assert (b"x-llmcp-revision", b"sha256:test") in respond.headers
    assert (b"x-should-retry", b"false") in respond.headers


def test_a_rule_that_raises_refuses_with_503_and_leaks_nothing() -> None:
    """Fail closed: the exception's text, which may hold a body, is not repeated."""

    def explode(_view: Any) -> Decision:
        raise RuntimeError("secret of the body")

    ended: list[Exchange] = []
    run = exchange(plane(Program(explode)), ended)
    respond = ask(run)
    run.finished()
    assert respond.status == 503
    assert b"secret" not in respond.body
    assert ended[0].progress.error_type == "RuntimeError"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nope", b'{"model":"a","model":"b"}', b'{"model":"a","m\\u006fdel":"b"}', b"\xff\xfe{}", b"{"]
)
def test_a_body_that_cannot_be_read_for_sure_is_a_400(body) -> None:
    """What llmcp cannot read, or another reader may read differently, does not pass."""
    respond = ask(exchange(plane()), body)
    assert isinstance(respond, Respond)
    assert respond.status == 400


def test_another_content_type_on_a_json_operation_is_a_415() -> None:
    """A web page may send text/plain unasked."""
    run = exchange(plane())
    respond = run.receive_head(
        RequestHead("POST", "/openai/v1/chat/completions", ((b"content-type", b"text/plain"), (b"content-length", b"3")))
    )
    assert isinstance(respond, Respond)
    assert respond.status == 415


def test_a_virtual_key_is_refused_where_none_is_known() -> None:
    """Without an access snapshot every one is unknown."""
    respond = exchange(plane()).receive_head(
        RequestHead("POST", "/openai/v1/chat/completions", ((b"authorization", b"Bearer llmcp_" + b"a" * 20), JSON))
    )
    assert isinstance(respond, Respond)
    assert respond.status == 401


def test_require_virtual_key_forbids_pass_through() -> None:
    """A provider key is no longer enough."""
    settings = Settings(auth=AuthSettings(require_virtual_key=True))
    respond = exchange(plane(settings=settings)).receive_head(head())
    assert isinstance(respond, Respond)
    assert respond.status == 401


def test_a_key_of_another_provider_does_not_follow_the_model() -> None:
    """On unified paths the key's form names its owner; a model of somebody else's is a 401."""
    respond = ask(exchange(plane()), CHAT.replace(b"gpt-4o-mini", b"mistral-large-latest"), "/v1/chat/completions")
    assert isinstance(respond, Respond)
    assert respond.status == 401


def test_a_provider_prefix_on_a_unified_path_is_taken_off_the_model() -> None:
    """`openai/gpt-4o-mini` arrives as `gpt-4o-mini`, all other bytes as sent."""
    body = CHAT.replace(b"gpt-4o-mini", b"openai/gpt-4o-mini")
    forward = ask(exchange(plane()), body, "/v1/chat/completions")
    assert isinstance(forward, Forward)
    assert forward.body == CHAT


def test_an_unknown_prefix_is_a_404_without_a_record() -> None:
    """It never named a provider."""
    ended: list[Exchange] = []
    run = exchange(plane(), ended)
    respond = run.receive_head(head("/nobody/v1/chat/completions"))
    run.finished()
    assert isinstance(respond, Respond)
    assert respond.status == 404
    assert ended[0].progress.endpoint is None


def test_a_model_to_fall_back_on_is_asked_about_too() -> None:
    """A request that lets the provider take another model must pass with that one."""
    rule = Program(lambda view: deny() if view.facts.model == "o1-pro" else ALLOW)
    body = CHAT.replace(b"{", b'{"models":["gpt-4o","o1-pro"],', 1)
    assert isinstance(ask(exchange(plane(rule)), body, "/openrouter/api/v1/chat/completions"), Respond)
    assert isinstance(ask(exchange(plane(rule)), body.replace(b"o1-pro", b"o1"), "/openrouter/api/v1/chat/completions"), Forward)


def test_own_headers_stay_behind_and_unknown_ones_pass() -> None:
    """`x-llmcp-*`, proxy credentials and hop-by-hop headers never go upstream."""
    extra = ((b"x-llmcp-labels", b"team=a"), (b"proxy-authorization", b"Basic abc"), (b"te", b"trailers"), (b"x-replay-id", b"7"))
    forward = ask(exchange(plane()), CHAT, "/openai/v1/chat/completions", *extra)
    names = [name for name, _ in forward.headers]
    assert b"x-replay-id" in names
    assert not {b"x-llmcp-labels", b"proxy-authorization", b"te", b"host", b"content-length"} & set(names)


def test_a_compressed_request_is_read_and_forwarded_as_sent() -> None:
    """The rules see the text, the provider gets the same bytes."""
    seen = []
    run = exchange(plane(Program(lambda view: seen.append(view.facts.model) or ALLOW)))
    forward = ask(run, gzip.compress(CHAT), "/openai/v1/chat/completions", (b"content-encoding", b"gzip"))
    assert seen == ["gpt-4o-mini"]
    assert gzip.decompress(forward.body) == CHAT
    assert (b"content-encoding", b"gzip") in forward.headers


@pytest.mark.parametrize("target", ["/openai/v1/files", "/openai/v1/something/new", "/anthropic/v1/files"])
def test_an_upload_that_nothing_reads_is_streamed_through(target) -> None:
    """Files are not held in memory; the decision is taken on the head."""
    run = exchange(plane())
    said = run.receive_head(
        RequestHead(
            "POST",
            target,
            ((b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"99")),
        )
    )
    assert isinstance(said, Forward)
    assert said.body is None


def chunk(**delta: Any) -> bytes:
    """One chat chunk as an SSE event."""
    return b"data: " + json.dumps({"model": "m", "choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


CALL = chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "shell", "arguments": ""}}])
STREAM = b": hello\n\n" + chunk(content="Gr\u00fc\u00dfe") + chunk(content=" x") + b"data: [DONE]\n\n"


def begin(rules: ResponseProgram | None, headers: Any = SSE, status: int = 200) -> tuple[Exchange, Any]:
    """Bring an exchange to the response."""
    run = exchange(plane(Program(lambda _view: Decision(Verdict.ALLOW, response=rules))))
    assert isinstance(ask(run), Forward)
    return run, run.receive_response_head(status, headers)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_without_response_rules_every_chunk_passes_as_it_came(cuts) -> None:
    """Byte fidelity and pacing: one chunk in, the same chunk out."""
    run, started = begin(None)
    assert isinstance(started, ResponseStart)
    edges = sorted({0, *cuts, len(STREAM)})
    for start, end in itertools.pairwise(edges):
        assert run.receive_response_data(STREAM[start:end]) == STREAM[start:end]
    assert run.receive_response_end() == b""


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_gated_stream_that_is_allowed_is_the_same_bytes(cuts) -> None:
    """However it is cut, joined output equals input."""
    run, started = begin(ResponseProgram())
    assert isinstance(started, ResponseStart)
    edges = sorted({0, *cuts, len(STREAM)})
    out = b"".join(run.receive_response_data(STREAM[a:b]) for a, b in itertools.pairwise(edges))  # type: ignore[misc]
    assert out + run.receive_response_end() == STREAM  # type: ignore[operator]


@given(st.lists(st.integers(0, len(STREAM) + len(CALL)), max_size=12))
def test_a_refused_tool_call_never_leaves_however_the_stream_is_cut(cuts) -> None:
    """The call is withheld until its name is known; the stream ends with the dialect's own error."""
    stream = STREAM[: STREAM.index(b"data: [DONE]")] + CALL + b"data: [DONE]\n\n"
    run, _ = begin(ResponseProgram(tools=lambda name: name != "shell"))
    edges = sorted({0, *(c for c in cuts if c < len(stream)), len(stream)})
    out, ended = b"", None
    for start, end in itertools.pairwise(edges):
        said = run.receive_response_data(stream[start:end])
        if isinstance(said, Cut):
            ended = said
            break
        assert isinstance(said, bytes)
        out += said
    assert ended is not None
    assert b"shell" not in out
    assert out + ended.data.partition(b'data: {"error"')[0] == stream[: stream.index(CALL)]
    assert b"llmcp_policy_denied" in ended.data
    run.finished()
    assert run.progress.cut


def test_a_tool_call_without_a_name_is_withheld_until_it_has_one() -> None:
    """Some providers send the id first and the name later."""
    run, _ = begin(ResponseProgram(tools=lambda name: name != "shell"))
    nameless = chunk(tool_calls=[{"index": 0, "id": "c", "function": {"arguments": ""}}])
    assert run.receive_response_data(nameless) == b""
    assert isinstance(run.receive_response_data(CALL), Cut)


def test_a_rule_that_reads_the_response_holds_it_until_its_end() -> None:
    """Nothing leaves before the rule has spoken; then all of it, or a refusal."""
    for verdict, expected in ((ALLOW, Replay), (deny(), Respond)):
        run, started = begin(ResponseProgram(whole=lambda _v, said=verdict: said, reads=frozenset({"text"})))
        assert isinstance(started, Hold)
        assert run.receive_response_data(STREAM) == b""
        ended = run.receive_response_end()
        assert isinstance(ended, expected)
        if isinstance(ended, Replay):
            assert ended.body == STREAM
        assert run.state is State.DONE


def test_a_held_response_beyond_the_bound_is_refused() -> None:
    """A rule that did not run must not look as if it had."""
    settings = Settings(limits=LimitSettings(held_response_bytes=1024))
    rules = ResponseProgram(reads=frozenset({"text"}))
    run = exchange(plane(Program(lambda _view: Decision(Verdict.ALLOW, response=rules)), settings=settings))
    ask(run)
    run.receive_response_head(200, SSE)
    assert isinstance(run.receive_response_data(b"data: " + b"x" * 2000), Respond)


def test_a_response_in_an_unreadable_encoding_obeys_on_error() -> None:
    """Brotli is not read: deny refuses, ignore passes and is recorded as not scanned."""
    headers = (*SSE, (b"content-encoding", b"br"))
    run, started = begin(ResponseProgram(), headers)
    assert isinstance(started, Hold)
    assert isinstance(run.receive_response_data(b"xyz"), Respond)
    run, started = begin(ResponseProgram(on_error_deny=False), headers)
    assert isinstance(started, ResponseStart)
    assert run.receive_response_data(b"xyz") == b"xyz"
    assert run.progress.reader is not None
    assert run.progress.reader.skipped


def test_a_providers_own_error_passes_whatever_the_response_rules() -> None:
    """Clients' retry logic matches the provider's wording."""
    run, started = begin(ResponseProgram(reads=frozenset({"text"})), ((b"content-type", b"application/json"),), 429)
    assert isinstance(started, ResponseStart)
    body = b'{"error":{"message":"slow down","type":"rate_limit_error","code":null}}'
    assert run.receive_response_data(body) == body
    run.receive_response_end()
    assert run.progress.seen is not None
    assert run.progress.seen.error is not None
    assert run.progress.seen.error.type == "rate_limit_error"


def test_a_dead_upstream_is_a_502_in_the_dialect_before_and_a_break_within_the_response() -> None:
    """Before the first byte it is worded; after it the client sees the truncation."""
    run = exchange(plane())
    ask(run)
    respond = run.upstream_failed(RefusalKind.UPSTREAM_FAILED, "connection refused")
    assert isinstance(respond, Respond)
    assert respond.status == 502
    run, _ = begin(None)
    run.receive_response_data(chunk(content="a"))
    cut = run.upstream_failed(RefusalKind.UPSTREAM_FAILED, "closed early")
    assert cut == Cut(b"", clean=False)


def test_calls_out_of_order_raise() -> None:
    """The machine has one order."""
    run = exchange(plane())
    with pytest.raises(WrongStateError):
        run.receive_body(b"")
    ask(run)
    with pytest.raises(WrongStateError):
        run.receive_head(head())
    run.finished()
    with pytest.raises(WrongStateError):
        run.finished()


@given(
    st.binary(max_size=300),
    st.sampled_from(
        ["/openai/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/azure/ab/openai/deployments/m/chat/completions"]
    ),
)
def test_no_bytes_make_the_exchange_raise_or_forward_what_is_refused(body, target) -> None:
    """Hostile bodies under a policy that refuses everything: always an answer, never a forwarded request."""
    said = ask(exchange(plane(Program(lambda _view: deny()))), body, target)
    assert isinstance(said, Respond)
    assert 400 <= said.status < 600


def test_a_key_of_another_provider_beside_the_right_one_stays_behind() -> None:
    """Clients that send every key they have do not hand them all to one provider."""
    other = (b"x-api-key", b"sk-ant-api03-" + b"x" * 20)
    forward = ask(exchange(plane()), CHAT, "/v1/chat/completions", other)
    assert isinstance(forward, Forward)
    assert (b"authorization", KEY) in forward.headers
    assert other not in forward.headers


def test_geminis_key_of_the_query_replaces_the_headers() -> None:
    """One request carries one key."""
    key = "AIza" + "x" * 35
    target = f"/gemini/v1beta/models/m:generateContent?key={key}"
    run = exchange(plane(settings=Settings(providers={"gemini": ProviderSettings(base_url="http://127.0.0.1:9")})))
    said = run.receive_head(RequestHead("POST", target, (JSON, (b"x-goog-api-key", b"AIza" + b"y" * 35)), "127.0.0.1"))
    assert isinstance(said, ReadBody)
    forward = run.receive_body(b'{"contents":[]}')
    assert isinstance(forward, Forward)
    assert [value for name, value in forward.headers if name == b"x-goog-api-key"] == [key.encode()]


@pytest.mark.parametrize("name", [" gpt-4o", "gpt-4o ", "gpt-4o\n", "\u0000gpt-4o", "gpt-\u200b4o"])
@pytest.mark.parametrize("field", ["model", "models"])
def test_a_model_whose_name_is_not_plain_is_refused(name: str, field: str) -> None:
    """A host that trims it would serve what no glob matched."""
    body = {"model": "m", "messages": [], field: name if field == "model" else [name]}
    assert ask(exchange(plane()), json.dumps(body).encode()).status == 400


def test_an_endpoint_that_nothing_reads_is_not_called_where_its_answer_would_be_refused() -> None:
    """A rule that reads answers refuses before the provider has done the work."""
    reading = ResponseProgram(on_error_deny=True, reads=frozenset({"text"}))
    respond = ask(exchange(plane(Program(lambda _view: Decision(Verdict.ALLOW, response=reading)))), CHAT, "/openai/v1/brand/new")
    assert isinstance(respond, Respond)
    assert respond.status == 403


def test_an_endpoint_that_nothing_reads_passes_a_rule_about_tools_and_is_recorded_as_such() -> None:
    """Without a content rule such an endpoint passes (CONTRACT section 2); the record says that nothing was inspected."""
    run = exchange(plane(Program(lambda _view: Decision(Verdict.ALLOW, response=ResponseProgram()))))
    assert isinstance(ask(run, CHAT, "/openai/v1/brand/new"), Forward)
    assert isinstance(run.receive_response_head(200, (JSON,)), ResponseStart)
    assert run.receive_response_data(b"{}") == b"{}"
    assert run.progress.reader is not None
    assert run.progress.reader.skipped


@pytest.mark.parametrize("first", ["shell", "fine"])
def test_an_array_that_is_cut_is_json_wherever_the_cut_falls(first: str) -> None:
    """Also before its first element, when the client has seen no bracket yet."""
    rules = Program(lambda _view: Decision(Verdict.ALLOW, response=ResponseProgram(tools=lambda name: name != "shell")))
    run = exchange(plane(rules, settings=Settings(providers={"gemini": ProviderSettings(base_url="http://127.0.0.1:9")})))
    run.receive_head(RequestHead("POST", "/gemini/v1beta/models/m:streamGenerateContent", (JSON,), "127.0.0.1"))
    run.receive_body(b'{"contents":[]}')
    run.receive_response_head(200, (JSON,))
    call = '{"candidates":[{"content":{"parts":[{"functionCall":{"name":"%s","args":{}}}]}}]}'
    sent = b""
    for piece in (f"[{call % first}", f",{call % 'shell'}", "]"):
        said = run.receive_response_data(piece.encode())
        if isinstance(said, Cut):
            sent += said.data
            break
        sent += said
    assert json.loads(sent)[-1]["error"]["code"] == 403


def test_a_negative_limit_is_none() -> None:
    """Local servers take -1 for "no limit"."""
    views: list[Any] = []

    def look(view: Any) -> Decision:
        views.append(view)
        return ALLOW

    ask(exchange(plane(Program(look))), b'{"model":"m","messages":[],"max_tokens":-1}')
    ask(exchange(plane(Program(look))), b'{"model":"m","messages":[],"max_tokens":-1,"max_completion_tokens":5}')
    assert [view.facts.max_tokens for view in views] == [None, None]


def test_an_ambiguous_message_is_refused_where_a_rule_reads_messages() -> None:
    """Some servers take the first of two keys, some do not care for letter case."""
    body = b'{"model":"m","messages":[{"role":"user","content":"a","Content":"b"}]}'
    assert ask(exchange(plane()), body).status == 400
    assert isinstance(ask(exchange(plane(Program(reads_inside=False))), body), Forward)


def test_response_rules_of_a_model_to_fall_back_on_are_asked_too() -> None:
    """Which of the models answers is known too late to choose whose rules to ask."""
    guard = ResponseProgram(tools=lambda name: name != "shell")
    rule = Program(lambda view: Decision(Verdict.ALLOW, response=guard if view.facts.model == "o1" else None))
    run = exchange(plane(rule))
    body = CHAT.replace(b"{", b'{"models":["gpt-4o","o1"],', 1)
    assert isinstance(ask(run, body, "/openrouter/api/v1/chat/completions"), Forward)
    run.receive_response_head(200, SSE)
    assert isinstance(run.receive_response_data(CALL), Cut)


@pytest.mark.parametrize("content", [{"text": "secret"}, [["nested"]], 5])
def test_content_in_an_unexpected_form_is_recorded_as_not_read(content: Any) -> None:
    """A guard that did not see a text must not look as if it had."""
    run = exchange(plane())
    ask(run, json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode())
    assert run.progress.facts.skipped
