"""Policies change while requests are decided: each request by one whole set, and a broken edit changes nothing."""

from __future__ import annotations

import http.client
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.daemon import Daemon

BODY = '{"model":"%s","messages":[{"role":"user","content":"x"}]}'
HEADERS = {"authorization": "Bearer sk-" + "k" * 40, "content-type": "application/json"}
POLICY = """apiVersion: llmcp.dev/v1
kind: Policy
metadata: {{name: turns}}
spec:
  rules:
    - {{id: first, match: {{models: ["{first}"]}}, deny: {{message: generation {number}}}}}
    - {{id: second, match: {{models: ["{second}"]}}, deny: {{message: generation {number}}}}}
"""


def _policy(number: int) -> str:
    """Write the policy of a generation: odd ones deny `gpt-a` and `gpt-b`, even ones `gpt-c` and `gpt-d`."""
    first, second = ("gpt-a", "gpt-b") if number % 2 else ("gpt-c", "gpt-d")
    return POLICY.format(first=first, second=second, number=number)


def _ask(daemon: Daemon, model: str) -> int:
    return daemon.call("POST", "/v1/chat/completions", (BODY % model).encode(), HEADERS).status


def test_no_request_is_decided_by_a_half_applied_set(make_daemon: Callable[..., Daemon]) -> None:
    """Under load and a dozen edits, one revision always means one set of answers: either the first pair is denied or the second."""
    daemon = make_daemon(policies={"turns": _policy(1)})
    seen: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    over, problems = threading.Event(), list[str]()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
        try:
            while not over.is_set():
                for model in ("gpt-a", "gpt-b", "gpt-c", "gpt-d"):
                    connection.request("POST", "/v1/chat/completions", BODY % model, HEADERS)
                    answer = connection.getresponse()
                    answer.read()
                    seen[answer.headers["x-llmcp-revision"]][model].add(answer.status)
        except Exception as error:
            problems.append(repr(error))
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    revision = daemon.status()["revision"]
    for number in range(2, 8):
        daemon.policy("turns", _policy(number))
        revision = daemon.wait_for_revision_other_than(revision)
    over.set()
    for worker in workers:
        worker.join()
    assert problems == []
    assert len(seen) >= 6
    for revision, by_model in seen.items():
        answers = {model: by_model[model] for model in by_model}
        assert all(len(statuses) == 1 for statuses in answers.values()), (revision, answers)
        denied = {model for model, statuses in answers.items() if statuses == {403}}
        assert denied <= {"gpt-a", "gpt-b"} or denied <= {"gpt-c", "gpt-d"}, (revision, answers)
        if len(answers) == 4:
            assert denied in ({"gpt-a", "gpt-b"}, {"gpt-c", "gpt-d"}), (revision, answers)


def test_a_broken_edit_keeps_the_last_good_rules_and_says_where_it_is_broken(make_daemon: Callable[..., Daemon]) -> None:
    """Traffic is decided as before; `status`, `readyz` and the log say so; the mended file is taken up."""
    daemon = make_daemon(policies={"turns": _policy(1)})
    before = daemon.status()["revision"]
    assert daemon.call("GET", "/readyz").body.strip().startswith(b"ready")
    path = daemon.policy("turns", _policy(2).replace("deny:", "denny:", 1))
    problem = daemon.wait_for_problem()
    assert problem["file"].endswith(path.name)
    assert problem["line"] == 6
    assert "denny" in problem["message"]
    assert daemon.status()["revision"] == before
    assert (_ask(daemon, "gpt-a"), _ask(daemon, "gpt-c")) == (403, 200)
    ready = daemon.call("GET", "/readyz")
    assert ready.status == 200
    assert b"degraded" in ready.body
    assert path.name in daemon.log()
    daemon.policy("turns", _policy(2))
    daemon.wait_for_revision_other_than(before)
    assert (_ask(daemon, "gpt-a"), _ask(daemon, "gpt-c")) == (200, 403)
    assert daemon.status()["problems"] == []
    assert b"degraded" not in daemon.call("GET", "/readyz").body


def test_a_restart_with_a_broken_file_serves_the_last_good_rules(make_daemon: Callable[..., Daemon]) -> None:
    """A broken file at start never means no rules."""
    daemon = make_daemon(policies={"turns": _policy(1)})
    assert _ask(daemon, "gpt-a") == 403
    daemon.stop()
    daemon.policy("turns", "apiVersion: [")
    daemon.start()
    assert _ask(daemon, "gpt-a") == 403
    assert daemon.status()["problems"]


def test_a_first_start_with_a_broken_file_refuses_everything(make_daemon: Callable[..., Daemon]) -> None:
    """With no valid and no last good set it listens, is not ready, and answers 503."""
    daemon = make_daemon(policies={"turns": "apiVersion: ["})
    assert daemon.call("GET", "/readyz").status == 503
    assert daemon.call("GET", "/healthz").status == 200
    assert _ask(daemon, "gpt-4o") == 503


def test_policies_that_vanish_do_not_lift_their_denials(make_daemon: Callable[..., Daemon]) -> None:
    """Going from some policies to none is an error, not a permission."""
    daemon = make_daemon(policies={"turns": _policy(1)})
    (daemon.home / "policies" / "turns.yaml").unlink()
    daemon.wait_for_problem()
    assert _ask(daemon, "gpt-a") == 403


def test_reload_applies_an_edit_at_once(make_daemon: Callable[..., Daemon]) -> None:
    """After `llmcp reload` has returned, the new rules decide."""
    daemon = make_daemon(policies={"turns": _policy(1)})
    daemon.policy("turns", _policy(2))
    daemon.cli("reload")
    until = time.monotonic() + 5
    while _ask(daemon, "gpt-a") != 200 and time.monotonic() < until:
        time.sleep(0.05)
    assert (_ask(daemon, "gpt-a"), _ask(daemon, "gpt-c")) == (200, 403)
