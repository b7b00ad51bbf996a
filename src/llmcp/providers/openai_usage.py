"""Token counts and errors as OpenAI-dialect hosts say them, in llmcp's conventions.

Rules:
1. `prompt_tokens` includes cached tokens, and `completion_tokens` includes reasoning, with one exception: where the total
   (or mere size) shows that reasoning was counted beside the completion (xAI chat, Gemini behind Vercel), it is added.
2. Fields a provider did not say stay as they are: usage may come in several chunks, and the last word on each field counts.
3. An error may be an object, a bare string, a list, or have no `error` at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from llmcp.core.messages import ProviderError
from llmcp.providers.lenient import count, loads, number, word

if TYPE_CHECKING:
    from llmcp.core.messages import Observation, Usage

_MICRO = 1_000_000
_TICKS_PER_MICRO = 10_000  # xAI: 1e10 ticks are one dollar
_SHOWN_CHARACTERS = 200

type Count = int | float | None


class Details(msgspec.Struct, gc=False):
    """The `*_tokens_details` objects."""

    cached_tokens: Count = None
    cache_write_tokens: Count = None
    cache_creation_tokens: Count = None
    reasoning_tokens: Count = None


class Cost(msgspec.Struct, gc=False):
    """Perplexity's `cost` object."""

    total_cost: float | str | None = None


class WireUsage(msgspec.Struct, gc=False):
    """A `usage` object of any OpenAI-dialect host."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    input_tokens: Count = None
    output_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None
    prompt_cache_hit_tokens: Count = None
    cached_tokens: Count = None
    num_cached_tokens: Count = None
    cache_creation_input_tokens: Count = None
    reasoning_tokens: Count = None
    cost: float | str | Cost | None = None
    cost_in_usd_ticks: Count = None


def read_usage(wire: WireUsage, usage: Usage) -> None:
    """Write what `wire` says into `usage`."""
    before = wire.prompt_tokens_details or wire.input_tokens_details or _NO_DETAILS
    after = wire.completion_tokens_details or wire.output_tokens_details or _NO_DETAILS
    inputs = count(_first(wire.prompt_tokens, wire.input_tokens))
    outputs = count(_first(wire.completion_tokens, wire.output_tokens))
    reasoning = count(_first(after.reasoning_tokens, wire.reasoning_tokens))
    if reasoning and outputs is not None and _reasoning_is_outside(inputs, outputs, reasoning, count(wire.total_tokens)):
        outputs += reasoning
    cached = count(_first(before.cached_tokens, wire.prompt_cache_hit_tokens, wire.cached_tokens, wire.num_cached_tokens))
    written = count(_first(before.cache_write_tokens, before.cache_creation_tokens, wire.cache_creation_input_tokens))
    cost = _cost_microusd(wire) if wire.cost is not None or wire.cost_in_usd_ticks is not None else None
    if inputs is not None:
        usage.input_tokens = inputs
    if outputs is not None:
        usage.output_tokens = outputs
    if reasoning is not None:
        usage.reasoning_tokens = reasoning
    if cached is not None:
        usage.cached_tokens = cached
    if written is not None:
        usage.cache_write_tokens = written
    if cost is not None:
        usage.provider_cost_microusd = cost


def read_error(value: object, *, whole: bool) -> ProviderError | None:
    """Find the error in a decoded body. `whole` says that the body is an error for certain (its status says so)."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return ProviderError("", "", value[:_SHOWN_CHARACTERS]) if whole and isinstance(value, str) else None
    error = value.get("error")
    if isinstance(error, dict):
        kind = word(error.get("type")) or word(error.get("status"))
        return ProviderError(kind, word(error.get("code")), _message(error.get("message")))
    if isinstance(error, str):
        return ProviderError("", word(value.get("code")), error)
    if error:
        return ProviderError("", word(value.get("code")), _message(error))
    if not whole:
        return None
    kind = word(value.get("type")) or word(value.get("__type"))
    for key in ("message", "detail", "errors", "msg", "Message"):
        if value.get(key) is not None:
            return ProviderError(kind, word(value.get("code")), _message(value[key]))
    return ProviderError(kind, word(value.get("code")), "")


def read_error_body(body: bytes, seen: Observation) -> None:
    """Read the body of an answer whose status is an error; text that is no JSON is its own message."""
    value = loads(body)
    if value is None:
        seen.error = ProviderError("", "", body[:_SHOWN_CHARACTERS].decode("utf-8", "replace"))
    else:
        seen.error = read_error(value, whole=True) or ProviderError("", "", "")


def _message(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode("utf-8", "replace")


def _reasoning_is_outside(inputs: int | None, outputs: int, reasoning: int, total: int | None) -> bool:
    return reasoning > outputs or (total is not None and inputs is not None and total == inputs + outputs + reasoning)


def _cost_microusd(wire: WireUsage) -> int | None:
    cost = number(wire.cost.total_cost if isinstance(wire.cost, Cost) else wire.cost)
    if cost is not None:
        return count(round(cost * _MICRO)) if abs(cost) < _MICRO else None
    ticks = count(wire.cost_in_usd_ticks)
    return None if ticks is None else round(ticks / _TICKS_PER_MICRO)


def _first(*values: Count) -> Count:
    for value in values:
        if value is not None:
            return value
    return None


_NO_DETAILS = Details()
