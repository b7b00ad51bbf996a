"""Anchors: every checkpoint goes out once, and a store that was replaced as a whole is found by them alone."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ledger_stores import ORIGIN, Log, notary_of, standing
from llmcp.control.ledger_anchors import deliver, verify_anchor
from llmcp.control.ledger_chain import Trust
from llmcp.core.ledger import DamageList, Kind
from llmcp.errors import UnreachableError, UsageError
from llmcp.stores.anchors import open_anchor
from llmcp.stores.anchors.git import FILE
from llmcp.stores.ledger_key import verify


@pytest.fixture
def log(tmp_path):
    """Return a log of 700 decisions with three checkpoints, and 8 changes with two."""
    return standing(tmp_path / "llmcp.db")


@pytest.fixture
def place():
    """Run a server that keeps what is posted to it, and answers with all of it."""
    kept: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(201)
            self.end_headers()

        def do_GET(self) -> None:
            if self.path == "/redirect":
                self.send_response(302)
                self.send_header("location", "/")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"".join(kept))

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", kept
    server.shutdown()
    thread.join()
    server.server_close()


def findings(log: Log, anchor) -> list[tuple[Kind, str]]:
    """Return what an anchor tells of the store."""
    damages = DamageList()
    verify_anchor(log.ledger, anchor, Trust((log.notary.key,), verify, ORIGIN), damages)
    return [(damage.kind, damage.place) for damage in damages.found()]


@pytest.fixture(params=["file", "git", "http"])
def anchor(request, tmp_path):
    """Return an anchor of each kind."""
    if request.param == "file":
        return open_anchor("file:outside.jsonl", tmp_path)
    if request.param == "git":
        subprocess.run(["git", "init", "-q", str(tmp_path / "repo")], check=True)
        return open_anchor("git:repo", tmp_path)
    return open_anchor(request.getfixturevalue("place")[0], tmp_path)


def test_each_checkpoint_goes_out_once_and_fits(log, anchor):
    """A second delivery brings nothing; new checkpoints follow; the store fits all of them."""
    assert deliver(log.ledger, anchor) == 5
    assert deliver(log.ledger, anchor) == 0
    log.sign("decision")
    assert deliver(log.ledger, anchor) == 1
    assert len(list(anchor.notes())) == 6
    assert findings(log, anchor) == []


def test_a_store_that_was_rolled_back_is_found(log, anchor, tmp_path):
    """An older copy verifies by itself, signatures and all; what the anchor keeps says that records are gone."""
    shutil.copy(log.path, tmp_path / "old.db")
    log.grow(100)
    log.sign()
    deliver(log.ledger, anchor)
    shutil.copy(tmp_path / "old.db", log.path)
    assert log.verify()[0] == ()
    assert (Kind.TRUNCATED, "decision, records 701 to 800, checkpoint 800") in findings(log, anchor)


def test_a_log_that_was_cut_with_its_checkpoints_is_found(log, anchor):
    """Without rows, leaves and checkpoints past 400 the store looks whole."""
    import sqlite3
    from contextlib import closing

    deliver(log.ledger, anchor)
    with closing(sqlite3.connect(log.path)) as sql:
        sql.executescript(
            """DELETE FROM records WHERE seq > 400; DELETE FROM checkpoints WHERE size > 400;
            DELETE FROM tiles WHERE stream = 'decision' AND number = 2; DELETE FROM usage;
            UPDATE tiles SET hashes = substr(hashes, 1, 4608) WHERE stream = 'decision' AND level = 0 AND number = 1;
            UPDATE tiles SET hashes = substr(hashes, 1, 32) WHERE stream = 'decision' AND level = 1"""
        )
        sql.commit()
    assert {damage.kind for damage in log.verify()[0]} == {Kind.USAGE_ALTERED}
    assert (Kind.TRUNCATED, "decision, records 401 to 650, checkpoint 650") in findings(log, anchor)


def test_another_log_of_the_same_key_is_found(log, anchor, tmp_path):
    """Records that were written anew and signed with the stolen key do not fit the anchored roots."""
    deliver(log.ledger, anchor)
    other = Log(tmp_path / "other.db")
    other.grow(300)
    other.records = 500
    other.grow(400)
    other.sign()
    assert (Kind.ANCHOR_CONFLICT, "decision, records 1 to 400, checkpoint 400") in findings(other, anchor)


def test_the_last_checkpoint_deleted_is_found(log, anchor):
    """Nothing in the store misses it; the anchor has it."""
    import sqlite3
    from contextlib import closing

    deliver(log.ledger, anchor)
    with closing(sqlite3.connect(log.path)) as sql:
        sql.execute("DELETE FROM checkpoints WHERE size = 650")
        sql.commit()
    assert findings(log, anchor) == [(Kind.CHECKPOINT_CHAIN, "decision, checkpoint 650")]


def test_notes_of_somebody_else_are_named(log, anchor):
    """A note that no key of the log signed counts for nothing, and is said."""
    anchor.append(notary_of(2).sign("decision", 5, b"\0" * 32))
    assert findings(log, anchor) == [(Kind.ANCHOR_CONFLICT, "")]


def test_a_pruned_log_still_fits_its_anchors(log, anchor):
    """Roots whose hashes were pruned are those of the checkpoints that were kept."""
    from llmcp.control.ledger_prune import Plan, Scribe, prune_rows

    deliver(log.ledger, anchor)
    list(prune_rows(log.ledger, Plan("2026", 1, 600, 0), log.notary, Scribe("daemon", lambda: "2026", lambda: "p")))
    assert findings(log, anchor) == []


def test_a_file_is_private_and_a_torn_line_harms_no_other(log, tmp_path):
    """0600; a line that a crash cut short is skipped."""
    path, anchor = tmp_path / "outside.jsonl", open_anchor("file:outside.jsonl", tmp_path)
    anchor.append("one\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(path.read_bytes() + b'{"note": "tw')
    anchor.append("three\n")
    assert list(anchor.notes()) == ["one\n", "three\n"]


def test_git_keeps_what_was_committed_whatever_stands_in_the_tree(log, tmp_path):
    """Notes come from the last commit."""
    subprocess.run(["git", "init", "-q", str(tmp_path / "repo")], check=True)
    anchor = open_anchor("git:repo", tmp_path)
    deliver(log.ledger, anchor)
    (tmp_path / "repo" / FILE).write_text(json.dumps({"note": "forged"}))
    assert len(list(anchor.notes())) == 5
    assert findings(log, anchor) == []


@pytest.mark.parametrize("uri", ["file:no/such/dir/x", "git:no-repo", "http://127.0.0.1:9/"])
def test_an_anchor_that_is_away_is_reported(log, tmp_path, uri):
    """Nothing is taken for delivered, and reading says so."""
    anchor = open_anchor(uri, tmp_path)
    with pytest.raises(UnreachableError):
        deliver(log.ledger, anchor)
    assert findings(log, anchor) == [(Kind.ANCHOR_UNREADABLE, "")]


def test_no_redirect_is_followed(log, place, tmp_path):
    """Another place is no anchor."""
    assert findings(log, open_anchor(place[0] + "redirect", tmp_path)) == [(Kind.ANCHOR_UNREADABLE, "")]


@pytest.mark.parametrize(
    "uri", ["", "file:", "ftp://x/", "http://example.com/", "https://u:p@example.com/", "https:///x", "nothing"]
)
def test_what_is_no_anchor_is_refused(uri, tmp_path):
    """Unknown schemes, plain http beyond loopback, credentials in the URL."""
    with pytest.raises(UsageError):
        open_anchor(uri, tmp_path)


def test_a_program_of_the_repositorys_sees_no_secret_of_the_daemons(log, tmp_path, monkeypatch):
    """A filter that a repository's settings name is somebody's program."""
    place, seen = tmp_path / "repo", tmp_path / "seen"
    subprocess.run(["git", "init", "-q", str(place)], check=True)
    subprocess.run(["git", "-C", str(place), "config", "filter.spy.clean", f"env >> {seen}; cat"], check=True)
    (place / ".gitattributes").write_text("*.jsonl filter=spy\n")
    for name in ("LLMCP_MASTER_KEY", "LLMCP_ADMIN_TOKEN", "OPENAI_API_KEY", "ANY_SECRET"):
        monkeypatch.setenv(name, "planted-secret")
    deliver(log.ledger, open_anchor("git:repo", tmp_path))
    assert "PATH=" in seen.read_text()
    assert "planted-secret" not in seen.read_text()
