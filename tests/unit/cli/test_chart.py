"""Bars in a terminal of any width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmcp.cli.chart import bars
from llmcp.cli.render import usd

POINTS = st.lists(st.tuples(st.text(max_size=40), st.integers(0, 10**12)), max_size=8)


@given(POINTS, st.integers(30, 200), st.booleans())
def test_no_line_is_wider_than_the_terminal(points: list[tuple[str, int]], width: int, plain: bool) -> None:
    """One line for each point, nothing in it steers the terminal, and ASCII stays ASCII."""
    lines = bars(points, str, width=width, plain=plain)
    assert len(lines) == len(points)
    assert all(len(line) <= width and line.isprintable() for line in lines)
    assert all(line.isascii() for line in lines) or not plain


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=8))
def test_a_greater_value_never_has_the_shorter_bar(values: list[int]) -> None:
    """And what is not nothing is seen."""
    lines = bars([("x", value) for value in values], lambda _: "", width=60, plain=True)
    lengths = [line.count("#") for line in lines]
    for (one, length), (other, other_length) in zip(
        zip(values, lengths, strict=True), zip(values[1:], lengths[1:], strict=True), strict=False
    ):
        assert (one >= other) == (length >= other_length) or length == other_length
    assert all((length > 0) == (value > 0) for value, length in zip(values, lengths, strict=True))


def test_bars_are_drawn_in_eighths() -> None:
    """So that near values can be told apart."""
    assert bars([("a", 16), ("bb", 9), ("c", 0)], str, width=16) == ["a   ████████  16", "bb  ████▌      9", "c              0"]


def test_money_is_cents_or_finer_below_a_dollar() -> None:
    """Most requests cost less than a cent."""
    assert [usd(0), usd(26_785), usd(1_234_567_890)] == ["$0.00", "$0.026785", "$1,234.57"]
