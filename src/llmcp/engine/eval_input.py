"""The input document of `llmcp policy eval` and of inline tests, to the views that rules are asked about (CONTRACT section 3).

Rules:
1. What is absent takes its neutral value; `operation` is `chat` where nothing is said.
2. An unknown key, a wrong type or a part that this version lacks is an error by name, never ignored.
3. `request.labels` stands for the labels that count, which in traffic are the token's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from llmcp.core.decide import RequestView, ResponseView
from llmcp.core.messages import Channel, Operation, RequestFacts, Text
from llmcp.core.subject import ClientInfo, Subject
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT_MAX = 2**63 - 1
_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class EvalInput:
    """One question: a request, and the response to it where one was given."""

    view: RequestView
    response: ResponseView | None


def _fail(what: str, fix: str = "") -> NoReturn:
    raise UsageError(what, why="the input does not have the form that `policy eval` takes", fix=fix, code="eval-input") from None


def _string(where: str, value: object) -> str:
    if isinstance(value, str):
        return value
    _fail(f"`{where}` must be a string")


def _boolean(where: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    _fail(f"`{where}` must be true or false")


def _integer(where: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INT_MAX:
        return value
    _fail(f"`{where}` must be an integer of 64 bits")


def _number(where: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _INT_MAX:
        return float(value)
    _fail(f"`{where}` must be a number")


def _strings(where: str, value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    _fail(f"`{where}` must be a list of strings")


def _labels(where: str, value: object) -> Mapping[str, str]:
    if isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        return MappingProxyType(dict(value))
    _fail(f"`{where}` must be a mapping of strings")


type _Readers = Mapping[str, Callable[[str, object], Any]]

_REQUEST: _Readers = {
    "model": _string,
    "provider": _string,
    "operation": _string,
    "stream": _boolean,
    "max_tokens": _integer,
    "has_max_tokens": _boolean,
    "temperature": _number,
    "input_tokens": _integer,
    "estimated_usd": _number,
    "tools": _strings,
    "labels": _labels,
    "text": _string,
    "turns": _integer,
}
_RESPONSE: _Readers = {"model": _string, "finish_reasons": _strings, "tools": _strings, "text": _string}
_SUBJECT: _Readers = {
    "org": _string,
    "app": _string,
    "user": _string,
    "groups": _strings,
    "key_id": _string,
    "agent": _string,
    "labels": _labels,
}
_CLIENT: _Readers = {"ip": _string, "user_agent": _string, "agent": _string, "session": _string}
_UNBUILT = {"flags": "feature flags", "spend": "spend counters", "findings": "detectors"}


def read_input(document: object, now: datetime = EPOCH) -> EvalInput:
    """Return the views that `document` describes, at `now` where it does not say. Raises: UsageError naming what is wrong."""
    if not isinstance(document, dict):
        _fail("the input must be a mapping", 'write `{"request": {"model": "gpt-4o"}}`')
    known = ("request", "response", "subject", "client", "now", *_UNBUILT)
    for key in document:
        if key not in known:
            _fail(f"unknown key `{str(key)[:60]}` in the input", f"known keys are {', '.join(known)}")
    for key, what in _UNBUILT.items():
        if document.get(key):
            _fail(f"`{key}` is not supported in this version", f"{what} are not built; remove the key")
    request = _section(document, "request", _REQUEST)
    subject = _section(document, "subject", _SUBJECT)
    labels = request.get("labels", {})
    response = ResponseView(**_section(document, "response", _RESPONSE)) if document.get("response") is not None else None
    return EvalInput(_view(request, _subject(subject, labels), document, now), response)


def _section(document: dict[str, Any], name: str, readers: _Readers) -> dict[str, Any]:
    section = document.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        _fail(f"`{name}` must be a mapping")
    for key in section:
        if key not in readers:
            _fail(f"unknown key `{name}.{str(key)[:60]}` in the input", f"known keys are {', '.join(readers)}")
    return {key: readers[key](f"{name}.{key}", value) for key, value in section.items()}


def _subject(section: dict[str, Any], labels: Mapping[str, str]) -> Subject:
    own = section.pop("labels", {})
    return Subject(**section, labels=MappingProxyType({**labels, **own}))


def _view(request: dict[str, Any], subject: Subject, document: dict[str, Any], now: datetime) -> RequestView:
    text = request.get("text", "")
    facts = RequestFacts(
        model=request.get("model", ""),
        stream=request.get("stream", False),
        max_tokens=_max_tokens(request),
        temperature=request.get("temperature"),
        tools=request.get("tools", ()),
        texts=(Text("user", Channel.TEXT, text),) if text else (),
        turns=request.get("turns", 0),
    )
    return RequestView(
        facts=facts,
        provider=request.get("provider", ""),
        operation=_operation(request.get("operation", Operation.CHAT.value)),
        subject=subject,
        client=ClientInfo(**_section(document, "client", _CLIENT)),
        labels=request.get("labels", MappingProxyType({})),
        now=_now(document.get("now"), now),
        input_tokens=request.get("input_tokens", 0),
        estimated_microusd=round(request.get("estimated_usd", 0.0) * _MICRO),
    )


def _max_tokens(request: dict[str, Any]) -> int | None:
    said = request.get("max_tokens")
    has = request.get("has_max_tokens", said is not None)
    if has and said is None:
        _fail("`request.has_max_tokens` is true, but `request.max_tokens` is absent")
    return said if has else None


def _operation(value: str) -> Operation:
    try:
        return Operation(value)
    except ValueError:
        known = ", ".join(operation.value for operation in Operation)
        _fail(f"`request.operation` is unknown: `{value[:60]}`", f"operations are {known}")


def _now(value: object, default: datetime) -> datetime:
    if value is None:
        return default
    try:
        now = datetime.fromisoformat(_string("now", value))
    except ValueError:
        _fail("`now` is not an RFC 3339 time", "write `2026-12-31T12:00:00Z`")
    if now.tzinfo is None:
        _fail("`now` has no time zone", "write `2026-12-31T12:00:00Z`")
    return now.astimezone(UTC)
