"""What one batch leaves behind, what a batch that failed does not, and what two writers make of each other."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.audit_log import RECORDS, SHARED, record
from llmcp.core.control_records import ControlRecord
from llmcp.core.record_filter import RecordFilter, rule_names
from llmcp.core.records import DecisionRecord, Facts, Finding, GenAi, Rule, WouldBe, parse
from llmcp.errors import UnreachableError
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.erase import erase_person
from llmcp.stores.sqlite.facets import COLUMNS
from llmcp.stores.sqlite.usage_rollup import COUNTED, hour_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> SqliteAuditLog:
    """Return an empty store."""
    return SqliteAuditLog(tmp_path / "llmcp.db")


def rows(log: SqliteAuditLog, sql: str) -> list[Any]:
    """Return what `sql` finds."""
    with closing(sqlite3.connect(log.path)) as connection:
        return connection.execute(sql).fetchall()


def sums_of_records(log: SqliteAuditLog) -> Counter[tuple[int, int, str]]:
    """Return hour, facet and counted name → sum, from the records themselves."""
    sums: Counter[tuple[int, int, str]] = Counter()
    for facet, data in rows(log, "SELECT facet, record FROM records"):
        kept = parse(data)
        hour = hour_of(kept.time[:13])
        tokens = [getattr(kept.gen_ai, name) for name in COUNTED if name.endswith("tokens")]
        for name, number in zip(COUNTED, (1, *tokens, kept.cost_microusd), strict=True):
            sums[hour, facet, name] += number
    return sums


def sums_of_usage(log: SqliteAuditLog) -> Counter[tuple[int, int, str]]:
    """Return the same from the rollup."""
    found = rows(log, f"SELECT hour, facet, {', '.join(COUNTED)} FROM usage")  # noqa: S608 - constants
    return Counter({(hour, facet, name): n for hour, facet, *numbers in found for name, n in zip(COUNTED, numbers, strict=True)})


TOKENS = st.integers(0, 10**9)


def _counted(kept: DecisionRecord, tokens: tuple[int, ...], cost: int) -> DecisionRecord:
    one, two, three, four, five = tokens
    kept.gen_ai = GenAi(
        provider=kept.gen_ai.provider, request_model=kept.gen_ai.request_model, input_tokens=one, output_tokens=two,
        cached_tokens=three, cache_write_tokens=four, reasoning_tokens=five,
    )  # fmt: skip
    kept.cost_microusd = cost
    return kept


COUNTING = st.builds(_counted, RECORDS, st.tuples(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS), TOKENS)


@settings(max_examples=60, deadline=None, suppress_health_check=SHARED)
@given(batch=st.lists(COUNTING, max_size=12))
def test_usage_is_the_records_sum_whatever_is_appended(log: SqliteAuditLog, batch: list[DecisionRecord]) -> None:
    """Also where a record comes twice, and over all batches so far."""
    log.append(batch)
    log.append(batch[:3])
    assert sums_of_usage(log) == sums_of_records(log)


@settings(max_examples=60, deadline=None, suppress_health_check=SHARED)
@given(batch=st.lists(RECORDS, max_size=12))
def test_a_facet_says_what_its_records_say(log: SqliteAuditLog, batch: list[DecisionRecord]) -> None:
    """Of every record ever written: the columns are the leaf's own words, the lists sorted lines."""
    log.append(batch)
    said_by = ", ".join(f"f.{name}" for name in COLUMNS)
    facets = rows(log, f"SELECT r.record, {said_by} FROM records r LEFT JOIN facets f ON f.id = r.facet")  # noqa: S608 - constants
    for data, *said in facets:
        kept = parse(data)
        gen_ai = kept.gen_ai
        assert said[:9] == [
            kept.org, kept.app, kept.user, kept.key_id, gen_ai.provider, kept.operation, gen_ai.request_model,
            gen_ai.response_model, kept.outcome,
        ]  # fmt: skip
        names = {name for name in rule_names(kept) if "/" in name}
        for text, expected in zip(
            said[9:],
            (names, {f.kind for f in kept.findings}, {f"{k}={v}" for k, v in kept.labels.items()}),
            strict=True,
        ):
            assert text == ("\n" + "\n".join(sorted(expected)) + "\n" if expected else "")


def test_equal_combinations_share_one_facet_across_writers(log: SqliteAuditLog) -> None:
    """Two processes that never spoke, and orders that differ, come to the same row."""
    rule, other = Rule("deny", "r", "enforce", "p"), Rule("deny", "s", "enforce", "p")
    second = SqliteAuditLog(log.path)
    log.append([record(labels={"a": "1", "b": "2"}, rules=(rule, other))])
    second.append([record(labels={"b": "2", "a": "1"}, rules=(other,), would_be=WouldBe((rule,), "deny"))])
    log.append([record(labels={"a": "1", "b": "2"}, rules=(rule, other))])
    assert rows(log, "SELECT count(DISTINCT facet) FROM records") == [(1,)]
    assert rows(log, "SELECT count(*) FROM facets") == [(1,)]


def test_a_newline_in_a_name_makes_no_second_name(log: SqliteAuditLog) -> None:
    """A client's label must not pass for another one."""
    log.append([record(labels={"a": "1\nteam=red"}, findings=(Finding("none", 1, "x\ny"),))])
    assert rows(log, "SELECT labels, kinds FROM facets") == [("\na=1 team=red\n", "\nx y\n")]


def test_nonsense_tokens_stop_a_cell_and_never_make_it_a_float(log: SqliteAuditLog) -> None:
    """A server that reports the largest integer in every answer."""
    most = 2**53 - 1
    for _ in range(3):
        log.append([record(gen_ai=GenAi(input_tokens=2**60, output_tokens=1)) for _ in range(600)])
    assert rows(log, "SELECT requests, input_tokens, typeof(input_tokens), output_tokens FROM usage") == [
        (1800, most, "integer", 1800)
    ]


def test_what_a_failed_batch_made_is_not_remembered(log: SqliteAuditLog) -> None:
    """Its facets and references were rolled back with it: the next batch makes them anew."""
    kept = [record(org=f"o{number}", user=f"u{number}", facts=Facts(client_ip="203.0.113.9")) for number in range(5)]
    log.append([record()])
    writer = log._writer
    assert writer is not None
    writer.connection.execute("CREATE TEMP TRIGGER fails BEFORE INSERT ON main.usage BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(UnreachableError):
        log.append(kept)
    assert rows(log, "SELECT (SELECT count(*) FROM facets), (SELECT count(*) FROM persons), (SELECT count(*) FROM records)") == [
        (1, 0, 1)
    ]
    writer.connection.execute("DROP TRIGGER fails")
    assert log.append(kept) == 6
    orphans = (
        "SELECT count(*) FROM records LEFT JOIN facets ON facets.id = facet LEFT JOIN persons ON ref = user WHERE key IS NULL"
    )
    assert rows(log, orphans) == [(0,)]
    assert [parse(data).user for data in log.query(RecordFilter())] == ["", "u0", "u1", "u2", "u3", "u4"]
    assert sums_of_usage(log) == sums_of_records(log)


def test_the_callers_record_keeps_its_names(log: SqliteAuditLog) -> None:
    """After a failure it comes again, and must not be concealed twice."""
    given_ = record(user="u", facts=Facts(client_ip="203.0.113.9"))
    log.append([given_])
    assert (given_.user, given_.facts.client_ip, given_.seq) == ("u", "203.0.113.9", 1)


def test_a_writer_notices_that_somebody_else_erased_a_person(log: SqliteAuditLog) -> None:
    """The daemon writes on while the command line erases: the old reference is never used again."""
    log.append([record(user="ada")])
    erased = erase_person(log.path, None, "ada", ControlRecord(action="person.erase", actor="daemon", id="c", time=record().time))
    log.append([record(user="ada")])
    first, second = parse(log.leaf(1) or b"").user, parse(log.leaf(2) or b"").user
    assert erased.references == (first,)
    assert second != first
    assert [parse(data).user for data in log.query(RecordFilter())] == [first, "ada"]


_APPEND_MANY = """
import sys
from pathlib import Path
from llmcp.core.records import DecisionRecord, GenAi
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
log = SqliteAuditLog(Path(sys.argv[1]))
for batch in range(30):
    names = [f"{sys.argv[2]}-{batch}-{n}" for n in range(7)]
    log.append([DecisionRecord(id=name, decision_id=name, time="2026-01-01T00:00:00.000000Z", user=f"u{batch % 5}",
        gen_ai=GenAi(input_tokens=batch, request_model=f"m{batch % 3}")) for name in names])
"""


def test_two_processes_share_sequence_facets_persons_and_usage(log: SqliteAuditLog) -> None:
    """Each remembers what it met; neither makes what the other has made."""
    writers = [subprocess.Popen([sys.executable, "-c", _APPEND_MANY, str(log.path), name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert rows(log, "SELECT count(*), min(seq), max(seq) FROM records") == [(420, 1, 420)]
    assert rows(log, "SELECT (SELECT count(*) FROM facets), (SELECT count(*) FROM persons)") == [(15, 5)]
    assert sums_of_usage(log) == sums_of_records(log)
