"""What is generated into README and docs is there, up to date, and complete."""

from __future__ import annotations

from docs.support import ROOT, script
from llmcp.conditions.variables import ALL_LABELS, VARIABLES
from llmcp.core.control_records import ControlRecord
from llmcp.core.ledger import Kind
from llmcp.core.pricing import PriceSource
from llmcp.core.records import DecisionRecord, Outcome, UsageSource
from llmcp.core.settings import Settings
from llmcp.policyfile.codes import CODES
from llmcp.ports import REFUSAL_STATUS

generate = script("generate")
meanings = script("meanings")


def test_every_generated_file_is_what_would_be_written() -> None:
    """`make docs` would change nothing."""
    stale = [str(path.relative_to(ROOT)) for path, text in generate.wanted().items() if path.read_text(encoding="utf-8") != text]
    assert stale == []


def test_every_field_of_a_record_has_a_meaning_and_no_other_has() -> None:
    """A new field without a sentence, or a sentence for a field that is gone, fails here."""
    assert {path for path, _ in generate.record_fields(DecisionRecord)} == set(meanings.RECORD)
    assert {path for path, _ in generate.record_fields(ControlRecord)} == set(meanings.CONTROL)


def test_every_value_of_a_closed_list_has_a_meaning() -> None:
    """Outcomes, sources of usage and price, refusals, damages of the ledger."""
    assert set(map(str, Kind)) == set(meanings.DAMAGES)
    assert set(map(str, Outcome)) == set(meanings.OUTCOMES)
    assert set(map(str, UsageSource)) == set(meanings.USAGE_SOURCES)
    assert set(map(str, PriceSource)) == set(meanings.PRICE_SOURCES)
    assert set(map(str, REFUSAL_STATUS)) == set(meanings.REFUSALS)


def test_every_variable_has_a_meaning_and_a_neutral_value() -> None:
    """Conditions may read nothing that the page does not name."""
    assert set(VARIABLES) - {ALL_LABELS} == set(meanings.VARIABLES)


def test_every_setting_has_a_meaning() -> None:
    """No row of the README's table is empty, and no sentence is left over."""
    rows = [row.strip("| ").split(" | ") for row in generate.settings(Settings, "")]
    assert [row[0] for row in rows if len(row) < 3 or not row[2]] == []
    assert set(meanings.SETTINGS) <= {row[0].strip("`") for row in rows}


def test_every_status_and_code_stands_in_its_page() -> None:
    """The tables that users search are whole."""
    http = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    policies = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    assert [str(kind) for kind, status in REFUSAL_STATUS.items() if f"| {status} | `{kind}` |" not in http] == []
    assert [code for code in CODES if f"| `{code}` |" not in policies] == []


def test_a_table_has_as_many_cells_in_each_row() -> None:
    """A `|` inside a sentence would break a row apart."""
    for file, named in generate.parts().items():
        for name, lines in named.items():
            cells = {line.count("|") for line in lines if line.startswith("|")}
            assert len(cells) <= 1, f"{file}: {name}"
