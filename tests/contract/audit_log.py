"""What every `AuditLog` must do. A backend's test file subclasses `AuditLogContract` and gives it a `log` fixture."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcp.core import records
from llmcp.core.control_records import ControlRecord
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import DecisionRecord, Facts, Finding, GenAi, Rule, WouldBe, canonical, parse
from llmcp.errors import NotFoundError

if TYPE_CHECKING:
    from llmcp.ports.stores import AuditLog

_NUMBERS = count(1)


def record(**fields: Any) -> DecisionRecord:
    """Return a record with an id of its own and whatever else is wanted."""
    number = next(_NUMBERS)
    fields.setdefault("id", f"id-{number:08d}")
    fields.setdefault("decision_id", fields["id"])
    fields.setdefault("time", f"2026-01-01T00:00:00.{number % 1_000_000:06d}Z")
    return DecisionRecord(**fields)


NAMES = st.sampled_from(["", "a", "b"])
MODELS = st.sampled_from(["", "gpt-4o", "GPT-4o-mini", "claude[1]", "a*b"])
TIMES = st.sampled_from([f"2026-01-0{day}T00:00:00.000000Z" for day in range(1, 6)])
RULES = st.lists(
    st.builds(Rule, effect=st.just("deny"), id=st.sampled_from(["r1", "r2"]), mode=st.just("enforce"), policy=NAMES), max_size=2
)
RECORDS = st.builds(
    record,
    time=TIMES,
    org=NAMES,
    app=NAMES,
    user=NAMES,
    outcome=st.sampled_from(records.Outcome).map(str),
    operation=NAMES,
    rules=RULES.map(tuple),
    key_id=NAMES,
    session=st.sampled_from(["", "s-1", "s-2"]),
    labels=st.dictionaries(st.sampled_from(["team", "tier"]), NAMES),
    findings=st.lists(
        st.builds(Finding, st.just("none"), st.just(1), st.sampled_from(["pii.email", "pii.iban"])), max_size=2
    ).map(tuple),
    facts=st.builds(Facts, client_ip=st.sampled_from(["", "127.0.0.1", "203.0.113.1", "2001:db8::1"])),
    would_be=st.builds(WouldBe, rules=RULES.map(tuple), verdict=NAMES),
    gen_ai=st.builds(GenAi, provider=NAMES, request_model=MODELS, response_model=MODELS),
)
FILTERS = st.builds(
    RecordFilter,
    since=st.just("") | TIMES,
    until=st.just("") | TIMES,
    org=NAMES,
    app=NAMES,
    user=NAMES,
    model=st.sampled_from(["", "", "gpt-4o", "gpt*", "*O*", "claude[1]", "a?b", "a*b"]),
    outcome=st.sampled_from(["", "", "denied", "allowed"]),
    rule=st.sampled_from(["", "", "r1", "a/r2", "/r1"]),
    operation=NAMES,
    provider=NAMES,
    key_id=NAMES,
    session=st.sampled_from(["", "", "s-1"]),
    kind=st.sampled_from(["", "", "pii.*", "PII.email", "pii", "p"]),
    labels=st.sampled_from([(), (), ("team",), ("team=a",), ("tier=b", "team=a"), ("te",)]),
    text=st.sampled_from(["", "", "TEAM=a", "=b", "tier"]),
    action=st.sampled_from(["", "", "llm.*", "x"]),
    actor=st.sampled_from(["", "", "", "a"]),
    before_seq=st.sampled_from([0, 0, 0, 5]),
    limit=st.sampled_from([0, 1, 3]),
    after_seq=st.sampled_from([-1, -1, 0, 2]),
)


# One log per test, not per example, and one contract for several backends: the property speaks of all that was ever written.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


class AuditLogContract:
    """The behaviour that the recorder and `audit` rely on."""

    def test_seq_counts_from_one_without_gaps_across_batches(self, log: AuditLog) -> None:
        """Batches of any size, also empty ones, also past one statement's rows."""
        lasts = [log.append([record() for _ in range(size)]) for size in (1, 0, 64, 65, 200, 1)]
        assert lasts == [1, 1, 65, 130, 330, 331]
        assert [parse(data).seq for data in log.query(RecordFilter())] == list(range(1, 332))
        assert log.last_seq() == 331

    def test_what_is_read_is_the_canonical_form_with_its_seq(self, log: AuditLog) -> None:
        """Byte for byte, and so is the leaf where it names nobody."""
        one, two = record(org="ü", labels={"b": "1", "a": "2"}), record()
        log.append([one, two])
        assert list(log.query(RecordFilter())) == [canonical(one), canonical(two)]
        assert [log.leaf(1), log.leaf(2), log.leaf(3)] == [canonical(one), canonical(two), None]
        assert (one.seq, two.seq) == (1, 2)

    def test_a_leaf_names_persons_by_reference_only(self, log: AuditLog) -> None:
        """User and address; whoever reads a record still sees them, and the caller's record keeps them."""
        given = [
            record(org="a", user="zoë@x", facts=Facts(client_ip="203.0.113.77", max_tokens=7)),
            record(org="a", user="zoë@x", facts=Facts(client_ip="127.0.0.1")),
            record(org="b", user="zoë@x"),
        ]
        log.append(given)
        leaves = [parse(log.leaf(seq) or b"") for seq in (1, 2, 3)]
        assert leaves[0].user == leaves[1].user != leaves[2].user
        for name in (leaves[0].user, leaves[2].user, leaves[0].facts.client_ip):
            assert re.fullmatch("person:[0-9a-f]{32}", name)
        assert leaves[0].facts.max_tokens == 7
        assert leaves[1].facts.client_ip == "127.0.0.1"
        assert list(log.query(RecordFilter())) == [canonical(item) for item in given]
        assert log.get(given[0].id) == canonical(given[0])
        assert [parse(data).seq for data in log.query(RecordFilter(user="zoë@x", org="a"))] == [1, 2]

    def test_an_erased_person_is_known_by_reference_only(self, log: AuditLog) -> None:
        """In the org that was named; who is met again gets a new reference, and no leaf changes."""
        log.append([record(org="a", user="ada"), record(org="b", user="ada")])
        before = [log.leaf(1), log.leaf(2)]
        erasure = ControlRecord(action="person.erase", actor="daemon", id="erasure", time=record().time)
        erased = log.erase_person("a", "ada", erasure)
        log.append([record(org="a", user="ada")])
        assert erased.references == (parse(before[0] or b"").user,)
        assert [log.leaf(1), log.leaf(2)] == before
        assert parse(log.leaf(3) or b"").user not in erased.references
        assert [parse(data).user for data in log.query(RecordFilter())] == [*erased.references, "ada", "ada"]
        assert erasure.target == erased.references[0]
        with pytest.raises(NotFoundError):
            log.erase_person(None, "eve", erasure)

    def test_a_record_that_is_no_decisions_own_is_refused(self, log: AuditLog) -> None:
        """It would be found under another name than its own; what is right beside it is not written either."""
        for bad in (record(id="other", decision_id="dec-2"), record(stream="control")):
            with pytest.raises(ValueError, match="decision"):
                log.append([record(), bad])
        assert log.append([record()]) == 1

    def test_a_record_that_is_already_there_is_not_written_twice(self, log: AuditLog) -> None:
        """A retry after a failure that was none leaves neither a double nor a gap."""
        first, second, third = record(), record(), record()
        log.append([first, second])
        log.append([first, third, second, third])
        assert [(parse(data).seq, parse(data).id) for data in log.query(RecordFilter())] == [
            (1, first.id),
            (2, second.id),
            (3, third.id),
        ]

    def test_a_batch_with_a_bad_record_leaves_nothing_behind(self, log: AuditLog) -> None:
        """All or nothing: the recorder then tries them one by one."""
        bad = record()
        bad.labels = {"k": object()}  # type: ignore[dict-item]
        with pytest.raises(TypeError):
            log.append([record(), bad])
        assert log.append([record()]) == 1

    @settings(max_examples=100, deadline=None, suppress_health_check=SHARED)
    @given(batch=st.lists(RECORDS, max_size=8), wanted=FILTERS)
    def test_a_query_finds_what_the_filter_lets_pass_newest_last(
        self, log: AuditLog, batch: list[DecisionRecord], wanted: RecordFilter
    ) -> None:
        """The backend's query agrees with the filter's own predicate, over all that was ever written."""
        log.append(batch)
        passing = [item for item in map(parse, log.query(RecordFilter())) if wanted.matches(item)]
        if wanted.limit:
            passing = passing[: wanted.limit] if wanted.after_seq >= 0 else passing[-wanted.limit :]
        assert [parse(data) for data in log.query(wanted)] == passing

    @settings(max_examples=50, deadline=None, suppress_health_check=SHARED)
    @given(batch=st.lists(RECORDS, max_size=8), wanted=FILTERS, size=st.integers(1, 4), forward=st.booleans())
    def test_pages_put_together_are_the_whole_answer(
        self, log: AuditLog, batch: list[DecisionRecord], wanted: RecordFilter, size: int, forward: bool
    ) -> None:
        """Each record once, whichever end they begin at; every page is newest last."""
        log.append(batch)
        whole = list(log.query(replace(wanted, limit=0, after_seq=-1)))
        wanted = replace(wanted, limit=size, after_seq=0 if forward else -1)
        pages: list[list[bytes]] = []
        while True:
            page = log.page(wanted)
            pages.append(list(page.records))
            if page.next_seq < 0:
                break
            assert len(pages[-1]) == size
            wanted = replace(wanted, **{"after_seq" if forward else "before_seq": page.next_seq})
        assert [data for page in (pages if forward else pages[::-1]) for data in page] == whole

    def test_a_decision_is_found_by_its_id_and_nothing_else_is(self, log: AuditLog) -> None:
        """It is the record's id."""
        plain, other = record(), record()
        log.append([plain, other])
        assert log.get(plain.decision_id) == canonical(plain)
        assert log.get("missing") is None
        assert list(log.query(RecordFilter(decision_id=other.id))) == [canonical(other)]
        assert list(log.query(RecordFilter(decision_id="other"))) == []

    def test_a_follower_sees_every_record_once(self, log: AuditLog) -> None:
        """Asking again beyond the last `seq` is how `audit tail --follow` works."""
        seen: list[int] = []
        for size in (3, 0, 5):
            log.append([record() for _ in range(size)])
            while batch := list(log.query(RecordFilter(after_seq=seen[-1] if seen else 0, limit=2))):
                seen += [parse(data).seq for data in batch]
        assert seen == list(range(1, 9))

    @settings(max_examples=30, deadline=None, suppress_health_check=SHARED)
    @given(batch=st.lists(RECORDS, max_size=8), wanted=FILTERS)
    def test_following_shows_what_passes_of_what_comes(
        self, log: AuditLog, batch: list[DecisionRecord], wanted: RecordFilter
    ) -> None:
        """Bounds of `seq` and the limit are the follower's own affair."""
        follower = log.follow()
        after = follower.last_seq()
        assert follower.changed()
        assert not follower.changed()
        log.append(batch)
        assert follower.changed() == bool(batch)
        seen, more = [], True
        while more:
            found, after, more = follower.page(wanted, after)
            seen += found
        follower.close()
        wanted = replace(wanted, after_seq=-1, before_seq=0)
        assert [parse(data) for data in seen] == [item for item in batch if wanted.matches(item)]
        assert after == log.last_seq()

    def test_hostile_text_is_stored_mended(self, log: AuditLog) -> None:
        """Half a surrogate pair or a NUL in a model's name must not lose the record."""
        log.append([record(gen_ai=GenAi(request_model="\ud800\x00'; DROP TABLE records"), user="\udfff")])
        (data,) = log.query(RecordFilter())
        assert msgspec.json.decode(data)["gen_ai"]["request_model"] == "?\x00'; DROP TABLE records"

    def test_a_reader_in_the_middle_sees_whole_batches_only(self, log: AuditLog) -> None:
        """A transaction is visible as a whole or not yet."""
        done = threading.Event()
        partial: list[int] = []

        def read() -> None:
            while not done.is_set():
                partial.extend(n for n in [len(list(log.query(RecordFilter())))] if n % 10)

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(20):
            log.append([record() for _ in range(10)])
        done.set()
        reader.join()
        assert partial == []

    def test_two_writers_share_one_sequence(self, log: AuditLog, second_log: AuditLog) -> None:
        """The daemon and a command on the same home."""
        logs = [log, second_log]
        threads = [threading.Thread(target=lambda mine=mine: [mine.append([record()]) for _ in range(25)]) for mine in logs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [parse(data).seq for data in log.query(RecordFilter())] == list(range(1, 51))
