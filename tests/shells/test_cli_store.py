"""`llmcp store` as a person and a script use it: what it writes, says and answers, beside a running daemon too."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.audit_log import record
from e2e.daemon import Daemon
from fakes.provider_server import ProviderServer
from llmcp.core.record_filter import RecordFilter
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.migrate import migrate_to

CHAT = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
MARKER = "sk-" + "m" * 30
KEY = {"authorization": f"Bearer {MARKER}"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with five records."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    append(home, 5)
    return home


def llmcp(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the CLI on `home`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}
    return subprocess.run(
        [sys.executable, "-m", "llmcp", *args],
        env={**kept, "LLMCP_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=home.parent,
    )


def append(home: Path, number: int) -> None:
    """Write so many records and let go of the store."""
    log = SqliteAuditLog(home / "llmcp.db")
    log.append([record() for _ in range(number)])
    log.close()


def count(home: Path) -> int:
    """Return the number of stored records."""
    return len(list(SqliteAuditLog(home / "llmcp.db").query(RecordFilter())))


def test_a_backup_says_where_and_what_it_is_and_how_it_comes_back(home: Path) -> None:
    """And what it says to do, done, puts it back; the store before can be had again."""
    done = llmcp(home, "store", "backup", "--json")
    made = json.loads(done.stdout)
    assert (done.returncode, made["records"], made["schema"]) == (0, 5, 2)
    assert stat.S_IMODE(Path(made["path"]).stat().st_mode) == 0o600
    assert Path(made["path"]).stat().st_size == made["bytes"]
    append(home, 1)
    said = done.stderr.strip().rpartition("llmcp ")[2].split()
    back = llmcp(home, *said)
    assert (back.returncode, count(home)) == (0, 5)
    assert "1 records" in back.stderr
    assert "revoked" in back.stderr
    undo = back.stderr.strip().rpartition("undo: llmcp ")[2].split()
    assert llmcp(home, *undo).returncode == 0
    assert count(home) == 6


def test_a_backup_does_not_overwrite_unasked(home: Path, tmp_path: Path) -> None:
    """Exit 6, and with `--force` it does."""
    target = tmp_path / "one"
    target.write_text("mine")
    refused = llmcp(home, "store", "backup", str(target))
    assert (refused.returncode, target.read_text()) == (6, "mine")
    assert llmcp(home, "store", "backup", str(target), "--force").returncode == 0


def test_a_wrong_form_is_refused_before_anything_is_written(home: Path) -> None:
    """`-o csv` means nothing for one document."""
    assert llmcp(home, "store", "backup", "-o", "csv").returncode == 2
    assert not list(home.glob("*.bak"))


@pytest.mark.parametrize(("what", "code"), [("missing", 3), ("text", 5), ("foreign", 6), ("newer", 6)])
def test_what_cannot_be_restored_has_its_exit_code(home: Path, tmp_path: Path, what: str, code: int) -> None:
    """And the store is what it was."""
    source = tmp_path / "source"
    if what != "missing":
        llmcp(home, "store", "backup", str(source))
        data = bytearray(source.read_bytes())
        if what == "text":
            data = bytearray(b"text\n" * 100)
        else:
            data[68 if what == "foreign" else 60 : 72 if what == "foreign" else 64] = (99).to_bytes(4)
        source.write_bytes(data)
    done = llmcp(home, "store", "restore", str(source), "--json")
    assert done.returncode == code
    assert json.loads(done.stderr)["error"]["hint"]
    assert count(home) == 5


def test_going_down_is_agreed_to_first_and_can_be_undone(home: Path) -> None:
    """Without `--yes` nothing happens, not even a backup."""
    refused = llmcp(home, "store", "migrate", "--to", "1")
    assert (refused.returncode, list(home.glob("*.bak"))) == (2, [])
    dry = json.loads(llmcp(home, "store", "migrate", "--to", "1", "--dry-run", "--json").stdout)
    assert (dry["before"], dry["after"], dry["done"], bool(dry["lost"])) == (2, 1, False, True)
    done = json.loads(llmcp(home, "store", "migrate", "--to", "1", "--yes", "--json").stdout)
    assert (done["done"], Path(done["backup"]).exists()) == (True, True)
    up = json.loads(llmcp(home, "store", "migrate", "--no-backup", "--json").stdout)
    assert (up["before"], up["after"], up["backup"]) == (1, 2, "")
    assert count(home) == 5
    with SqliteAuditLog(home / "llmcp.db")._reading() as connection:
        assert connection.execute("SELECT action FROM control_records").fetchall() == [("store.migrate",)]


def test_the_ledger_verifies_after_a_restore_and_after_both_ways_of_a_migration(home: Path) -> None:
    """A restored store proves its own state; one that came back from an older schema has its leaves anew."""

    def verified() -> bool:
        done = llmcp(home, "audit", "verify", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return bool(json.loads(done.stdout)["ok"])

    assert llmcp(home, "audit", "checkpoint").returncode == 0
    made = json.loads(llmcp(home, "store", "backup", "--json").stdout)
    append(home, 300)
    assert llmcp(home, "audit", "checkpoint").returncode == 0
    assert verified()
    assert llmcp(home, "store", "restore", made["path"]).returncode == 0
    assert verified()
    append(home, 10)
    assert llmcp(home, "audit", "checkpoint").returncode == 0
    assert verified()
    assert llmcp(home, "store", "migrate", "--to", "1", "--yes").returncode == 0
    assert llmcp(home, "store", "migrate").returncode == 0
    assert verified()
    assert count(home) == 15


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Return a running daemon."""
    with ProviderServer() as provider:
        daemon = Daemon(tmp_path / "home", provider.url)
        daemon.home.mkdir(mode=0o700)
        daemon.start()
        yield daemon
        daemon.stop()


def test_while_a_daemon_runs_it_can_be_backed_up_but_not_replaced(daemon: Daemon, tmp_path: Path) -> None:
    """The backup has what was recorded, and no key of anybody."""
    daemon.call("POST", "/v1/chat/completions", CHAT, KEY)
    daemon.records(1)
    target = tmp_path / "one.bak"
    assert json.loads(daemon.cli("store", "backup", str(target), "--json").stdout)["records"] == 1
    assert MARKER.encode() not in target.read_bytes()
    for args in (("restore", str(target)), ("migrate", "--to", "1", "--yes")):
        refused = daemon.cli("store", *args, check=False)
        assert refused.returncode == 6
        assert "llmcp stop" in refused.stderr
    assert daemon.call("POST", "/v1/chat/completions", CHAT, KEY).status == 200
    assert len(daemon.records(2)) == 2
    daemon.stop()
    assert daemon.cli("store", "restore", str(target)).returncode == 0
    daemon.start()
    assert len(daemon.records(1)) == 1


def test_a_store_is_not_upgraded_under_a_daemon_of_an_older_version(daemon: Daemon) -> None:
    """An older store under a running daemon: that daemon is older too. Reading it would end its records."""
    daemon.call("POST", "/v1/chat/completions", CHAT, KEY)
    daemon.records(1)
    migrate_to(daemon.home / "llmcp.db", 1, keep=False)
    for verb in (("audit", "query"), ("usage",), ("org", "list"), ("key", "list"), ("audit", "verify")):
        refused = daemon.cli(*verb, check=False)
        assert refused.returncode == 6, verb
        assert "older llmcp" in refused.stderr
    daemon.stop()
    assert daemon.cli("audit", "query", "-o", "jsonl").stdout.count("\n") == 1
