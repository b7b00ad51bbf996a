"""Token estimates: bounds and monotony rather than exact numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmcp.core import estimate
from llmcp.core.messages import Channel, Observation, RequestFacts, Text, ToolCall, Usage
from llmcp.core.records import UsageSource

ENGLISH = (
    "A gateway stands between the programs of a company and the providers whose models they use. It reads every request, "
    "asks the rules whether it may pass, and writes down what it decided and what the answer cost. "
)
FACTS = RequestFacts(texts=(Text("user", Channel.TEXT, ENGLISH),), turns=1)


def test_english_prose_has_four_to_five_bytes_a_token() -> None:
    """The field's rule of thumb."""
    assert len(ENGLISH) / 5 < estimate.text_tokens(ENGLISH) < len(ENGLISH) / 4


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(one: str, two: str) -> None:
    """Appending cannot lower an estimate, in any script."""
    assert estimate.text_tokens(one + two) >= estimate.text_tokens(one)


@given(st.text(min_size=1))
def test_any_text_is_at_least_one_token_and_at_most_its_bytes(text: str) -> None:
    """The two bounds that hold for every byte-level vocabulary."""
    assert 1 <= estimate.text_tokens(text) <= len(text.encode("utf-8", "surrogatepass"))


def test_three_byte_scripts_count_about_one_token_a_character() -> None:
    """A rule made for English would charge a third."""
    assert 80 <= estimate.text_tokens("漢" * 100) <= 110


def test_no_answer_is_no_output() -> None:
    """Nothing seen, nothing used."""
    assert estimate.output_tokens(Observation()) == 0


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.lists(st.integers(0, 10**4), max_size=5))
def test_text_reasoning_and_tool_calls_all_count(text: int, reasoning: int, calls: list[int]) -> None:
    """Each part adds to what the others say."""
    seen = Observation(text_bytes=text, reasoning_bytes=reasoning, tools=[ToolCall("t", size) for size in calls])
    assert estimate.output_tokens(seen) >= (text + reasoning + sum(calls)) // 5
    seen.tools.append(ToolCall("another"))
    assert estimate.output_tokens(seen) > estimate.output_tokens(
        Observation(text_bytes=text, reasoning_bytes=reasoning, tools=seen.tools[:-1])
    )


def test_a_finished_answers_own_count_is_kept() -> None:
    """Whatever the bytes suggest."""
    said = Usage(input_tokens=5, output_tokens=1)
    assert estimate.complete_usage(FACTS, Observation(usage=said, text_bytes=10**6, terminal=True)) == (
        said,
        UsageSource.PROVIDER,
    )


def test_a_broken_off_stream_costs_what_was_seen_not_the_placeholder() -> None:
    """Anthropic's first event says one output token; the count comes last, and never came."""
    seen = Observation(usage=Usage(input_tokens=50, output_tokens=1, cached_tokens=30), text_bytes=4000)
    usage, source = estimate.complete_usage(FACTS, seen)
    assert (usage.input_tokens, usage.cached_tokens, source) == (50, 30, UsageSource.ESTIMATED)
    assert usage.output_tokens is not None
    assert 800 < usage.output_tokens < 1200


def test_a_broken_off_stream_is_never_charged_less_than_the_provider_counted() -> None:
    """Usage in several chunks: the last one seen is a floor."""
    usage, source = estimate.complete_usage(FACTS, Observation(usage=Usage(input_tokens=5, output_tokens=500), text_bytes=10))
    assert (usage.output_tokens, source) == (500, UsageSource.PROVIDER)


def test_a_stream_without_usage_is_estimated_on_both_sides() -> None:
    """The option was not sent, so nobody counted."""
    usage, source = estimate.complete_usage(FACTS, Observation(text_bytes=400, terminal=True))
    assert source is UsageSource.ESTIMATED
    assert usage.input_tokens == estimate.input_tokens(FACTS)
    assert usage.output_tokens == estimate.output_tokens(Observation(text_bytes=400))
