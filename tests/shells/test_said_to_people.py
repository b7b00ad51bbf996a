"""What verbs say to a person or a job: undo commands that work, reasons in words, exit codes that a job can rely on."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from llmcp.core.records import DecisionRecord
from llmcp.stores.sqlite.audit_log import SqliteAuditLog


class Shell:
    """Runs commands on one home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run one command; nobody is at its terminal."""
        environ = {**{k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}, "LLMCP_HOME": str(self.home)}
        command = [sys.executable, "-m", "llmcp", *args]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL
        )

    def undo(self, told: str) -> None:
        """Run the command that a verb said undoes it."""
        found = re.search(r"[Uu]ndo with `llmcp ([^`]*)`", told)
        assert found, told
        done = self(*shlex.split(found[1]))
        assert done.returncode == 0, done.stderr


@pytest.fixture
def llmcp(tmp_path: Path) -> Shell:
    """A home of its own."""
    return Shell(tmp_path / "home")


def test_undoing_a_changed_org_gives_back_title_and_time_zone(llmcp: Shell) -> None:
    """The command that is said is the one that does it, quoted for a shell."""
    llmcp("org", "create", "lab", "--title", "R & D", "--time-zone", "Europe/Berlin")
    before = llmcp("org", "show", "lab").stdout
    llmcp.undo(llmcp("org", "set", "lab", "--title", "", "--time-zone", "UTC", "--disable").stderr)
    assert llmcp("org", "show", "lab").stdout == before


def test_undoing_a_removed_org_or_app_gives_back_its_title(llmcp: Shell) -> None:
    """Only when it was made is another."""
    llmcp("org", "create", "lab", "--title", "R & D")
    llmcp("app", "create", "note", "--org", "lab", "--title", "It's one")
    llmcp.undo(llmcp("app", "remove", "note", "--org", "lab").stderr)
    assert "It's one" in llmcp("app", "show", "note", "--org", "lab").stdout
    llmcp("app", "remove", "note", "--org", "lab")
    llmcp.undo(llmcp("org", "remove", "lab").stderr)
    assert "R & D" in llmcp("org", "show", "lab").stdout


def test_undoing_a_changed_app_works_in_its_org(llmcp: Shell) -> None:
    """The org is part of the command."""
    llmcp("org", "create", "lab")
    llmcp("app", "create", "note", "--org", "lab")
    llmcp.undo(llmcp("app", "set", "note", "--org", "lab", "--disable").stderr)
    assert re.search(r"enabled +yes", llmcp("app", "show", "note", "--org", "lab").stdout)


def test_an_app_of_another_org_is_pointed_at(llmcp: Shell) -> None:
    """Who forgot `--org` is told which."""
    llmcp("org", "create", "lab")
    llmcp("app", "create", "note", "--org", "lab")
    done = llmcp("app", "show", "note")
    assert done.returncode == 3
    assert "hint: say `--org lab`" in done.stderr


def test_a_noun_without_a_verb_shows_its_verbs_and_is_a_usage_error(llmcp: Shell) -> None:
    """The help itself, not an error with the help in it."""
    done = llmcp("token")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: llmcp token")


def test_pruning_asks_nobody_where_there_is_no_terminal(llmcp: Shell) -> None:
    """A job that forgot `--yes` is told so, and nothing goes."""
    llmcp.home.mkdir()
    log = SqliteAuditLog(llmcp.home / "llmcp.db")
    log.append([DecisionRecord(id="d_1", decision_id="d_1", time="2026-01-01T00:00:00.000000Z", org="default")])
    log.close()
    llmcp("audit", "checkpoint")
    done = llmcp("audit", "prune", "--before", "1s", "--mode", "rows")
    assert done.returncode == 2
    assert "take away 1 record older than" in done.stderr
    assert "`--yes`" in done.stderr
    assert "decision: 1 record," in llmcp("audit", "verify").stdout


def test_an_anchor_that_cannot_be_reached_fails_the_command_after_the_others_got_theirs(llmcp: Shell, tmp_path: Path) -> None:
    """Exit 5, the place and the reason in words; what could be brought was brought."""
    llmcp("org", "create", "lab")
    kept = tmp_path / "anchor"
    done = llmcp("audit", "checkpoint", "--anchor", f"git:{tmp_path / 'none'}", "--anchor", f"file:{kept}")
    assert done.returncode == 5
    assert "it is no git repository" in done.stderr
    assert f"1 checkpoint brought to file:{kept}" in done.stderr
    assert kept.read_bytes()


def test_a_missing_proof_file_is_named_with_the_reason(llmcp: Shell, tmp_path: Path) -> None:
    """Not the name of a Python class."""
    done = llmcp("audit", "verify-proof", str(tmp_path / "none.json"))
    assert done.returncode == 3
    assert "cause: No such file or directory" in done.stderr


def test_settings_that_are_not_there_are_not_called_valid(llmcp: Shell) -> None:
    """Without a file the defaults hold, and that is said."""
    done = llmcp("config", "validate")
    assert done.returncode == 0
    assert done.stdout.startswith(f"there is no {llmcp.home / 'llmcp.yaml'}")
