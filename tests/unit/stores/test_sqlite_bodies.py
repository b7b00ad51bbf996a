"""Kept bodies: sealed in the file, named by a salted hash, bound to their name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcp.core.bodies import Body, Kept
from llmcp.errors import ConflictError
from llmcp.stores.sqlite.bodies import SqliteBodies
from llmcp.stores.sqlite.file import prepare

TIME = "2026-11-21T00:00:00.000000Z"


@pytest.fixture
def store(tmp_path: Path) -> SqliteBodies:
    """Return an empty store with a fixed key."""
    prepare(tmp_path / "llmcp.db")
    return SqliteBodies(tmp_path / "llmcp.db", lambda: b"k" * 32)


def kept(request: bytes, response: bytes | None = None) -> Kept:
    """Return what an exchange kept."""
    one = Kept(1 << 20)
    one.take_request(request, content_type=b"application/json", content_encoding=b"")
    if response is not None:
        one.begin_response(content_type=b"text/event-stream", content_encoding=b"gzip")
        one.take_response(response)
        one.finish()
    return one


@given(request=st.binary(max_size=300), response=st.binary(max_size=300))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_kept_is_read_back(store: SqliteBodies, request: bytes, response: bytes) -> None:
    """Bytes, types and all."""
    names = store.keep(TIME, kept(request, response))
    assert store.read(names.request) == Body(request, "application/json", "", truncated=False)
    assert store.read(names.response) == Body(response, "text/event-stream", "gzip", truncated=False)


def test_the_same_body_has_another_name_each_time(store: SqliteBodies) -> None:
    """Who guesses a body cannot confirm it by its name."""
    first, second = (store.keep(TIME, kept(b"yes")).request for _ in range(2))
    assert first != second
    assert first.startswith("body:")


def test_nothing_of_a_body_stands_in_the_file(store: SqliteBodies, tmp_path: Path) -> None:
    """Neither in the database nor in its log."""
    marker = b"marker-" + b"m" * 40
    store.keep(TIME, kept(marker, marker))
    for path in tmp_path.iterdir():
        assert marker not in path.read_bytes()


def test_what_is_not_there_is_none(store: SqliteBodies) -> None:
    """A pruned body leaves its name behind, and nothing else."""
    assert store.read("body:" + "0" * 32) is None


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE bodies SET sealed = substr(sealed, 1, length(sealed) - 1)",
        "UPDATE bodies SET sealed = zeroblob(40)",
        "UPDATE bodies SET ref = 'body:' || printf('%032d', rowid_of) FROM (SELECT 7 AS rowid_of)",
    ],
)
def test_an_altered_or_moved_body_is_refused(store: SqliteBodies, tmp_path: Path, tamper: str) -> None:
    """The seal is bound to the name."""
    store.keep(TIME, kept(b"evidence"))
    with closing(sqlite3.connect(tmp_path / "llmcp.db")) as connection:
        connection.execute(tamper)
        connection.commit()
        (ref,) = connection.execute("SELECT ref FROM bodies").fetchone()
    with pytest.raises(ConflictError):
        store.read(ref)


def test_another_key_opens_nothing(store: SqliteBodies, tmp_path: Path) -> None:
    """And says so."""
    ref = store.keep(TIME, kept(b"evidence")).request
    with pytest.raises(ConflictError):
        SqliteBodies(tmp_path / "llmcp.db", lambda: b"x" * 32).read(ref)
