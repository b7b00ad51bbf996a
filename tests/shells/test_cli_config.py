"""`llmcp config` on a home: what it shows, writes and refuses, and that a running daemon takes it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2e.daemon import Daemon
from fakes.provider_server import ProviderServer
from llmcp.stores.sqlite.audit_log import SqliteAuditLog

FILE = "# mine\nlisten:\n  port: 8900  # the gateway\n"


def llmcp(home: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the CLI on `home`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}
    return subprocess.run(
        [sys.executable, "-m", "llmcp", *args],
        env={**kept, "LLMCP_HOME": str(home), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=home.parent,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a small settings file."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "llmcp.yaml").write_text(FILE)
    return home


def test_reading_makes_no_home(tmp_path: Path) -> None:
    """Defaults are known without one."""
    home = tmp_path / "none"
    assert llmcp(home, "config", "get", "listen.port").stdout == "8900\n"
    assert llmcp(home, "config", "list").returncode == 0
    assert llmcp(home, "config", "validate").returncode == 0
    assert not home.exists()


def test_a_value_comes_from_the_default_the_file_or_a_variable(home: Path) -> None:
    """Each with its place."""
    rows = json.loads(llmcp(home, "config", "list", "listen", "--json", LLMCP_LISTEN__HOST="::1").stdout)
    origins = {row["key"]: row["origin"] for row in rows}
    assert origins["listen.host"] == "LLMCP_LISTEN__HOST"
    assert origins["listen.port"] == f"{home}/llmcp.yaml:3"
    assert origins["listen.admin_port"] == "default"


def test_setting_says_what_changed_and_the_undo_it_names_undoes_it(home: Path) -> None:
    """The file is then what it was, byte for byte, and the ledger has both changes."""
    done = llmcp(home, "config", "set", "listen.port", "9")
    assert (done.returncode, done.stdout) == (0, "")
    assert "listen.port: 8900 -> 9" in done.stderr
    assert (home / "llmcp.yaml").read_text() == FILE.replace("8900", "9")
    assert stat.S_IMODE((home / "llmcp.yaml").stat().st_mode) == 0o600
    undo = done.stderr.strip().rpartition("undo: llmcp ")[2].split()
    assert llmcp(home, *undo).returncode == 0
    assert (home / "llmcp.yaml").read_text() == FILE
    with SqliteAuditLog(home / "llmcp.db")._reading() as connection:
        records = [json.loads(row[0]) for row in connection.execute("SELECT record FROM control_records ORDER BY seq")]
    assert [(item["action"], item["detail"]) for item in records] == [
        ("config.set", {"key": "listen.port", "before": "8900", "after": "9"}),
        ("config.set", {"key": "listen.port", "before": "9", "after": "8900"}),
    ]


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("set", "listen.port", "99999"), 2), (("set", "listen.port", "x"), 2), (("set", "listen.prot", "1"), 2),
        (("set", "ledger.anchors", "[1"), 2), (("set", "ledger.anchors", "ftp:/x"), 2), (("set", "ledger.anchors", "http://a.test"), 2),
        (("unset", "log.level"), 3), (("unset", "log.nothing"), 2),
        (("set", "providers.openai.base_url", "http://a.test"), 2), (("set", "listen.host", "sk-" + "x" * 20), 4),
        (("get", "providers.openai.base_url"), 3), (("list", "nothing"), 2),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_the_file_alone(home: Path, args: tuple[str, ...], code: int) -> None:
    """With its exit code, a way out, and no store made for it."""
    done = llmcp(home, "config", *args)
    assert done.returncode == code, done.stderr
    assert "hint:" in done.stderr
    assert "xxx" not in done.stderr
    assert (home / "llmcp.yaml").read_text() == FILE
    assert [path.name for path in home.iterdir()] == ["llmcp.yaml"]


def test_a_broken_file_can_be_mended_by_setting_the_key_that_breaks_it(home: Path) -> None:
    """And `validate` names the place before."""
    (home / "llmcp.yaml").write_text(FILE.replace("8900", "999999"))
    broken = llmcp(home, "config", "validate", "--json")
    assert (broken.returncode, json.loads(broken.stderr)["error"]["line"]) == (2, 3)
    assert llmcp(home, "config", "set", "log.level", "info").returncode == 2
    assert llmcp(home, "config", "set", "listen.port", "8900").returncode == 0
    assert (home / "llmcp.yaml").read_text() == FILE


def test_a_store_that_cannot_be_opened_does_not_keep_a_setting_from_being_changed(home: Path) -> None:
    """The change may be what mends it; that it stands in no record is said."""
    (home / "llmcp.db").write_bytes(b"no database" * 100)
    done = llmcp(home, "config", "set", "store", "sqlite:///other.db")
    assert done.returncode == 0
    assert "no control record" in done.stderr
    assert llmcp(home, "audit", "query").returncode == 0


def test_a_running_daemon_takes_a_change_by_itself(tmp_path: Path) -> None:
    """The watcher sees the file."""
    with ProviderServer() as provider:
        daemon = Daemon(tmp_path / "home", provider.url, settings={"POLICIES__POLL_S": "0.2"})
        daemon.start()
        try:
            head = {"host": "gateway.test"}
            assert daemon.call("GET", "/v1/models", None, head).status == 421
            daemon.cli("config", "set", "listen.allowed_hosts", "gateway.test")
            until = time.monotonic() + 15
            while daemon.call("GET", "/v1/models", None, head).status == 421:
                assert time.monotonic() < until
                time.sleep(0.1)
        finally:
            daemon.stop()
