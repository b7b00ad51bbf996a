"""What an exchange costs: held against the library that the table was built from, and the rules around it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

import genai_prices
import msgspec
import pytest
from genai_prices.data import providers as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp import data
from llmcp.core.messages import Usage
from llmcp.core.pricing import PriceSource, PriceTable

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
# Named where they are met, so that the comparison below knows what a usage of ours cannot say.
UNPRICED = {"output_citation_mtok"}
MODELS = [(provider.id, model.id) for provider in reference for model in provider.models]


@cache
def table() -> PriceTable:
    """Return the bundled table."""
    return PriceTable.load(data.prices())


def expected(provider: str, model: str, usage: Usage, at: datetime) -> int | None:
    """Ask the reference for the price in micro-USD, rounded half up; None where it has none."""
    fields = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
    }
    asked = genai_prices.Usage(**{key: value or 0 for key, value in fields.items()})
    try:
        calculated = genai_prices.calc_price(asked, model, provider_id=provider, genai_request_timestamp=at)
    except (LookupError, ValueError):
        return None
    micro = calculated.total_price * 10**6
    return max(int(micro.to_integral_value(ROUND_HALF_UP)), 1) if micro > 0 else 0


USAGES = st.tuples(
    st.integers(0, 1_200_000), st.integers(0, 64_000), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100)
).map(
    lambda n: Usage(
        input_tokens=n[0],
        output_tokens=n[1],
        cached_tokens=n[0] * n[2] // 300,
        cache_write_tokens=n[0] * n[3] // 300,
        cache_write_1h_tokens=n[0] * n[3] // 300 * n[4] // 100,
        reasoning_tokens=n[1] * n[4] // 100,
    ),
)
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MODELS), USAGES, MOMENTS)
def test_every_price_is_the_references_to_the_micro_dollar(named: tuple[str, str], usage: Usage, at: datetime) -> None:
    """Tiers, cache reads, both cache writes, reasoning, request fees and historic prices, over the whole table."""
    want = expected(*named, usage, at)
    if want is not None:
        priced = table().price(*named, usage, at)
        # A handful of prices are repeating decimals, cut at a pico-USD a token: on millions of tokens that may be one micro-USD.
        assert abs(priced.cost_microusd - want) <= 1
        assert priced.source is PriceSource.TABLE


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["openai", "anthropic", "google", "mistral", "openrouter", "azure", "aws"]),
    st.text("gpt-4o.claudemini135/ \n", max_size=24),
)
def test_a_model_is_known_exactly_where_the_reference_knows_it(provider: str, model: str) -> None:
    """Any spelling: the clauses are read the same way."""
    usage = Usage(input_tokens=1000, output_tokens=1000)
    assert table().knows(provider, model) == (expected(provider, model, usage, NOON) is not None)


@pytest.mark.parametrize(
    ("ours", "model", "theirs"),
    [
        ("gemini", "gemini-2.5-flash", "google"),
        ("vertex", "gemini-2.5-pro", "google"),
        ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", "aws"),
        ("xai", "grok-4", "x-ai"),
        ("azure", "gpt-4o-2024-08-06", "azure"),
        ("openai", "gpt-4o-20240806", "openai"),
    ],
)
def test_our_provider_names_find_the_tables(ours: str, model: str, theirs: str) -> None:
    """The catalog's names and the data's differ in a few places."""
    usage = Usage(input_tokens=12345, output_tokens=678)
    assert table().price(ours, model, usage, NOON).cost_microusd == expected(theirs, model, usage, NOON)


def test_a_threshold_is_crossed_by_the_first_token_above_it() -> None:
    """At 200,000 tokens the lower rate holds for all of them, at 200,001 the higher one."""
    at, above = (
        table().price("gemini", "gemini-2.5-pro", Usage(input_tokens=n, output_tokens=0), NOON) for n in (200_000, 200_001)
    )
    assert (at.cost_microusd, above.cost_microusd) == (250_000, 500_003)


def test_an_unknown_model_costs_the_stated_default_and_says_so() -> None:
    """Never nothing: an unknown name must not be a way around a spending limit."""
    mine = PriceTable.load(data.prices(), default_input=7_000_000, default_output=9_000_000)
    priced = mine.price("openai", "no-such-model-at-all", Usage(input_tokens=1000, output_tokens=100), NOON)
    assert (priced.cost_microusd, priced.source) == (7900, PriceSource.DEFAULT)


@given(st.text(max_size=600))
def test_no_model_name_makes_priced_tokens_free(model: str) -> None:
    """Whatever a client calls its model, a custom provider's tokens have a price."""
    assert table().price("acme", model, Usage(input_tokens=1, output_tokens=0), NOON).cost_microusd > 0


def test_names_made_up_to_fill_the_cache_do_not_fill_memory() -> None:
    """The memo is bounded, and long names never enter it."""
    mine = PriceTable.load(data.prices())
    usage = Usage(input_tokens=1, output_tokens=1)
    for number in range(4200):
        mine.price("acme", f"model{number}", usage, NOON)
    mine.price("acme", "x" * 10_000, usage, NOON)
    assert len(mine._found) <= 4096
    assert max(len(model) for _, model in mine._found) < 300


def test_an_unknown_provider_is_priced_as_the_models_owner() -> None:
    """A gateway in between sells somebody's model: the owner's price is a better guess than the default, and marked as one."""
    usage = Usage(input_tokens=1000, output_tokens=100)
    for name in ("gpt-4o", "openai/gpt-4o"):
        priced = table().price("acme", name, usage, NOON)
        assert (priced.cost_microusd, priced.source) == (expected("openai", "gpt-4o", usage, NOON), PriceSource.INFERRED)


def test_the_requested_model_is_asked_where_the_responses_is_unknown() -> None:
    """Some providers answer with a deployment's name."""
    usage = Usage(input_tokens=1000, output_tokens=100)
    priced = table().price("azure", "my-deployment", usage, NOON, requested="gpt-4o")
    assert (priced.cost_microusd, priced.source) == (expected("azure", "gpt-4o", usage, NOON), PriceSource.TABLE)


def test_the_providers_own_cost_wins() -> None:
    """Even over a local provider's nothing."""
    priced = table().price("openrouter", "openai/gpt-4o", Usage(input_tokens=10**6, provider_cost_microusd=3), NOON)
    assert (priced.cost_microusd, priced.source) == (3, PriceSource.PROVIDER)


def test_a_local_model_costs_nothing_and_says_why() -> None:
    """Zero with a reason is not the zero of ignorance."""
    priced = table().price("ollama", "llama3", Usage(input_tokens=10**6, output_tokens=1), NOON)
    assert (priced.cost_microusd, priced.source) == (0, PriceSource.LOCAL)


def test_no_usage_is_no_cost_from_nowhere() -> None:
    """A refused request has used nothing."""
    priced = table().price("openai", "gpt-4o", Usage(), NOON)
    assert (priced.cost_microusd, priced.source) == (0, PriceSource.NONE)


def test_parts_that_exceed_their_total_never_lower_the_cost() -> None:
    """A provider that reports more cached than input tokens is charged for the parts."""
    odd = table().price("openai", "gpt-4o", Usage(input_tokens=10, output_tokens=0, cached_tokens=1000), NOON)
    fine = table().price("openai", "gpt-4o", Usage(input_tokens=1000, output_tokens=0, cached_tokens=1000), NOON)
    assert odd.cost_microusd == fine.cost_microusd > 0


def test_a_price_change_holds_from_its_day_on_in_utc() -> None:
    """An aware moment in another zone counts as its UTC day; a plain date is its beginning."""
    usage = Usage(input_tokens=300_000, output_tokens=0)
    before, after = (table().price("anthropic", "claude-opus-4-6", usage, day) for day in (date(2026, 3, 12), date(2026, 3, 13)))
    assert (before.cost_microusd, after.cost_microusd) == (3_000_000, 1_500_000)
    east = datetime.fromisoformat("2026-03-13T01:00:00+02:00")
    assert table().price("anthropic", "claude-opus-4-6", usage, east).cost_microusd == before.cost_microusd


def test_an_estimate_is_the_price_without_caches() -> None:
    """What is reserved beforehand and what is charged afterwards come from the same rates."""
    for tokens in (10, 250_000):
        usage = Usage(input_tokens=tokens, output_tokens=tokens)
        assert table().estimate("gemini", "gemini-2.5-pro", tokens, tokens, NOON) == table().price(
            "gemini", "gemini-2.5-pro", usage, NOON
        )


def test_a_cost_is_rounded_half_up_but_never_to_nothing() -> None:
    """One embedding token at 0.02 micro-USD is recorded as one micro-USD."""
    assert table().price("openai", "text-embedding-3-small", Usage(input_tokens=1), NOON).cost_microusd == 1
    assert table().price("openai", "text-embedding-3-small", Usage(input_tokens=75), NOON).cost_microusd == 2
    assert Decimal("0.02") * 75 == Decimal("1.5")


def test_a_file_that_is_no_price_table_is_refused() -> None:
    """Loading says so instead of pricing everything by default."""
    with pytest.raises(msgspec.DecodeError):
        PriceTable.load(b'{"v":1}')


def test_the_table_names_its_source_and_day() -> None:
    """Whoever doubts a price can look it up."""
    assert "genai-prices" in table().source
    assert date.fromisoformat(table().taken) > date(2026, 1, 1)
