"""Every dialect, given anything at all: only the two errors of the port, and values that can be recorded."""

import base64
import contextlib
import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.core.messages import Observation, RequestEdits
from llmcp.errors import MalformedRequestError, NotEditableError
from llmcp.ports import Endpoint, Frame, Framing, Refusal, RefusalKind
from llmcp.providers import anthropic, bedrock, cohere, gemini, ollama
from unit.providers import dialect_samples

_MODULES = {m.DIALECT.name: m for m in (anthropic, bedrock, cohere, gemini, ollama)}
_OWN_ERRORS = (MalformedRequestError, NotEditableError)


_JUNK: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, 5, -1, 2**70, 1e300, float("nan"), "", "x", "5", "\ud83d", [], {}, ["x"], {"a": 1}, [[]], [None], [{}]]
    ),
    st.recursive(st.text(max_size=3), lambda inner: st.lists(inner, max_size=2), max_leaves=3),
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container and key inside `value`."""
    found: list[tuple[Any, Any]] = []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found += [(value, key), *_places(value[key])]
    return found


@st.composite
def _damaged(draw: st.DrawFn, samples: list[Any]) -> bytes:
    """Draw a sample with up to four of its values replaced by something else, or plain noise."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=40))
    value = copy.deepcopy(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 4))):
        places = _places(value)
        if not places:
            break
        container, key = places[draw(st.integers(0, len(places) - 1))]
        container[key] = copy.deepcopy(draw(_JUNK))
    return json.dumps(value, indent=draw(st.sampled_from([None, 1]))).encode()


def _endpoints(name: str) -> list[Endpoint]:
    module = _MODULES[name]
    dialect: Any = module.DIALECT
    routes: Any = module.ROUTES
    return [
        Endpoint(name, dialect, r.operation, "/v1/models/m:x?a=b", r.kind, model, r.stream, r.json_body, r.inspectable)
        for r in routes
        for model in ("", "m")
    ]


_EVENTS = ["", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata", "throttlingException", "other"]
_EDITS = RequestEdits((("max_tokens", 5), ("temperature", 0.5)), frozenset({"f", "shell", "googleSearch"}))


@pytest.mark.parametrize("name", _MODULES)
def test_no_request_raises_anything_but_the_ports_two_errors(name: str) -> None:
    """Whatever the body, its facts can be recorded or it is refused."""

    @given(st.sampled_from(_endpoints(name)), _damaged(dialect_samples.REQUESTS[name]))
    @settings(max_examples=200, deadline=None)
    def check(endpoint: Endpoint, body: bytes) -> None:
        try:
            facts = endpoint.dialect.read_request(endpoint, body)
        except _OWN_ERRORS:
            return
        msgspec.json.encode(facts)
        assert isinstance(facts.model, str)
        assert facts.max_tokens is None or abs(facts.max_tokens) < 2**63
        assert all(isinstance(t.text, str) and isinstance(t.role, str) for t in facts.texts)
        assert all(isinstance(t, str) for t in facts.tools)
        assert facts.text_bytes() >= 0

    check()


@pytest.mark.parametrize("name", _MODULES)
def test_no_edit_raises_anything_but_the_ports_two_errors(name: str) -> None:
    """An edit succeeds, and its result reads as it says, or it is refused."""

    @given(st.sampled_from(_endpoints(name)), _damaged(dialect_samples.REQUESTS[name]))
    @settings(max_examples=200, deadline=None)
    def check(endpoint: Endpoint, body: bytes) -> None:
        try:
            endpoint.dialect.read_request(endpoint, body)
            _, edited = endpoint.dialect.edit_request(endpoint, body, _EDITS)
            facts = endpoint.dialect.read_request(endpoint, edited)
        except _OWN_ERRORS:
            return
        assert facts.max_tokens == 5

    check()


@pytest.mark.parametrize("name", _MODULES)
def test_no_response_raises(name: str) -> None:
    """Events and bodies of any shape leave an observation that can be recorded."""

    @given(
        st.sampled_from(_endpoints(name)),
        st.lists(st.tuples(st.sampled_from(_EVENTS), _damaged(dialect_samples.RESPONSES[name]), st.booleans()), max_size=4),
        st.sampled_from([200, 429]),
    )
    @settings(max_examples=200, deadline=None)
    def check(endpoint: Endpoint, events: list[tuple[str, bytes, bool]], status: int) -> None:
        seen = Observation(keep_text=True)
        for event, data, whole in events:
            if whole:
                endpoint.dialect.read_body(endpoint, status, ((b"x-amzn-bedrock-input-token-count", b"5"),), data, seen)
                continue
            endpoint.dialect.read_event(endpoint, Frame(data, event, data), seen)
            chunk = json.dumps({"bytes": base64.b64encode(data).decode()}).encode()
            endpoint.dialect.read_event(endpoint, Frame(chunk, "chunk", chunk), seen)
        msgspec.json.encode((seen.model, seen.response_id, seen.usage, seen.finish_reasons, seen.tools, seen.texts, seen.error))
        usage = seen.usage
        assert all(n is None or 0 <= n < 2**66 for n in (usage.input_tokens, usage.output_tokens, usage.cached_tokens))
        assert all(isinstance(r, str) for r in seen.finish_reasons.values())

    check()


@pytest.mark.parametrize("name", _MODULES)
def test_every_refusal_has_a_wording_for_every_framing(name: str) -> None:
    """A refusal never fails, and its message is in it."""
    for endpoint in _endpoints(name):
        for kind in RefusalKind:
            refusal = Refusal(kind, 'rule "x" said no', "d-1")
            answer = endpoint.dialect.refuse(refusal)
            assert answer.status == refusal.status
            assert json.loads(answer.body)
            assert b"said no" in answer.body
            for framing in Framing:
                event = endpoint.dialect.refuse_in_stream(endpoint, refusal, framing)
                assert not event or b"said no" in event


@pytest.mark.parametrize("name", _MODULES)
def test_a_deeply_nested_body_is_refused_or_read_but_never_overflows(name: str) -> None:
    """Nesting beyond any stack is no way to stop a dialect."""
    for endpoint in _endpoints(name):
        for body in (b'{"messages":' + b"[" * 200_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"[" * 100_000 + b"]" * 100_000):
            with contextlib.suppress(*_OWN_ERRORS):
                endpoint.dialect.read_request(endpoint, body)
            endpoint.dialect.read_body(endpoint, 200, (), body, Observation())
            endpoint.dialect.read_event(endpoint, Frame(body, "chunk", body), Observation())
