"""What an exchange costs, in integers.

Rules:
1. Rates are pico-USD per token (the same number as micro-USD per million tokens); a cost is rounded half up to micro-USD once,
   at the end, and one that is not zero never becomes zero.
2. A cost that the provider states wins. A local provider costs nothing. A model that the table does not know costs the stated
   default and says so (`default`), so that the caller can warn.
3. A threshold ("above 200,000 tokens") counts all input tokens and applies its rate to the whole request.
4. Cache reads and writes leave the plain input where they have a rate of their own; 1-hour writes leave the cache writes.
   Reasoning is output unless it has a rate of its own.
5. A price has the day, or the hours, from which it holds; `at` chooses (UTC).

Not priced, because a usage does not say them: images, audio seconds, searches, service tiers and batch discounts.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmcp.core.messages import Usage

LOCAL_PROVIDERS: Final = frozenset({"ollama", "vllm", "lmstudio", "llamacpp", "local", "localai", "tgi"})
_PICO_PER_MICRO: Final = 1_000_000
_CACHED_PRICES: Final = 4096
_LONGEST_MODEL: Final = 256  # what is longer is no model's name; it must not feed patterns or the cache


class PriceSource(StrEnum):
    """Where a cost comes from: the provider's own word, the table, the table under another provider, the default, nowhere."""

    PROVIDER = "provider"
    TABLE = "table"
    INFERRED = "inferred"
    DEFAULT = "default"
    LOCAL = "local"
    NONE = "none"


class Priced(msgspec.Struct, frozen=True, gc=False):
    """A cost and its source. `default` and `inferred` deserve a warning."""

    cost_microusd: int
    source: PriceSource


class Rate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Pico-USD per token (per request in `request`); None where the provider has no such price."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    request: int | None = None


type Rates = tuple[tuple[int, Rate], ...]
"""Thresholds of total input tokens, highest first, each with the rate above it; the last is -1."""


class Price(msgspec.Struct, frozen=True):
    """Rates and when they hold: from a day on (`since`), within daily hours (`daily`, `HH:MM:SS-HH:MM:SS` UTC), or always."""

    rates: Rates
    since: date | None = None
    daily: str = ""

    def holds(self, at: datetime) -> bool:
        """Tell whether this price is in force at `at` (UTC)."""
        if self.since is not None:
            return at.date() >= self.since
        if not self.daily:
            return True
        start, end = map(time.fromisoformat, self.daily.split("-"))
        now = at.time()
        return start <= now < end if start <= end else now >= start or now < end


class _Model(msgspec.Struct, frozen=True):
    id: str
    names: tuple[str, ...] = msgspec.field(name="is", default=())
    like: tuple[tuple[str, Any], ...] = ()
    prices: tuple[Price, ...] = ()


class _Provider(msgspec.Struct, frozen=True):
    borrows: tuple[str, ...] = ()
    owns: tuple[tuple[str, Any], ...] = ()
    models: msgspec.Raw = msgspec.Raw(b"[]")  # decoded when the provider is first asked for


class _File(msgspec.Struct, frozen=True):
    v: int
    source: str
    taken: str
    aliases: dict[str, str]
    providers: dict[str, _Provider]


class PriceTable:
    """All known prices. Looking up is memoised per provider and model; nothing is read from outside.

    `default_input` and `default_output` are micro-USD per million tokens.
    """

    def __init__(self, data: _File, *, default_input: int, default_output: int) -> None:
        self.source = data.source
        self.taken = data.taken
        self._providers = data.providers
        self._aliases = data.aliases
        self._default = ((-1, Rate(default_input, default_output)),)
        self._models: dict[str, tuple[_Model, ...]] = {}
        self._found: dict[tuple[str, str], tuple[tuple[Price, ...], PriceSource]] = {}

    @classmethod
    def load(cls, data: bytes, *, default_input: int = 5_000_000, default_output: int = 15_000_000) -> PriceTable:
        """Read a price file as `scripts/build_prices.py` writes it. Raises: msgspec.DecodeError where it is not one."""
        return cls(msgspec.json.decode(data, type=_File), default_input=default_input, default_output=default_output)

    def price(self, provider: str, model: str, usage: Usage, at: datetime | date, *, requested: str = "") -> Priced:
        """Price `usage` of `model` (the response's); where the table does not know it, `requested` (the request's) is tried.

        `provider` is the catalog's name. A plain date means its beginning, UTC. Unknown tokens count as none.
        """
        if usage.provider_cost_microusd is not None:
            return Priced(usage.provider_cost_microusd, PriceSource.PROVIDER)
        if provider in LOCAL_PROVIDERS:
            return Priced(0, PriceSource.LOCAL)
        if usage.input_tokens is None and usage.output_tokens is None:
            return Priced(0, PriceSource.NONE)
        prices, source = self._found.get((provider, model)) or self._lookup(provider, model)
        if source is not PriceSource.TABLE and requested and requested != model:
            other = self._lookup(provider, requested)
            if other[1] is PriceSource.TABLE or source is PriceSource.DEFAULT:
                prices, source = other
        rates = prices[0].rates if len(prices) == 1 else _in_force(prices, at)
        return Priced(_cost(rates, usage), source)

    def estimate(self, provider: str, model: str, input_tokens: int, output_tokens: int, at: datetime | date) -> Priced:
        """Price what a request may cost before it is sent: no cache, `output_tokens` the most that may come back."""
        if provider in LOCAL_PROVIDERS:
            return Priced(0, PriceSource.LOCAL)
        prices, source = self._lookup(provider, model)
        for threshold, rate in _in_force(prices, at):
            if input_tokens > threshold:
                total = input_tokens * (rate.input or 0) + output_tokens * (rate.output or 0) + (rate.request or 0)
                return Priced(_micro(total), source)
        raise AssertionError  # the last threshold is -1

    def models(self, provider: str, at: datetime | date) -> Iterator[tuple[str, Rate]]:
        """Yield each model id that has a price of its own at `provider`, with the rate below every threshold."""
        for model in self._entries(self._aliases.get(provider, provider)):
            if model.prices:
                yield model.id, _in_force(model.prices, at)[-1][1]

    def knows(self, provider: str, model: str) -> bool:
        """Tell whether the table has a price of its own for `model` at `provider` (or the provider is local)."""
        return provider in LOCAL_PROVIDERS or self._lookup(provider, model)[1] is PriceSource.TABLE

    def _lookup(self, provider: str, model: str) -> tuple[tuple[Price, ...], PriceSource]:
        found = self._found.get((provider, model))
        if found is None:
            found = self._resolve(provider, model.lower()) if len(model) <= _LONGEST_MODEL else None
            if found is None:
                found = (Price(self._default),), PriceSource.DEFAULT
            if len(model) <= _LONGEST_MODEL:
                if len(self._found) >= _CACHED_PRICES:
                    self._found.clear()  # only names made up to fill it get here; starting anew is cheaper than keeping order
                self._found[provider, model] = found
        return found

    def _resolve(self, provider: str, model: str) -> tuple[tuple[Price, ...], PriceSource] | None:
        spellings = list(dict.fromkeys((model, _dashed_date(model))))
        price_id = self._aliases.get(provider, provider)
        if price_id in self._providers:
            for name in spellings:
                if prices := self._match(price_id, name):
                    return prices, PriceSource.TABLE
        for name in spellings:
            for owner, bare in self._owners(name):
                if prices := self._match(owner, bare):
                    return prices, PriceSource.INFERRED
        return None

    def _match(self, price_id: str, model: str) -> tuple[Price, ...] | None:
        for place in (price_id, *self._providers[price_id].borrows):
            for entry in self._entries(place):
                if model in entry.names or any(_matches(clause, model) for clause in entry.like):
                    return entry.prices
        return None

    def _owners(self, model: str) -> Iterator[tuple[str, str]]:
        """Yield the providers that `model` names, by prefix or by its own form, with the model's name there."""
        prefix, slash, bare = model.partition("/")
        if slash and self._aliases.get(prefix, prefix) in self._providers:
            yield self._aliases.get(prefix, prefix), bare
        bare = model.rpartition("/")[2]
        for price_id, provider in self._providers.items():
            if any(_matches(clause, bare) for clause in provider.owns):
                yield price_id, bare

    def _entries(self, price_id: str) -> tuple[_Model, ...]:
        models = self._models.get(price_id)
        if models is None:
            provider = self._providers.get(price_id)
            models = msgspec.json.decode(provider.models, type=tuple[_Model, ...]) if provider else ()
            self._models[price_id] = models
        return models


def _matches(clause: Sequence[Any], model: str) -> bool:
    operator, operand = clause
    match operator:
        case "=":
            return bool(model == operand)
        case "^":
            return model.startswith(operand)
        case "$":
            return model.endswith(operand)
        case "~":
            return operand in model
        case "/":
            return re.search(operand, model) is not None
        case "&":
            return all(_matches(part, model) for part in operand)
        case "|":
            return any(_matches(part, model) for part in operand)
        case _:
            return False  # a newer file's clause: no match is the default price with a warning


def _dashed_date(model: str) -> str:
    """Write a trailing `-20251211` as `-2025-12-11`, as gateways compress it and price data spells it."""
    return re.sub(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)", r"-\1-\2-\3", model)


def _in_force(prices: tuple[Price, ...], at: datetime | date) -> Rates:
    """Return the rates of the last price that holds at `at`, or of the first where none does."""
    if len(prices) == 1:
        return prices[0].rates
    moment = at.astimezone(UTC) if isinstance(at, datetime) else datetime(at.year, at.month, at.day, tzinfo=UTC)
    return next((price.rates for price in reversed(prices) if price.holds(moment)), prices[0].rates)


def _cost(rates: Rates, usage: Usage) -> int:
    total_input = usage.input_tokens or 0
    _, rate = rates[0]
    if len(rates) > 1:
        for threshold, rate in rates:  # noqa: B007 - the loop's last value is the answer
            if total_input > threshold:
                break
    plain_input, plain_output = total_input, usage.output_tokens or 0
    pico = 0
    if usage.cached_tokens and rate.cache_read is not None:
        plain_input -= usage.cached_tokens
        pico += usage.cached_tokens * rate.cache_read
    writes, long_writes = usage.cache_write_tokens or 0, usage.cache_write_1h_tokens or 0
    if long_writes and rate.cache_write_1h is not None:
        writes -= long_writes
        plain_input -= long_writes
        pico += long_writes * rate.cache_write_1h
    if writes > 0 and rate.cache_write is not None:
        plain_input -= writes
        pico += writes * rate.cache_write
    if usage.reasoning_tokens and rate.reasoning is not None:
        plain_output -= usage.reasoning_tokens
        pico += usage.reasoning_tokens * rate.reasoning
    # A provider whose parts exceed its total is believed in its parts.
    if plain_input > 0 and rate.input is not None:
        pico += plain_input * rate.input
    if plain_output > 0 and rate.output is not None:
        pico += plain_output * rate.output
    return _micro(pico + (rate.request or 0))


def _micro(pico: int) -> int:
    return max((pico + _PICO_PER_MICRO // 2) // _PICO_PER_MICRO, 1) if pico > 0 else 0
