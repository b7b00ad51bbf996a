"""An org's scope: nothing of another org is found by any filter, any cursor, any text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.audit_log import FILTERS, RECORDS
from llmcp.core import record_cursor
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import DecisionRecord, parse
from llmcp.stores.sqlite.audit_log import SqliteAuditLog


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(RECORDS, min_size=4, max_size=12), wanted=FILTERS, seq=st.integers(0, 40))
def test_nothing_of_another_org_comes_through_filters_or_cursors(
    tmp_path: Path, batch: list[DecisionRecord], wanted: RecordFilter, seq: int
) -> None:
    """Also where a cursor was forged to point at somebody else's record."""
    log = SqliteAuditLog(tmp_path / "llmcp.db")
    log.append(batch)
    mine = replace(wanted, org="a", limit=3)
    forged = record_cursor.encode(seq, spoken=mine, resolved=mine)
    for asked in (mine, record_cursor.resume(forged, spoken=mine, resolved=mine)):
        page = log.page(asked)
        seqs = []
        for data in page.records:
            assert parse(data).org == "a"
            seqs.append(parse(data).seq)
        assert page.next_seq in {-1, *seqs}
        assert all(parse(data).org == "a" for data in log.query(asked))
    with log.follow() as follower:
        found, _, _ = follower.page(mine, 0)
        assert all(parse(data).org == "a" for data in found)
    log.close()


def test_a_name_that_two_orgs_share_is_looked_up_in_the_scope_alone(tmp_path: Path) -> None:
    """Persons of another org are not even asked."""
    from contract.audit_log import record

    log = SqliteAuditLog(tmp_path / "llmcp.db")
    log.append([record(org="a", user="zoë"), record(org="b", user="zoë"), record(org="b", user="only-b")])
    assert [parse(data).seq for data in log.query(RecordFilter(org="a", user="zoë"))] == [1]
    assert list(log.query(RecordFilter(org="a", user="only-b"))) == []
    (leaf,) = [log.leaf(2)]
    reference = msgspec.json.decode(leaf or b"")["user"]
    assert list(log.query(RecordFilter(org="a", user=reference))) == []
