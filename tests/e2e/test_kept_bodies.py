"""`record: {bodies: full}`, from a real request to a real reader, and nowhere in clear in between."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

from e2e.daemon import Daemon

POLICY = """apiVersion: llmcp.dev/v1
kind: Policy
metadata: {name: evidence}
spec:
  rules:
    - {id: keep, match: {models: ["gpt-4o*"]}, record: {bodies: full}}
"""
MARKER = "marker-" + "m" * 30


def chat(model: str, *, stream: bool = False) -> bytes:
    """Return a chat request."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": MARKER}], "stream": stream}).encode()


def test_bodies_are_kept_sealed_and_read_back_by_who_may(make_daemon: Callable[..., Daemon]) -> None:
    """Both directions, byte for byte; another model's are not kept; who looked is in the control stream."""
    daemon = make_daemon(policies={"evidence": POLICY}, settings={"RECORD__ALLOW_FULL": "true"})
    headers = {"authorization": "Bearer sk-" + "x" * 20, "content-type": "application/json"}
    answers = {
        model: daemon.call("POST", "/openai/v1/chat/completions", body=chat(model), headers=headers)
        for model in ("gpt-4o-mini", "o3-mini")
    }
    kept = daemon.record(answers["gpt-4o-mini"].headers["x-llmcp-decision-id"])
    other = daemon.record(answers["o3-mini"].headers["x-llmcp-decision-id"])
    assert other["bodies"] == {"request": "", "response": ""}
    assert all(ref.startswith("body:") for ref in kept["bodies"].values())
    shown = json.loads(daemon.cli("audit", "show", kept["decision_id"], "--bodies", "--json").stdout)["kept"]
    assert shown["request"]["text"].encode() == chat("gpt-4o-mini")
    assert shown["response"]["text"].encode() == answers["gpt-4o-mini"].body
    (looked,) = json.loads(daemon.cli("audit", "query", "--stream", "control", "--action", "audit.bodies", "--json").stdout)
    assert looked["target"] == kept["decision_id"]
    daemon.stop()
    for path in daemon.home.rglob("*"):
        if path.is_file():
            assert MARKER.encode() not in path.read_bytes(), path


def test_an_altered_a_swapped_and_a_missing_body_are_found(make_daemon: Callable[..., Daemon]) -> None:
    """Each by the number of the record that names it; a pruning that is told of is no damage, and takes bodies along."""
    daemon = make_daemon(policies={"evidence": POLICY}, settings={"RECORD__ALLOW_FULL": "true"})
    headers = {"authorization": "Bearer sk-" + "x" * 20, "content-type": "application/json"}
    for _ in range(4):
        daemon.call("POST", "/openai/v1/chat/completions", body=chat("gpt-4o-mini"), headers=headers)
    path = daemon.home / "llmcp.db"
    daemon.stop()
    assert daemon.cli("audit", "verify").returncode == 0
    records = [json.loads(line) for line in daemon.cli("audit", "query", "-o", "jsonl").stdout.splitlines()]
    refs = [record["bodies"]["request"] for record in records]
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        sql.execute("UPDATE bodies SET sealed = zeroblob(80) WHERE ref = ?", (refs[0],))
        sql.execute("UPDATE bodies SET sealed = (SELECT sealed FROM bodies WHERE ref = ?) WHERE ref = ?", (refs[3], refs[1]))
        sql.execute("DELETE FROM bodies WHERE ref = ?", (refs[2],))
    found = daemon.cli("audit", "verify", "--json", check=False)
    assert found.returncode == 1
    damages = json.loads(found.stdout)["damages"]
    assert [(damage["kind"], damage["place"]) for damage in damages] == [
        ("body-altered", "decision, records 1 to 2"),
        ("body-altered", "decision, record 3"),
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        sql.execute("DELETE FROM bodies WHERE ref IN (?, ?, ?)", refs[:3])
    daemon.cli("audit", "prune", "--before", records[3]["time"], "--mode", "bodies", "--yes")
    assert daemon.cli("audit", "verify").returncode == 0
    daemon.cli("audit", "prune", "--before", "0s", "--mode", "rows", "--yes")
    assert daemon.cli("audit", "verify").returncode == 0
    with closing(sqlite3.connect(path)) as sql:
        assert sql.execute("SELECT count(*) FROM bodies").fetchone() == (0,)


def test_the_setting_acts_without_a_restart(make_daemon: Callable[..., Daemon]) -> None:
    """A rule that is in force keeps what it says: a daemon that takes the setting while it runs has somewhere to keep it."""
    daemon = make_daemon()
    daemon.cli("config", "set", "record.allow_full", "true")
    before = daemon.status()["revision"]
    daemon.policy("evidence", POLICY)
    daemon.wait_for_revision_other_than(before)
    daemon.cli("reload")
    headers = {"authorization": "Bearer sk-" + "x" * 20, "content-type": "application/json"}
    answer = daemon.call("POST", "/openai/v1/chat/completions", body=chat("gpt-4o-mini"), headers=headers)
    kept = daemon.record(answer.headers["x-llmcp-decision-id"])
    assert all(ref.startswith("body:") for ref in kept["bodies"].values())


def test_without_the_setting_the_policy_does_not_load(make_daemon: Callable[..., Daemon]) -> None:
    """Whole bodies are kept only where the machine's owner said so too."""
    daemon = make_daemon()
    path = daemon.policy("evidence", POLICY)
    checked = daemon.cli("policy", "check", str(path), check=False)
    assert checked.returncode == 1
    assert "record.allow_full" in checked.stdout + checked.stderr
