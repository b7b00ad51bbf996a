"""`record: {bodies: full}`, from a real request to a real reader, and nowhere in clear in between."""

from __future__ import annotations

import json
from collections.abc import Callable

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
