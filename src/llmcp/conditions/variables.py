"""The variables of conditions: name, type, where the value stands in a view, and the neutral value of what nobody said.

Rules:
1. A variable always has a value. What a request does not say: `max_tokens` 2^63-1, `temperature` 1.0, strings, lists and maps empty.
2. Integers are clamped to 64 bits and strings freed of lone surrogates and NULs, so that binding neither fails nor cuts short.
3. Texts are bound up to `TEXT_BOUND` characters: more than any model's context takes, so padding hides nothing from a rule.
4. `request.labels` are the token's own wherever a verdict hangs on them; `ALL_LABELS` adds what the client says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmcp.core.decide import RequestView
    from llmcp.core.messages import Text

INT_MAX = 2**63 - 1
INT_MIN = -(2**63)

_NUL_STAND_IN = "\ufffd"

TEXT_BOUND = 4 * 1024 * 1024

ALL_LABELS = "request.labels#all"
"""What a condition reads instead of `request.labels` where no verdict hangs on it: the client's labels too, the token's first."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. `type` is its CEL type, `read` takes the view (or the response view) to the CEL value.

    `memo` is a path whose value may stand in a memo key, '' where the value changes with every request.
    """

    name: str
    type: str
    read: Callable[[Any], Any]
    memo: str = ""
    response: bool = False


def clean(text: str) -> str:
    """Return `text` with what the library cannot bind replaced, and nothing else changed.

    It raises for lone surrogates and silently ends a string at its first NUL, which would hide the rest from every rule.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", _NUL_STAND_IN) if "\0" in text else text


def _text(path: str) -> Callable[[Any], str]:
    get = attrgetter(path)
    return lambda view: clean(get(view))


def _texts(path: str) -> Callable[[Any], list[str]]:
    get = attrgetter(path)
    return lambda view: [clean(text) for text in get(view)]


def _labels(path: str) -> Callable[[Any], dict[str, str]]:
    get = attrgetter(path)
    return lambda view: {clean(key): clean(value) for key, value in get(view).items()}


def _int(path: str) -> Callable[[Any], int]:
    get = attrgetter(path)
    return lambda view: min(max(get(view), INT_MIN), INT_MAX)


def _max_tokens(view: RequestView) -> int:
    said = view.facts.max_tokens
    return INT_MAX if said is None else min(max(said, INT_MIN), INT_MAX)


def _temperature(view: RequestView) -> float:
    said = view.facts.temperature
    return 1.0 if said is None else float(said)


def request_text(view: RequestView) -> str:
    """Return what `request.text` is bound to, joined once for a view."""
    texts = view.facts.texts
    known = view.joined
    if known is None or known[0] is not texts:
        known = view.joined = (texts, _joined(texts))
    return known[1]


def _joined(texts: tuple[Text, ...]) -> str:
    return clean("\n".join([text.text for text in texts])[:TEXT_BOUND])


def _all_labels(view: RequestView) -> dict[str, str]:
    return {clean(key): clean(value) for key, value in {**view.labels, **view.subject.labels}.items()}


_TABLE = (
    Variable("request.model", "string", _text("facts.model"), "facts.model"),
    Variable("request.provider", "string", _text("provider"), "provider"),
    Variable("request.operation", "string", lambda view: view.operation.value, "operation"),
    Variable("request.stream", "bool", attrgetter("facts.stream"), "facts.stream"),
    Variable("request.max_tokens", "int", _max_tokens, "facts.max_tokens"),
    Variable("request.has_max_tokens", "bool", lambda view: view.facts.max_tokens is not None, "facts.max_tokens"),
    Variable("request.temperature", "double", _temperature, "facts.temperature"),
    Variable("request.input_tokens", "int", _int("input_tokens")),
    Variable("request.estimated_usd", "double", lambda view: view.estimated_microusd / 1_000_000),
    Variable("request.tools", "list(string)", _texts("facts.tools"), "facts.tools"),
    Variable("request.labels", "map(string, string)", _labels("subject.labels"), "subject.labels"),
    Variable(ALL_LABELS, "map(string, string)", _all_labels, "labels"),
    Variable("request.text", "string", request_text),
    Variable("request.turns", "int", _int("facts.turns"), "facts.turns"),
    Variable("response.model", "string", _text("model"), response=True),
    Variable("response.finish_reasons", "list(string)", _texts("finish_reasons"), response=True),
    Variable("response.tools", "list(string)", _texts("tools"), response=True),
    Variable("response.text", "string", lambda view: clean(view.text[:TEXT_BOUND]), response=True),
    Variable("subject.org", "string", _text("subject.org"), "subject.org"),
    Variable("subject.app", "string", _text("subject.app"), "subject.app"),
    Variable("subject.user", "string", _text("subject.user"), "subject.user"),
    Variable("subject.groups", "list(string)", _texts("subject.groups"), "subject.groups"),
    Variable("subject.key_id", "string", _text("subject.key_id"), "subject.key_id"),
    Variable("subject.agent", "string", _text("subject.agent"), "subject.agent"),
    Variable("subject.labels", "map(string, string)", _labels("subject.labels"), "subject.labels"),
    Variable("client.ip", "string", _text("client.ip"), "client.ip"),
    Variable("client.user_agent", "string", _text("client.user_agent"), "client.user_agent"),
    Variable("client.agent", "string", _text("client.agent"), "client.agent"),
    Variable("client.session", "string", _text("client.session"), "client.session"),
    Variable("now", "timestamp", attrgetter("now")),
)

VARIABLES: Mapping[str, Variable] = MappingProxyType({variable.name: variable for variable in _TABLE})

UNBUILT: Mapping[str, str] = MappingProxyType(
    {
        "finding": "detectors are not built in this version",
        "spend": "spend counters are not built in this version",
        "flags": "feature flags are not built in this version",
        "registry": "the registry is not built in this version",
    }
)
"""Roots of variables that the contract has and this version lacks, each with the reason."""

LABEL_MEMOS = frozenset({"subject.labels", "labels"})
"""Memo paths whose values are mappings and must be frozen before they can be hashed."""
