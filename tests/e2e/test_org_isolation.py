"""Two tenants of one daemon, seen from outside: each reads its own rows over the admin listener, and nothing of the other's."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.daemon import Answer, Daemon

PATHS = (
    "orgs",
    "orgs/{other}",
    "apps",
    "tokens",
    "tokens/{other_token}",
    "records",
    "records/{decision}",
    "usage",
    "usage?by=org,user,key",
)


def _read(daemon: Daemon, path: str, key: str) -> Answer:
    port = int(daemon.admin.rsplit(":", 1)[1])
    return daemon.call("GET", f"/v1/{path}", None, {"authorization": f"Bearer {key}"}, port=port)


def _until(holds: Callable[[], bool]) -> None:
    """Wait for the daemon to see a change: it looks several times a second."""
    until = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_virtual_key_reads_its_own_org_and_no_byte_of_another(make_daemon: Callable[..., Daemon]) -> None:
    """Orgs made by the command line while the daemon runs; a revocation ends the reading within a second."""
    daemon = make_daemon(settings={"CREDENTIALS__BACKEND": "file"})
    chat = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}'
    sent = daemon.call("POST", "/v1/chat/completions", chat, {"authorization": "Bearer " + "sk-" + "k" * 40})
    decision = sent.headers["x-llmcp-decision-id"]
    daemon.record(decision)
    made = {}
    for org in ("alpha", "bravo"):
        daemon.cli("org", "create", org, "--title", f"title-{org}")
        daemon.cli("app", "create", f"app-{org}", "--org", org)
        line = ("token", "create", "--org", org, "--app", f"app-{org}", "--user", f"user-{org}", "--json")
        made[org] = json.loads(daemon.cli(*line).stdout)
    for org in made:
        _until(lambda org=org: _read(daemon, "orgs", made[org]["token"]).status == 200)
    for mine, other in (("alpha", "bravo"), ("bravo", "alpha")):
        for path in PATHS:
            target = path.format(other=other, other_token=made[other]["id"], decision=decision)
            answer = _read(daemon, target, made[mine]["token"])
            assert answer.status == (404 if "/" in target else 200), target
            # The one record is of the org `default`.
            foreign = (other.encode(), made[other]["id"].encode(), decision.encode())
            assert not any(marker in answer.body for marker in foreign), target
        assert _read(daemon, "tokens", made[mine]["token"]).json()["tokens"][0]["id"] == made[mine]["id"]
    operator = (daemon.home / "run" / "admin.token").read_text(encoding="utf-8").strip()
    assert [org["name"] for org in _read(daemon, "orgs", operator).json()["orgs"]] == ["alpha", "bravo", "default"]
    assert _read(daemon, f"records/{decision}", operator).json()["decision_id"] == decision
    daemon.cli("token", "revoke", made["alpha"]["id"])
    _until(lambda: _read(daemon, "orgs", made["alpha"]["token"]).status == 401)
