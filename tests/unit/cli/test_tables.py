"""Tables for people: numbers, times, columns that say nothing."""

from __future__ import annotations

import pytest

from llmcp.cli.render import Output, counted, emit_rows

ROWS = [
    {"name": "a", "time": "2026-01-31T12:00:00.123456Z", "count": 7, "note": "", "on": True},
    {"name": "bb", "time": "2026-01-31T12:00:01.000000Z", "count": 1200, "note": "", "on": False},
]
COLUMNS = ("name", "time", "count", "note", "on")


def test_a_table_aligns_numbers_cuts_times_to_seconds_and_leaves_empty_columns_out(capsys: pytest.CaptureFixture[str]) -> None:
    """What a person reads is narrow."""
    assert emit_rows(ROWS, Output.TABLE, COLUMNS) == 2
    assert capsys.readouterr().out.splitlines() == [
        "NAME  TIME                  COUNT  ON",
        "a     2026-01-31T12:00:00Z      7  yes",
        "bb    2026-01-31T12:00:01Z   1200  no",
    ]


def test_csv_keeps_every_column_and_the_whole_time(capsys: pytest.CaptureFixture[str]) -> None:
    """What a program reads is always the same."""
    emit_rows(ROWS[:1], Output.CSV, COLUMNS)
    assert capsys.readouterr().out == "name,time,count,note,on\na,2026-01-31T12:00:00.123456Z,7,,yes\n"


def test_a_column_with_one_word_among_numbers_stays_at_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Only a column of numbers alone is one of numbers; a truth value is a word."""
    emit_rows([{"value": 1}, {"value": "many"}], Output.TABLE, ("value",))
    assert capsys.readouterr().out.splitlines() == ["VALUE", "1", "many"]


def test_one_thing_is_counted_in_the_singular() -> None:
    """Words that take another plural bring it along."""
    assert [counted(1, "record"), counted(2000, "record"), counted(0, "body", "bodies")] == [
        "1 record",
        "2,000 records",
        "0 bodies",
    ]
