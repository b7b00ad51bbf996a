"""The SQLite identity store passes the contract, and keeps no secret in the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from contract.identity_store import Changes, IdentityStoreContract, because, token
from llmcp.core import virtual_keys
from llmcp.core.credentials import CredentialEntry
from llmcp.core.identity import Org
from llmcp.errors import ConflictError, UsageError
from llmcp.stores import open_identities
from llmcp.stores.sqlite.credentials import SqliteCredentials
from llmcp.stores.sqlite.identities import SqliteIdentities


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of this test is."""
    return tmp_path / "llmcp.db"


@pytest.fixture
def store(path: Path) -> SqliteIdentities:
    """A fresh store."""
    return SqliteIdentities(path)


@pytest.fixture
def reopened(path: Path) -> Callable[[], SqliteIdentities]:
    """Open the same file again."""
    return lambda: SqliteIdentities(path)


@pytest.fixture
def changes(path: Path) -> Changes:
    """Read the change number and the control records."""

    def look() -> tuple[int, list[bytes]]:
        with closing(sqlite3.connect(path)) as connection:
            (number,) = connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone()
            rows = connection.execute("SELECT record FROM control_records ORDER BY seq").fetchall()
        return number, [row for (row,) in rows]

    return look


class TestSqliteIdentities(IdentityStoreContract):
    """One file, several connections."""


def test_no_key_and_no_part_of_its_secret_lies_in_the_file(store: SqliteIdentities, path: Path) -> None:
    """Only the keyed digest does."""
    token_id, prefix, key = virtual_keys.make(bytes(range(34)))
    store.add_token(token(id=token_id, prefix=prefix, digest=virtual_keys.digest(b"p" * 32, key)), because())
    written = b"".join(part.read_bytes() for part in path.parent.iterdir())
    assert prefix.encode() in written
    assert key.encode() not in written
    assert key.removeprefix(prefix)[1:9].encode() not in written


def test_the_store_is_opened_by_its_uri(tmp_path: Path) -> None:
    """As the audit log is."""
    assert open_identities("", tmp_path).orgs()[0].name == "default"
    assert (tmp_path / "llmcp.db").exists()
    with pytest.raises(UsageError, match="is not supported"):
        open_identities("postgresql://x", tmp_path)


def test_an_org_with_credentials_of_its_own_stays(store: SqliteIdentities, path: Path) -> None:
    """Whoever took its name later would be served with them."""
    store.add_org(Org(name="a"), because())
    credentials = SqliteCredentials(path)
    credentials.put(CredentialEntry(id="k1", provider="openai", org="a"), because())
    with pytest.raises(ConflictError, match="org `a` is not removed"):
        store.remove_org("a", because())
    credentials.remove("k1", because())
    store.remove_org("a", because())
    assert store.orgs("a") == ()
