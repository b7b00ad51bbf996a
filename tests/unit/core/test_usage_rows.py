"""What usage may be asked, and the rows that single sums become."""

from __future__ import annotations

import pytest

from llmcp.core.record_filter import RecordFilter
from llmcp.core.usage import MEASURES, Facet, UsageQuery, UsageRow, UsageSums, parse_by
from llmcp.errors import UsageError

ONES = (1,) * len(MEASURES)


def test_dimensions_are_read_as_they_are_written() -> None:
    """Spaces and doubles do not matter."""
    assert parse_by(" model, org,model ,label:team") == ("model", "org", "label:team")


@pytest.mark.parametrize("text", ["", " , ", "models", "label:", "session"])
def test_any_other_dimension_is_refused(text: str) -> None:
    """With the list of those that there are."""
    with pytest.raises(UsageError) as caught:
        parse_by(text)
    assert "outcome, month, day, hour, label" in caught.value.why


@pytest.mark.parametrize("field", ["session", "decision_id", "action", "actor", "target"])
def test_what_no_rollup_knows_cannot_be_filtered_by(field: str) -> None:
    """Else the answer would silently be of more than was asked."""
    with pytest.raises(UsageError):
        UsageQuery(("model",), RecordFilter(**{field: "x"}))


def test_a_request_with_two_labels_stands_in_two_rows() -> None:
    """And in one of them where the label is named."""
    facet = Facet(labels=("team=a", "tier=b"))
    assert UsageSums(("label",)).names(facet) == [("team=a",), ("tier=b",)]
    assert UsageSums(("label:tier", "org")).names(facet) == [("b", "")]
    assert UsageSums(("label:none",)).names(facet) == [("",)]


def test_a_label_whose_name_begins_like_another_is_another() -> None:
    """`te` is not `team`."""
    assert UsageSums(("label:te",)).names(Facet(labels=("team=a",))) == [("",)]


def test_spans_of_one_question_are_cut_each_to_its_own_length() -> None:
    """Month, day and hour may stand side by side."""
    sums = UsageSums(("month", "org", "hour"))
    (names,) = sums.names(Facet(org="o"))
    sums.add(names, "2026-01-31T12:00:00.000000Z", ONES)
    sums.add(names, "2026-01-31T12:59:00.000000Z", ONES)
    assert sums.rows() == (UsageRow(("2026-01", "o", "2026-01-31T12"), (2,) * len(MEASURES)),)


def test_a_document_has_the_contracts_names_first() -> None:
    """Scripts rely on them."""
    row = UsageRow(("m",), tuple(range(len(MEASURES))))
    assert list(row.document(("model",)))[:6] == [
        "model",
        "requests",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "cost_microusd",
    ]
