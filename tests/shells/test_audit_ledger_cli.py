"""What an auditor does with a ledger on the command line: keep a checkpoint, come again, check what he was given."""

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
    """Return a home with a few records."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    append(folder, 5)
    return folder


def append(home: Path, count: int) -> None:
    """Let some requests have been."""
    log = SqliteAuditLog(home / "llmcp.db")
    log.append([record() for _ in range(count)])
    log.close()


def llmcp(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a verb on the home, in the directory above."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}
    more = {"LLMCP_HOME": str(home), "LLMCP_CREDENTIALS__BACKEND": "file"}
    return subprocess.run(
        [sys.executable, "-m", "llmcp", *args],
        env=kept | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=home.parent,
    )


def test_what_checkpoint_prints_is_what_consistency_reads(home: Path) -> None:
    """Both streams stand in one output; each is found by its name, and the log grew between the two."""
    then, later = home.parent / "then.txt", home.parent / "later.txt"
    llmcp(home, "org", "create", "acme")
    then.write_text(llmcp(home, "audit", "checkpoint").stdout)
    append(home, 4)
    llmcp(home, "org", "create", "beta")
    later.write_text(llmcp(home, "audit", "checkpoint").stdout)
    for stream, sizes in (("decision", (5, 9)), ("control", (1, 2))):
        found = llmcp(home, "audit", "consistency", "then.txt", "later.txt", "--stream", stream, "--json")
        assert found.returncode == 0, found.stderr
        said = json.loads(found.stdout)
        assert (said["old"], said["new"]) == sizes
    one = home.parent / "one.txt"
    one.write_text(then.read_text().partition("\n\nllmcp.dev")[0] + "\n")
    missed = llmcp(home, "audit", "consistency", "one.txt", "later.txt", "--stream", "control")
    assert missed.returncode == 3
    assert "/decision" in missed.stderr


def test_a_proof_is_checked_where_no_store_is(home: Path, tmp_path: Path) -> None:
    """The key and the file are enough; a changed record is refused; nothing is made on the auditor's machine."""
    (home.parent / "llmcp.pub").write_text(llmcp(home, "audit", "checkpoint", "--public-key").stdout)
    llmcp(home, "audit", "checkpoint")
    assert llmcp(home, "audit", "prove", "--seq", "3", "--out", "proof.json").returncode == 0
    elsewhere = tmp_path / "auditor"
    assert llmcp(elsewhere, "audit", "verify-proof", "proof.json", "--public-key", "llmcp.pub").returncode == 0
    proof = json.loads((home.parent / "proof.json").read_text())
    leaf = proof["leaf"]
    (home.parent / "forged.json").write_text(
        json.dumps(proof | {"leaf": leaf[:40] + ("A" if leaf[40] != "A" else "B") + leaf[41:]})
    )
    assert llmcp(elsewhere, "audit", "verify-proof", "forged.json", "--public-key", "llmcp.pub").returncode == 1
    assert not elsewhere.exists()


def test_a_copy_of_the_store_is_verified_with_the_public_key_alone(home: Path, tmp_path: Path) -> None:
    """Neither home nor secret store is needed."""
    (home.parent / "llmcp.pub").write_text(llmcp(home, "audit", "checkpoint", "--public-key").stdout)
    llmcp(home, "audit", "checkpoint")
    llmcp(home, "store", "backup", str(tmp_path / "copy.db"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}
    found = subprocess.run(
        [sys.executable, "-m", "llmcp", "audit", "verify", "--public-key", "llmcp.pub", "--json"],
        env=kept | {"LLMCP_HOME": str(tmp_path / "auditor"), "LLMCP_STORE": f"sqlite:///{tmp_path / 'copy.db'}"},
        capture_output=True, text=True, check=False, timeout=60, cwd=home.parent,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert {stream["stream"]: stream["records"] for stream in json.loads(found.stdout)["streams"]}["decision"] == 5
