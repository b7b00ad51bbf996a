"""The ledger of a real daemon: it signs by itself, anchors, says what is damaged; the verbs work beside it."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from llmcp.control.ledger import Notary
from llmcp.core.signed_note import VerifierKey
from llmcp.stores.ledger_key import LedgerSigner, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon import Daemon

SETTINGS = {"LEDGER__CHECKPOINT_S": "1", "LEDGER__ORIGIN": "example.com/e2e", "CREDENTIALS__BACKEND": "file"}


def ask(daemon: Daemon, count: int = 1) -> None:
    """Leave so many records."""
    for _ in range(count):
        body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
        headers = {"content-type": "application/json", "authorization": "Bearer " + "sk-" + "x" * 20}
        assert daemon.call("POST", "/openai/v1/chat/completions", body=body, headers=headers).status == 200


def until(wanted: Callable[[], Any]) -> Any:
    """Wait for something to be true."""
    end = time.monotonic() + 30
    while not (found := wanted()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def signed(daemon: Daemon) -> int:
    """Return how many decision records are signed."""
    rows = json.loads(daemon.cli("audit", "checkpoint", "--list", "--json").stdout)
    return max((row["size"] for row in rows if row["stream"] == "decision"), default=0)


def test_a_daemon_signs_by_itself_and_at_its_end_and_brings_it_outside(make_daemon, tmp_path):
    """After a second, and once more at shutdown; the anchor has it all; the log verifies against it."""
    anchor = tmp_path / "outside.jsonl"
    daemon = make_daemon(settings=SETTINGS | {"LEDGER__ANCHORS": json.dumps([f"file:{anchor}"])})
    ask(daemon, 3)
    until(lambda: signed(daemon) == 3)
    ask(daemon, 2)
    daemon.stop()
    assert signed(daemon) == 5
    told = json.loads(daemon.cli("audit", "verify", "--json").stdout)
    assert (told["ok"], [report["records"] for report in told["streams"]]) == (True, [5, 0])
    assert told["anchors"][0]["compared"] >= 2
    assert anchor.read_text().count("example.com/e2e/decision") >= 2


def test_a_killed_daemon_leaves_a_log_that_verifies_and_the_next_one_signs_the_rest(make_daemon):
    """Whatever was committed has its leaf; checkpoints go on from the last one."""
    daemon = make_daemon(settings=SETTINGS)
    for _ in range(3):
        ask(daemon, 5)
        daemon.kill()
        told = json.loads(daemon.cli("audit", "verify", "--json").stdout)
        assert (told["ok"], told["streams"][0]["records"]) == (True, told["streams"][0]["size"])
        daemon.start()
    ask(daemon, 1)
    daemon.stop()
    told = json.loads(daemon.cli("audit", "verify", "--json").stdout)
    assert (told["ok"], told["streams"][0]["signed"]) == (True, told["streams"][0]["records"])


def test_proofs_and_pruning_beside_a_running_daemon(make_daemon, tmp_path):
    """A record is proved and checked elsewhere; what is old goes while records come in; the log still verifies."""
    daemon = make_daemon(settings=SETTINGS)
    ask(daemon, 4)
    until(lambda: signed(daemon) == 4)
    row = json.loads(daemon.cli("audit", "query", "--limit", "1", "--json").stdout)[0]
    proof, key = tmp_path / "proof.json", tmp_path / "key"
    daemon.cli("audit", "prove", row["decision_id"], "--out", str(proof))
    key.write_text(daemon.cli("audit", "checkpoint", "--public-key").stdout)
    checked = json.loads(daemon.cli("audit", "verify-proof", str(proof), "--public-key", str(key), "--json").stdout)
    assert checked["record"]["decision_id"] == row["decision_id"]
    gone = json.loads(daemon.cli("audit", "prune", "--before", "0s", "--mode", "rows", "--yes", "--json").stdout)
    assert (gone["done"], gone["records"]) == (True, 4)
    ask(daemon, 2)
    until(lambda: signed(daemon) == 6)
    told = json.loads(daemon.cli("audit", "verify", "--json", "--public-key", str(key)).stdout)
    assert (told["ok"], told["streams"][0]["pruned"], told["streams"][0]["records"]) == (True, 4, 2)
    assert daemon.cli("audit", "consistency", "4", "6").returncode == 0
    assert daemon.cli("audit", "verify-proof", str(key), check=False).returncode == 2


def test_what_is_done_to_the_file_of_a_running_daemon_stands_in_status(make_daemon):
    """Nothing more is signed, records are still kept, `status` and the metric say it, `verify` names it with exit 1."""
    daemon = make_daemon(settings=SETTINGS)
    ask(daemon, 3)
    until(lambda: signed(daemon) == 3)
    with closing(sqlite3.connect(daemon.home / "llmcp.db", timeout=20)) as sql:
        sql.execute("DELETE FROM records WHERE seq = 3")
        sql.commit()
    ask(daemon, 2)
    problems = until(lambda: daemon.status()["problems"])
    assert "ledger: the stream `decision` is not the log that was signed before" in problems[0]["message"]
    assert signed(daemon) == 3
    assert len(json.loads(daemon.cli("audit", "query", "--json").stdout)) == 4
    found = daemon.cli("audit", "verify", "--json", check=False)
    assert found.returncode == 1
    assert {damage["kind"] for damage in json.loads(found.stdout)["damages"]} >= {"records-without-leaves"}


def test_a_lost_key_is_said_and_an_operator_goes_on_with_another(make_daemon):
    """Without the secret nothing is signed; `--new-key` leaves a control record, and old checkpoints still verify."""
    daemon = make_daemon(settings=SETTINGS, start=False)
    daemon.home.mkdir(mode=0o700)
    daemon.cli("org", "create", "acme")
    daemon.cli("audit", "checkpoint")
    for part in daemon.home.glob("credentials*"):
        part.unlink()
    daemon.cli("org", "create", "other")
    assert daemon.cli("audit", "checkpoint", check=False).returncode == 5
    daemon.cli("audit", "checkpoint", "--new-key")
    told = json.loads(daemon.cli("audit", "verify", "--json").stdout)
    assert (told["ok"], len(told["keys"]), told["streams"][1]["checkpoints"]) == (True, 2, 2)


def test_a_key_put_before_the_logs_own_is_not_believed(make_daemon):
    """Somebody who signs everything again, and puts his key beside the log as if it were an older one, is found."""
    daemon = make_daemon(settings=SETTINGS, start=False)
    daemon.home.mkdir(mode=0o700)
    daemon.cli("org", "create", "acme")
    daemon.cli("audit", "checkpoint")
    path = daemon.home / "llmcp.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        (own,) = sql.execute("SELECT value FROM meta WHERE name = 'ledger.vkeys'").fetchone()
        origin, (size, root) = own.partition("+")[0], sql.execute("SELECT size, root FROM checkpoints").fetchone()
        forger = LedgerSigner(Ed25519PrivateKey.from_private_bytes(b"7" * 32))
        key = VerifierKey(origin, forger.public)
        note = Notary(forger, key, verify).sign("control", size, root)
        sql.execute("UPDATE checkpoints SET note = ?", (note,))
        sql.execute("UPDATE meta SET value = ? WHERE name = 'ledger.vkeys'", (f"{key.text}\n{own}",))
    found = daemon.cli("audit", "verify", "--json", check=False)
    assert found.returncode == 1
    damages = {(damage["kind"], damage["place"]) for damage in json.loads(found.stdout)["damages"]}
    assert damages == {("key-changed", ""), ("checkpoint-key", "control, checkpoint 1")}
    daemon.cli("org", "create", "other")
    assert daemon.cli("audit", "checkpoint", check=False).returncode == 1


def test_usage_errors_have_their_exit_codes(make_daemon):
    """Wrong modes, streams, anchors and files; nothing is written."""
    daemon = make_daemon(settings=SETTINGS, start=False)
    daemon.home.mkdir(mode=0o700)
    for words, code in [
        (("prune", "--before", "1d", "--mode", "all"), 2),
        (("verify", "--stream", "other"), 2),
        (("verify", "--anchor", "ftp://x"), 2),
        (("prove", "d_1"), 3),
        (("prove",), 2),
        (("verify-proof", "no-such-file"), 3),
        (("consistency", "1", "2"), 3),
    ]:
        assert (words, daemon.cli("audit", *words, check=False).returncode) == (words, code)


def test_a_table_that_is_gone_is_named(make_daemon):
    """Also where nothing else can be looked at then."""
    daemon = make_daemon(settings=SETTINGS, start=False)
    daemon.home.mkdir(mode=0o700)
    daemon.cli("org", "create", "acme")
    with closing(sqlite3.connect(daemon.home / "llmcp.db", isolation_level=None)) as sql:
        sql.execute("DROP TABLE checkpoints")
    found = daemon.cli("audit", "verify", "--json", check=False)
    assert found.returncode == 1
    first, *_ = json.loads(found.stdout)["damages"]
    assert (first["kind"], first["message"]) == ("schema-altered", "the table `checkpoints` is gone")


def test_a_store_taken_from_under_the_daemon_is_said_and_put_back_nothing_is_lost(make_daemon):
    """No request is taken that could leave no record; those that waited are in the store that came back."""
    daemon = make_daemon(settings=SETTINGS)
    ask(daemon, 2)
    aside = daemon.home / "aside"
    aside.mkdir()
    until(lambda: signed(daemon) == 2)
    names = [path for path in daemon.home.glob("llmcp.db*") if path.is_file()]
    for path in names:
        path.rename(aside / path.name)
    ask(daemon, 1)
    until(lambda: any("store" in problem["message"] for problem in daemon.status()["problems"]))
    body = json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()
    until(
        lambda: daemon.call("POST", "/openai/v1/chat/completions", body=body, headers={"authorization": "Bearer x"}).status == 503
    )
    for path in names:
        (aside / path.name).rename(path)
    until(lambda: not daemon.status()["problems"])
    ask(daemon, 1)
    until(lambda: len(json.loads(daemon.cli("audit", "query", "--json").stdout)) >= 4)
    assert daemon.cli("audit", "verify").returncode == 0
