"""Rules of `llmcp.telemetry.metrics`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.telemetry.metrics import Registry


def test_a_counter_has_one_line_per_label_set() -> None:
    """Series are sorted and counted apart."""
    registry = Registry()
    counter = registry.counter("llmcp_requests_total", "Requests.", ("provider", "outcome"))
    counter.inc("openai", "allowed")
    counter.inc("openai", "allowed", by=2)
    counter.inc("anthropic", "denied")
    assert registry.render().splitlines() == [
        "# HELP llmcp_requests_total Requests.",
        "# TYPE llmcp_requests_total counter",
        'llmcp_requests_total{provider="anthropic",outcome="denied"} 1',
        'llmcp_requests_total{provider="openai",outcome="allowed"} 3',
    ]


def test_a_counter_without_labels_shows_its_zero() -> None:
    """An alert on a counter that never moved must find it."""
    registry = Registry()
    registry.counter("llmcp_faults_total", "Faults.")
    assert registry.render().splitlines()[-1] == "llmcp_faults_total 0"


def test_a_gauge_is_asked_when_it_is_scraped() -> None:
    """Rule 4."""
    registry = Registry()
    pending = [1]
    registry.gauge("llmcp_pending", "Pending.", lambda: pending[0])
    pending[0] = 7
    assert "llmcp_pending 7\n" in registry.render()


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=50))
def test_buckets_are_cumulative_and_the_last_counts_all(values: list[float]) -> None:
    """`+Inf` equals the count, and no bucket is larger than the next."""
    registry = Registry()
    histogram = registry.histogram("llmcp_overhead_seconds", "Overhead.")
    for value in values:
        histogram.observe(value)
    lines = registry.render().splitlines()
    buckets = [int(line.rsplit(" ", 1)[1]) for line in lines if "_bucket" in line]
    assert buckets == sorted(buckets)
    assert buckets[-1] == len(values) == int(lines[-1].rsplit(" ", 1)[1])
    for bound, count in zip(histogram.bounds, buckets, strict=False):
        assert count == sum(value <= bound for value in values)


def test_label_values_cannot_break_the_format() -> None:
    """Quotes, backslashes and newlines are escaped."""
    registry = Registry()
    registry.counter("llmcp_x_total", "X.", ("a",)).inc('q"\\\n')
    assert r'llmcp_x_total{a="q\"\\\n"} 1' in registry.render()


def test_a_name_is_registered_once() -> None:
    """Rule 1."""
    registry = Registry()
    registry.counter("llmcp_x_total", "X.")
    with pytest.raises(ValueError, match="twice"):
        registry.counter("llmcp_x_total", "X.")
