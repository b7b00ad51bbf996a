"""`set: {max_tokens: 8192}`: write fields of the request before it is sent. The first rule that sets a field wins.

Rules:
1. A field is set only where it means something: sampling fields for chat and text completion, `model` for the operations that
   name one, `stream_options` for streams. Elsewhere the rule does not match.
2. Values have the types and ranges that all providers accept at most; a provider may accept less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmcp.core.messages import Operation
from llmcp.core.policy import EffectSpec, Phase
from llmcp.effects.base import EffectBase

if TYPE_CHECKING:
    from llmcp.core.decide import RequestView
    from llmcp.core.tally import Tally
    from llmcp.ports import SpecReader

FIELDS = ("max_tokens", "temperature", "top_p", "model", "stream_options")

_SAMPLING = frozenset({Operation.CHAT, Operation.TEXT_COMPLETION})
_NAMING = _SAMPLING | {
    Operation.EMBEDDINGS,
    Operation.COUNT_TOKENS,
    Operation.IMAGES,
    Operation.AUDIO,
    Operation.MODERATION,
}
_MAX_TOKENS = 2**31 - 1
_MAX_TEMPERATURE = 2.0


@dataclass(frozen=True, slots=True)
class SetSpec:
    """The fields in file order; `stream_options` is a tuple of pairs here and a mapping in the edits."""

    fields: tuple[tuple[str, Any], ...]

    def canonical(self) -> object:
        """Return all of it as plain values."""
        return [[name, [list(pair) for pair in value] if isinstance(value, tuple) else value] for name, value in self.fields]


class SetEffect(EffectBase):
    """Edit the request."""

    name = "set"
    judges = False
    phases: tuple[Phase, ...] = (Phase.REQUEST,)

    def parse(self, spec: SpecReader) -> EffectSpec | None:
        """Read a mapping of at least one settable field."""
        spec.only(*FIELDS)
        fields = [(name, value) for name in FIELDS if spec.has(name) and (value := _value(spec, name)) is not None]
        if spec.empty():
            spec.problem("P107", "`set` sets nothing", hint=f"settable fields are {', '.join(f'`{name}`' for name in FIELDS)}")
        return SetSpec(tuple(fields)) if fields else None

    def reads(self, spec: EffectSpec) -> tuple[str, ...]:  # noqa: ARG002 - the port's form
        """Name what rule 1 asks (the operation is part of every key)."""
        return ("facts.stream",)

    def on_request(self, spec: EffectSpec, view: RequestView, tally: Tally) -> bool:
        """Set what can be set here."""
        if not isinstance(spec, SetSpec):
            return False
        touched = False
        for name, value in spec.fields:
            if _applies(name, view):
                tally.set_field(name, dict(value) if name == "stream_options" else value)
                touched = True
        return touched


def _applies(name: str, view: RequestView) -> bool:
    if name == "model":
        return view.operation in _NAMING
    return view.operation in _SAMPLING and (name != "stream_options" or view.facts.stream)


def _value(spec: SpecReader, name: str) -> Any:  # noqa: ANN401 - one type per field
    match name:
        case "max_tokens":
            tokens = spec.integer(name)
            return _within(spec, name, tokens, 1, _MAX_TOKENS)
        case "temperature":
            return _within(spec, name, spec.number(name), 0.0, _MAX_TEMPERATURE)
        case "top_p":
            return _within(spec, name, spec.number(name), 0.0, 1.0)
        case "model":
            model = spec.text(name)
            if model == "":
                spec.problem("P107", "`model` is empty", key=name, hint="name a model, without a `provider/` prefix")
            return model or None
        case _:
            return _stream_options(spec)


def _within[N: (int, float)](spec: SpecReader, name: str, value: N | None, low: N, high: N) -> N | None:
    if value is None or low <= value <= high:
        return value
    spec.problem("P107", f"`{name}` must lie between {low} and {high}", key=name)
    return None


def _stream_options(spec: SpecReader) -> tuple[tuple[str, bool], ...] | None:
    options = spec.inner("stream_options")
    if options is None:
        return None
    known = ("include_usage", "include_obfuscation")
    options.only(*known)
    pairs = tuple((key, value) for key in known if (value := options.flag(key)) is not None)
    if options.empty():
        spec.problem("P107", "`stream_options` sets nothing", key="stream_options", hint="set `include_usage: true`")
    return pairs or None
