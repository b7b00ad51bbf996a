"""Rules of `llmcp.wiring.identities` and `llmcp.wiring.changes`."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from llmcp import wiring
from llmcp.control.pepper import read_pepper
from llmcp.core.records import timestamp
from llmcp.wiring import changes
from llmcp.wiring import identities as wired


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLMCP_CREDENTIALS__BACKEND", "file")


def test_first_tokens_made_at_once_share_one_pepper() -> None:
    """Rule 1: with two, the keys of one of them would never be good for anything."""
    made: list[bytes] = []
    store = wired.identities()
    now = timestamp(wiring.now())
    threads = [threading.Thread(target=lambda: made.append(wired.pepper_for_new(store, now))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(made) == {read_pepper(wired.secrets())}
    assert (len(made), len(made[0])) == (6, 32)


def test_the_operator_is_who_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is no proof."""
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert "somebody-else" not in changes.change().actor
    assert changes.change().actor.startswith("local:")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_123)
    assert changes.operator() == "4000000123"


def test_two_changes_never_share_an_id() -> None:
    """And they sort by age."""
    ids = [changes.change().record_id for _ in range(50)]
    assert len(set(ids)) == 50
    assert [at[:14] for at in ids] == sorted(at[:14] for at in ids)
