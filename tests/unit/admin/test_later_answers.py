"""Rules of `llmcp.admin.later`, and who gets to a read path at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmcp.admin.app import AdminApp, Reads
from llmcp.admin.later import LaterAnswers
from llmcp.admin.reading import READS, Reading
from llmcp.core.http import RequestHead, Respond
from llmcp.core.settings import ListenSettings
from llmcp.runtime.exchange_port import Later
from llmcp.runtime.state import DaemonState
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.identities import SqliteIdentities
from llmcp.stores.sqlite.usage import SqliteUsage
from llmcp.telemetry.metrics import Registry

HOST = (b"host", b"127.0.0.1:8902")
OPERATOR = "o" * 20


@pytest.fixture
def later() -> Iterator[LaterAnswers]:
    """One thread, and room for one more."""
    answers = LaterAnswers(threads=1, waiting=1)
    yield answers
    answers.close()


def test_too_many_reads_are_told_so_at_once_and_room_comes_back(later: LaterAnswers) -> None:
    """Rule 1: a slow store must not pile up work."""
    go_on = threading.Event()

    def work() -> Respond:
        go_on.wait(10)
        return Respond(200, (), b"done")

    first, second, third = (later.answer(work) for _ in range(3))
    assert isinstance(third, Respond)
    assert third.status == 503
    go_on.set()
    for begun in (first, second):
        assert isinstance(begun, Later)
        assert begun.answer.result(10).body == b"done"
    assert isinstance(later.answer(work), Later)


@pytest.fixture
def app(tmp_path: Path, later: LaterAnswers) -> AdminApp:
    """An admin listener for which the key `a` is of the default org."""
    path = tmp_path / "llmcp.db"
    reading = Reading(SqliteIdentities(path), SqliteAuditLog(path), SqliteUsage(path), lambda: datetime(2026, 6, 1, tzinfo=UTC))
    return AdminApp(
        state=DaemonState(started=True),
        registry=Registry(),
        listen=ListenSettings(),
        token=OPERATOR,
        status=dict,
        reload=lambda: 0,
        stop=lambda: None,
        reads=Reads(reading, later, {b"a": "default"}.get),
    )


def ask(app: AdminApp, method: str, target: str, key: str) -> Respond:
    """Ask, and wait for the answer where it comes later."""
    headers = (HOST, (b"authorization", f"Bearer {key}".encode())) if key else (HOST,)
    answer = app(RequestHead(method, target, headers), b"")
    return answer.answer.result(10) if isinstance(answer, Later) else answer


@pytest.mark.parametrize("path", [route.path.format(org="default", id="x", decision_id="x") for route in READS])
def test_a_read_path_wants_a_key_that_proves_something(app: AdminApp, path: str) -> None:
    """The operator's or a virtual one; anything else hears 401 whatever there is to see."""
    shown = {key: ask(app, "GET", path, key).status for key in ("", "b", "a", OPERATOR, OPERATOR + "x")}
    assert [shown.pop(key) for key in ("", "b", OPERATOR + "x")] == [401, 401, 401]
    assert set(shown.values()) <= {200, 404}
    assert ask(app, "POST", path, OPERATOR).status == 405
    assert ask(app, "HEAD", path, "a").status == shown["a"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/status"), ("POST", "/v1/reload"), ("POST", "/v1/stop")])
def test_what_is_the_operators_is_no_virtual_keys(app: AdminApp, method: str, path: str) -> None:
    """A virtual key reads its own org's rows and nothing else."""
    assert ask(app, method, path, "a").status == 401
    assert ask(app, method, path, OPERATOR).status in {200, 202}


def test_a_store_that_is_gone_is_said_and_is_no_bug(app: AdminApp, tmp_path: Path) -> None:
    """503 with a stable code, whoever asks and whatever."""
    for part in tmp_path.glob("llmcp.db*"):
        part.unlink()
    for key in ("a", OPERATOR):
        for path in ("/v1/orgs", "/v1/tokens", "/v1/records", "/v1/usage"):
            answer = ask(app, "GET", path, key)
            assert (answer.status, b"store-" in answer.body) == (503, True), answer.body


def test_without_stores_there_are_no_read_paths() -> None:
    """An admin listener for status alone."""
    app = AdminApp(
        state=DaemonState(started=True), registry=Registry(), listen=ListenSettings(), token=OPERATOR, status=dict, reload=lambda: 0,
        stop=lambda: None,
    )  # fmt: skip
    assert ask(app, "GET", "/v1/orgs", OPERATOR).status == 404
