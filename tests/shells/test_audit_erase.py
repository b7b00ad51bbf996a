"""`llmcp audit erase` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from contract.audit_log import record
from llmcp.stores.sqlite.audit_log import SqliteAuditLog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home whose store knows `ada` in two orgs and `bob` in one."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    log = SqliteAuditLog(folder / "llmcp.db")
    log.append([record(org="acme", user="ada"), record(org="beta", user="ada"), record(org="acme", user="bob")])
    log.close()
    return folder


def llmcp(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a verb on the home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}
    return subprocess.run(
        [sys.executable, "-m", "llmcp", "audit", *args],
        env={**kept, "LLMCP_HOME": str(home)}, capture_output=True, text=True, check=False, timeout=60, cwd=home.parent,
    )  # fmt: skip


def users(home: Path) -> list[str]:
    """Return the users of all records, in order."""
    return [json.loads(line)["user"] for line in llmcp(home, "query", "-o", "jsonl").stdout.splitlines()]


def test_the_named_person_is_forgotten_in_the_named_org(home: Path) -> None:
    """The reference is the data; what it means is said beside it, and the name in none of both."""
    done = llmcp(home, "erase", "ada", "--org", "acme")
    (ref,) = done.stdout.split()
    assert done.returncode == 0
    assert "1 reference" in done.stderr
    assert "backups" in done.stderr
    assert users(home) == [ref, "ada", "bob"]


def test_without_an_org_all_of_them_forget(home: Path) -> None:
    """JSON names the references; asking again finds nobody."""
    done = llmcp(home, "erase", "ada", "--json")
    references = json.loads(done.stdout)["references"]
    assert len(references) == 2
    assert sorted(users(home)) == sorted([*references, "bob"])
    again = llmcp(home, "erase", "ada")
    assert (again.returncode, again.stdout) == (3, "")
    assert "no-such-person" in again.stderr


def test_an_empty_name_is_a_wrong_argument(home: Path) -> None:
    """A script's unset variable must not erase nobody in particular."""
    assert llmcp(home, "erase", "").returncode == 2
    assert users(home) == ["ada", "ada", "bob"]
