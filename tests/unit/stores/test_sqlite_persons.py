"""Persons by reference: who can be named again, who cannot, and where the bytes are."""

from __future__ import annotations

import random
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.audit_log import SHARED, record
from llmcp.core.control_records import ControlRecord
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import Edit, Facts, GenAi, Rule, WouldBe, canonical, parse
from llmcp.errors import NotFoundError
from llmcp.stores.sqlite import audit_log as sqlite
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.change import change
from llmcp.stores.sqlite.file import connect
from llmcp.stores.sqlite.persons import conceal, reveal, revealed_control

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> SqliteAuditLog:
    """Return an empty store."""
    return SqliteAuditLog(tmp_path / "llmcp.db")


def erasing(**fields: str) -> ControlRecord:
    """Return the record that an erasure leaves."""
    said = {"action": "person.erase", "actor": "local:root", "id": f"c{random.getrandbits(64)}", "time": record().time, **fields}
    return ControlRecord(**said)  # type: ignore[arg-type]


def on_disk(log: SqliteAuditLog) -> bytes:
    """Return every byte of the store and its log."""
    return b"".join(part.read_bytes() for part in sorted(log.path.parent.iterdir()))


def test_one_person_has_one_reference_in_an_org_and_another_in_every_other(log: SqliteAuditLog) -> None:
    """And a user is not an address, even where they are spelled alike."""
    with closing(connect(log.path)) as connection:
        asked = [("a", "user", "x"), ("a", "user", "x"), ("b", "user", "x"), ("a", "address", "x"), ("a", "user", "y")]
        refs = [conceal(connection, *person) for person in asked]
        assert refs[0] == refs[1]
        assert len(set(refs)) == 4
        assert all(re.fullmatch("person:[0-9a-f]{32}", ref) for ref in refs)
        assert reveal(connection, refs) == {refs[0]: "x", refs[2]: "x", refs[3]: "x", refs[4]: "y"}
        assert conceal(connection, "a", "user", "") == ""
        salts = {salt for (salt,) in connection.execute("SELECT salt FROM persons")}
    assert len(salts) == 4
    assert {len(salt) for salt in salts} == {32}


def test_names_stand_in_the_person_table_alone(log: SqliteAuditLog) -> None:
    """Neither a leaf nor a facet nor any other table holds them."""
    log.append([record(user="ada@example.org", facts=Facts(client_ip="203.0.113.9"))])
    with change(log.path, erasing(actor="local:operator-7", user="ada@example.org", action="token.create")):
        pass
    with closing(sqlite3.connect(log.path)) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'") if name != "persons"
        ]
        found = repr([connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables])  # noqa: S608 - the schema's own
    assert not re.search(r"ada@|203\.0\.113|operator-7", found)


def test_an_erased_person_is_a_reference_from_then_on_and_others_keep_their_names(log: SqliteAuditLog) -> None:
    """The leaf is what it was; only nobody can say any more who it is."""
    log.append([record(user="ada"), record(user="bob"), record(org="other", user="ada")])
    before = [log.leaf(seq) for seq in (1, 2, 3)]
    erased = log.erase_person("default", "ada", erasing())
    assert [parse(data).user for data in log.query(RecordFilter())] == [*erased.references, "bob", "ada"]
    assert [log.leaf(seq) for seq in (1, 2, 3)] == before
    assert list(log.query(RecordFilter(user="ada", org="default"))) == []
    assert erased.overwritten


def test_an_erasure_leaves_a_record_that_names_references_only(log: SqliteAuditLog) -> None:
    """In the control stream, with the operator by reference too."""
    log.append([record(user="Ada L."), record(facts=Facts(client_ip="Ada L."))])
    erased = log.erase_person(None, "Ada L.", erasing())
    with closing(connect(log.path, read_only=True)) as connection:
        ((data,),) = connection.execute("SELECT record FROM control_records").fetchall()
        (shown,) = revealed_control(connection, [data])
    kept = msgspec.json.decode(data)
    assert kept["target"] == " ".join(erased.references)
    assert kept["detail"] == {"references": "2", "tokens": "0"}
    assert b"Ada L." not in data
    assert re.fullmatch("local:person:[0-9a-f]{32}", kept["actor"])
    assert msgspec.json.decode(shown) == {**kept, "actor": "local:root"}


def test_whom_nobody_knows_cannot_be_erased(log: SqliteAuditLog) -> None:
    """Nothing is written, in particular no record of it."""
    log.append([record(user="ada")])
    for org, name in ((None, "bob"), ("other", "ada"), (None, "")):
        with pytest.raises(NotFoundError):
            log.erase_person(org, name, erasing())
    with closing(sqlite3.connect(log.path)) as connection:
        assert connection.execute("SELECT count(*) FROM control_records").fetchall() == [(0,)]
    assert parse(next(log.query(RecordFilter()))).user == "ada"


def test_the_bytes_of_an_erased_name_are_nowhere_in_the_file(log: SqliteAuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where pages were split in between, and where SQLite was built to leave what is deleted."""

    def careless(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
        connection = connect(path, read_only=read_only)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(sqlite, "connect", careless)
    chosen = random.Random(7)  # noqa: S311 - reproducible names, no secrets
    names = [f"user-{chosen.getrandbits(64):016x}@example.org" for _ in range(1500)]
    for start in range(0, len(names), 50):
        log.append([record(user=name) for name in names[start : start + 50]])
    gone = chosen.sample(names, 25)
    for name in gone:
        log.erase_person(None, name, erasing())
    left = on_disk(log)
    assert [name for name in gone if name.encode() in left] == []
    assert names[0].encode() in left or names[0] in gone


REF = "person:" + "0" * 32
FORGED = st.sampled_from(
    ["", REF, f'"user":"{REF}', '"user', f'x"user":"{REF}","', f'"facts":{{"client_ip":"{REF}', f'"actor":"{REF}', f'\\"user":"{REF}', "\\"]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=SHARED)
@given(texts=st.lists(FORGED, min_size=7, max_size=7), labels=st.dictionaries(FORGED, FORGED, max_size=2))
def test_a_client_that_writes_references_learns_nobodys_name(
    log: SqliteAuditLog, texts: list[str], labels: dict[str, str]
) -> None:
    """References are resolved where persons stand and nowhere else: what was written is what is read, to the byte."""
    user, address, org, session, model, rule, text = texts
    with closing(connect(log.path)) as connection:
        connection.execute("INSERT OR IGNORE INTO persons VALUES (?, '', 'user', 'somebody', x'00')", (REF,))
    rules = (Rule("deny", rule, "warn", rule),)
    kept = record(
        user=user, org=org, session=session, labels=labels, flags=labels, rules=rules, warnings=(rule,),
        would_be=WouldBe(rules, rule), facts=Facts(client_ip=address), gen_ai=GenAi(request_model=model), edits=(Edit(rule, text, text),),
    )  # fmt: skip
    log.append([kept])
    assert log.get(kept.id) == canonical(kept)


def test_a_row_that_somebody_broke_is_passed_on(log: SqliteAuditLog) -> None:
    """Reading the others goes on; saying that it is broken is the verifier's part."""
    log.append([record(user="ada"), record(user="bob")])
    for broken in (b"", b"{", b'{"user":"person:'):
        with closing(connect(log.path)) as connection:
            connection.execute("UPDATE records SET record = ? WHERE seq = 1", (broken,))
        first, second = log.query(RecordFilter())
        assert (first, parse(second).user) == (broken, "bob")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", ""])
def test_this_very_machine_is_nobody(log: SqliteAuditLog, address: str) -> None:
    """A local client's address says nothing about a person, and costs nothing."""
    log.append([record(facts=Facts(client_ip=address))])
    assert parse(log.leaf(1) or b"").facts.client_ip == address


@pytest.mark.parametrize("address", ["::12", "10.0.0.1", "203.0.113.127"])
def test_every_other_address_may_be_somebody(log: SqliteAuditLog, address: str) -> None:
    """Private networks too: there a person has an address for years."""
    log.append([record(facts=Facts(client_ip=address))])
    assert parse(log.leaf(1) or b"").facts.client_ip.startswith("person:")


def test_tokens_that_ended_forget_for_whom_they_were(log: SqliteAuditLog) -> None:
    """A valid one does not; neither does another org's when one org is asked."""
    log.append([record(org="acme", user="ada")])
    tokens = {
        "valid": ("acme", "", ""), "endless": ("acme", "2999-01-01T00:00:00.000000Z", ""), "expired": ("acme", "2020-01-01", ""),
        "revoked": ("acme", "", "2021-01-01"), "elsewhere": ("default", "", "2021-01-01"),
    }  # fmt: skip
    with closing(sqlite3.connect(log.path)) as connection:
        connection.execute("INSERT INTO orgs VALUES ('acme', '', 'UTC', 1, '')")
        for name, (org, expires, revoked) in tokens.items():
            values = (name, "", b"", org, "", "ada", "[]", "{}", "[]", "[]", "", expires, revoked, "")
            connection.execute("INSERT INTO tokens VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", values)
        connection.commit()
        erasure = ControlRecord(action="person.erase", actor="local:op", id="c_e", target="", time="2026-01-01T00:00:00.000000Z")
        log.erase_person("acme", "ada", erasure)
        left = [name for (name,) in connection.execute("SELECT id FROM tokens WHERE user = 'ada' ORDER BY id")]
    assert left == ["elsewhere", "endless", "valid"]


def test_no_stray_bytes_of_a_tokens_user_stay_after_its_rows_grew(log: SqliteAuditLog) -> None:
    """A revocation makes a row longer and moves it: what it leaves behind is overwritten."""
    marker = "zq-" + "marker" * 3
    row = ("", b"", "default", "", marker, "[]", "{}", "[]", "[]", "", "", "", "")
    for number in range(40):
        with change(log.path, erasing(action="token.create")) as connection:
            connection.execute("INSERT INTO tokens VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", (f"t{number}", *row))
    for number in range(40):
        with change(log.path, erasing(action="token.revoke")) as connection:
            connection.execute("UPDATE tokens SET revoked = '2021-01-01', replaced_by = ? WHERE id = ?", ("x" * 90, f"t{number}"))
    log.erase_person(None, marker, erasing())
    assert marker.encode() not in on_disk(log)
