"""`llmcp doctor` on real homes: sound, broken in many ways at once, and none; it changes nothing."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contract.audit_log import record
from e2e.daemon import Daemon
from fakes.provider_server import ProviderServer
from llmcp.stores.secrets.file import FileSecretStore
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.migrate import migrate_to


def doctor(home: Path, *args: str, **environ: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Run the check; return the exit code and the findings by check."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_") and not k.endswith("_BASE_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "llmcp", "doctor", "--json", *args],
        env={**kept, "LLMCP_HOME": str(home), "LLMCP_LISTEN__PORT": "0", "LLMCP_LISTEN__ADMIN_PORT": "0", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=home.parent,
    )
    assert "Traceback" not in done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for report in json.loads(done.stdout):
        found.setdefault(report["check"], []).append(report)
    return done.returncode, found


def everything(home: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of all files of a home."""
    return {str(p): (p.stat().st_mode, p.read_bytes() if p.is_file() else b"") for p in sorted(home.rglob("*"))}


def test_without_a_home_nothing_fails_and_none_is_made(tmp_path: Path) -> None:
    """It is the first thing that many will run."""
    code, found = doctor(tmp_path / "none")
    assert code == 0
    assert found["home"][0]["level"] == "warn"
    assert not (tmp_path / "none").exists()


def test_a_running_daemon_is_found_sound(tmp_path: Path) -> None:
    """Every check comes out fine or has nothing to ask."""
    with ProviderServer() as provider:
        daemon = Daemon(tmp_path / "home", provider.url)
        daemon.start()
        try:
            done = daemon.cli("doctor", "--json", check=False)
            bad = [r for r in json.loads(done.stdout) if r["level"] == "fail"]
            assert (done.returncode, bad) == (0, [])
        finally:
            daemon.stop()


def test_everything_that_is_wrong_is_found_in_one_run_and_nothing_is_changed(tmp_path: Path) -> None:
    """Modes, policies, store, variables: each with its fix, and the files as they were."""
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    (home / "policies").mkdir()
    (home / "policies" / "bad.yaml").write_text("kind: [")
    (home / "llmcp.db").write_bytes(b"no database at all" * 100)
    before = everything(home)
    code, found = doctor(home, "--offline", OPENAI_BASE_URL="https://api.openai.com/v1")
    assert code == 1
    assert {name for name, reports in found.items() if reports[0]["level"] == "fail"} >= {"home", "policies", "store"}
    assert found["environment"][0]["level"] == "warn"
    assert all(r["fix"] for reports in found.values() for r in reports if r["level"] in {"warn", "fail"})
    assert everything(home) == before


def test_looking_at_a_sound_store_leaves_no_file_beside_it(tmp_path: Path) -> None:
    """SQLite makes a log even to read; it is taken away again."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    log = SqliteAuditLog(home / "llmcp.db")
    log.append([record()])
    log.close()
    before = everything(home)
    code, found = doctor(home)
    assert (code, found["store"][0]["level"]) == (0, "ok")
    assert everything(home) == before


def test_the_newest_checkpoint_and_the_anchors_are_looked_at(tmp_path: Path) -> None:
    """A signature that was changed and a place that is gone fail."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    log = SqliteAuditLog(home / "llmcp.db")
    log.append([record()])
    log.close()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")} | {"LLMCP_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "llmcp", "audit", "checkpoint"], env=kept, check=True, capture_output=True)
    assert doctor(home)[1]["ledger"][0]["level"] == "ok"
    with sqlite3.connect(home / "llmcp.db") as connection:
        connection.execute("UPDATE checkpoints SET root = zeroblob(32)")
    connection.close()
    code, found = doctor(home, LLMCP_LEDGER__ANCHORS="git:/nowhere/at/all")
    assert code == 1
    assert found["ledger"][0]["level"] == "fail"
    assert found["anchors"][0]["level"] == "fail"
    assert doctor(home, "--offline", LLMCP_LEDGER__ANCHORS="https://a.test/x")[1]["anchors"][0]["level"] == "skip"


def test_broken_settings_are_told_once(tmp_path: Path) -> None:
    """What needs them is skipped, what does not is still asked."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "llmcp.yaml").write_text("listen: {port: x}\n")
    (home / "llmcp.yaml").chmod(0o600)
    code, found = doctor(home)
    assert code == 1
    assert [name for name, reports in found.items() if reports[0]["level"] == "fail"] == ["settings"]
    assert found["store"][0]["level"] == "skip"


@pytest.mark.parametrize("log", [False, True])
def test_an_older_store_is_not_upgraded_by_looking_at_it(tmp_path: Path, log: bool) -> None:
    """Nor does a file appear beside it."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    path = home / "llmcp.db"
    opened = SqliteAuditLog(path)
    opened.append([record()])
    if not log:
        opened.close()
    migrate_to(path, 1, keep=False)
    assert (home / "llmcp.db-wal").exists() is log
    names = sorted(p.name for p in home.iterdir())
    code, found = doctor(home)
    assert code == 0
    assert found["store"][0]["level"] == "warn"
    assert sorted(p.name for p in home.iterdir()) == names


def test_damage_within_the_store_is_found(tmp_path: Path) -> None:
    """The header is fine, a page is not."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    path = home / "llmcp.db"
    log = SqliteAuditLog(path)
    log.append([record(session="x" * 500) for _ in range(200)])
    log.close()
    data = bytearray(path.read_bytes())
    for at in range(8192 * 3, len(data), 8192):
        data[at : at + 64] = b"\xff" * 64
    path.write_bytes(data)
    code, found = doctor(home)
    assert code == 1
    assert found["store"][0]["level"] == "fail"
    assert "restore" in found["store"][0]["fix"]


def test_a_wrong_master_key_is_named_where_it_is_wrong(tmp_path: Path) -> None:
    """Names are readable without it; the advice is about the key, not about what it sealed."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    FileSecretStore(home, "", print).set("credential/a", b"x")
    code, found = doctor(home, LLMCP_MASTER_KEY="another passphrase than that", LLMCP_CREDENTIALS__BACKEND="file")
    assert code == 1
    (secrets,) = found["secrets"]
    assert secrets["level"] == "fail"
    assert "LLMCP_MASTER_KEY" in secrets["said"]
