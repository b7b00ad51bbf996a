"""Verbs that only read, on a home that has no store yet: they answer as of an empty one, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llmcp.core.records import DecisionRecord
from llmcp.stores.sqlite.audit_log import SqliteAuditLog

_EMPTY = (
    ("org", "list"),
    ("app", "list"),
    ("token", "list"),
    ("key", "list"),
    ("audit", "query"),
    ("audit", "tail"),
    ("audit", "stats"),
    ("audit", "verify"),
    ("audit", "checkpoint", "--list"),
    ("audit", "export", "--format", "jsonl"),
    ("audit", "prune", "--before", "90d", "--mode", "rows", "--dry-run"),
    ("usage",),
)
_MISSING = (
    ("org", "remove", "nobody"),
    ("app", "show", "nothing"),
    ("token", "show", "tok_abcdefghijk"),
    ("token", "revoke", "tok_abcdefghijk"),
    ("key", "test"),
    ("key", "remove", "openai"),
    ("key", "rotate", "--master"),
    ("audit", "show", "d_0"),
    ("audit", "erase", "ada"),
    ("audit", "prove", "d_0"),
    ("audit", "consistency", "1", "2"),
)


def _environ(home: Path) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}, "LLMCP_HOME": str(home)}


def llmcp(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run one command."""
    command = [sys.executable, "-m", "llmcp", *args]
    return subprocess.run(command, env=_environ(home), capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("words", _EMPTY, ids=" ".join)
def test_reading_a_home_without_a_store_finds_nothing_and_makes_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Exit 0, and the home is not there afterwards either."""
    home = tmp_path / "home"
    done = llmcp(home, *words)
    assert done.returncode == 0, done.stderr
    assert not home.exists()


@pytest.mark.parametrize("words", _MISSING, ids=" ".join)
def test_asking_for_one_thing_of_a_home_without_a_store_is_not_found(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Exit 3, and the home is not made for it."""
    home = tmp_path / "home"
    done = llmcp(home, *words)
    assert done.returncode == 3, done.stderr
    assert not home.exists()


def test_a_key_that_nobody_can_be_asked_for_makes_no_home(tmp_path: Path) -> None:
    """Wrong input leaves nothing behind, where nothing was."""
    home = tmp_path / "home"
    assert llmcp(home, "key", "set", "openai", "--from-env", "NO_SUCH_VARIABLE").returncode == 2
    assert not home.exists()


def test_the_empty_answer_is_one_json_document(tmp_path: Path) -> None:
    """A script sees what it would see of an empty store."""
    done = llmcp(tmp_path / "home", "audit", "query", "--json")
    assert json.loads(done.stdout) == []
    assert done.stderr == ""


def test_following_waits_for_the_store_that_comes(tmp_path: Path) -> None:
    """`audit tail -f` may be started before the daemon."""
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-m", "llmcp", "audit", "tail", "-f", "-o", "jsonl"]
    with subprocess.Popen(command, env=_environ(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert process.stdout is not None
            assert "waiting for `llmcp serve`" in process.stderr.readline()
            log = SqliteAuditLog(home / "llmcp.db")
            log.append([DecisionRecord(id="d_1", decision_id="d_1", time="2026-01-01T00:00:00.000000Z", org="default")])
            log.close()
            assert json.loads(process.stdout.readline())["decision_id"] == "d_1"
        finally:
            process.send_signal(signal.SIGINT)
