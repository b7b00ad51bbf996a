"""Entries of credentials in the SQLite store: what goes in comes out, and what fails leaves nothing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcp.core.control_records import ControlRecord
from llmcp.core.credentials import CredentialEntry, secret_name
from llmcp.errors import NotFoundError
from llmcp.stores.sqlite.change import change_number
from llmcp.stores.sqlite.credentials import SqliteCredentials
from llmcp.stores.sqlite.file import connect


def record(number: int) -> ControlRecord:
    """Return a control record with an id of its own."""
    return ControlRecord(action="key.set", actor="local:tester", id=f"c_{number:06}", time="2026-05-01T00:00:00.000000Z")


@pytest.fixture
def store(tmp_path: Path) -> SqliteCredentials:
    """Open a fresh one."""
    return SqliteCredentials(tmp_path / "llmcp.db")


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.builds(
        CredentialEntry, id=st.just("cred_aaaaaaaaaaaa"), provider=words, label=words, source=words, weight=st.integers(0, 1000),
        resources=st.lists(words, max_size=4).map(tuple), hint=words, created=words, rotated=words,
    )
)  # fmt: skip
def test_an_entry_comes_back_as_it_was_put(store: SqliteCredentials, entry: CredentialEntry) -> None:
    """Whatever its texts are; putting again replaces."""
    store.put(entry, record(change_number(store.path)))
    assert store.entries() == (entry,)


def test_entries_come_by_provider_org_and_id(store: SqliteCredentials) -> None:
    """The order is the same for every reader: weights count on it."""
    names = [("b", "", "cred_2"), ("a", "default", "cred_3"), ("a", "", "cred_9"), ("a", "", "cred_1")]
    for number, (provider, org, entry_id) in enumerate(names):
        store.put(CredentialEntry(id=entry_id, provider=provider, org=org), record(number))
    assert [entry.id for entry in store.entries()] == ["cred_1", "cred_9", "cred_3", "cred_2"]


def test_what_fails_writes_neither_entry_nor_record_nor_number(store: SqliteCredentials) -> None:
    """An org that is not there, an entry that is not there."""
    with pytest.raises(NotFoundError):
        store.put(CredentialEntry(id="cred_1", provider="openai", org="ghost"), record(1))
    with pytest.raises(NotFoundError):
        store.remove("cred_1", record(2))
    with closing(connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM control_records").fetchone() == (0,)
    assert (store.entries(), change_number(store.path)) == ((), 0)


def test_the_name_of_a_secret_changes_with_each_rotation() -> None:
    """So the old one is in force until the entry says otherwise."""
    first = CredentialEntry(id="cred_1", provider="openai", created="2026-05-01T00:00:00.000001Z")
    second = CredentialEntry(id="cred_1", provider="openai", created=first.created, rotated="2026-05-01T00:00:00.000002Z")
    assert secret_name(first) == "credential/cred_1/20260501000000000001"
    assert secret_name(second) == "credential/cred_1/20260501000000000002"
