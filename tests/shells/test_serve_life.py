"""`llmcp serve` as a process: starts, restarts, reloads, refusals and ends, in homes of the test's own."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.daemon import Daemon
from fakes.provider_server import ProviderServer

CAP = """\
apiVersion: llmcp.dev/v1
kind: Policy
metadata: {name: cap}
spec:
  rules:
    - id: cap
      when: request.max_tokens > 100
      set: {max_tokens: 100}
"""
BROKEN = CAP.replace("set:", "sett:")
CHAT = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
KEY = {"authorization": "Bearer sk-" + "x" * 20}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Make daemons with a home each; what a test starts is ended."""
    made: list[Daemon] = []
    with ProviderServer() as provider:

        def make_one(policy: str = "", **settings: str) -> Daemon:
            daemon = Daemon(tmp_path / f"home{len(made)}", provider.url, settings=settings)
            made.append(daemon)
            daemon.home.mkdir(mode=0o700)
            if policy:
                daemon.policy("cap", policy)
            return daemon

        yield make_one
        for daemon in made:
            daemon.cli("stop", check=False)
            daemon.stop()


def test_the_run_directory_says_where_it_listens_and_is_private(make: Callable[..., Daemon]) -> None:
    """Token and addresses stand there while it runs, and are gone afterwards."""
    daemon = make(CAP)
    daemon.start()
    run = daemon.home / "run"
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in run.iterdir()} == {
        "admin.token": 0o600, "daemon.json": 0o600, "lock": 0o600,
    }  # fmt: skip
    assert json.loads((run / "daemon.json").read_text())["gateway"] == daemon.url
    assert daemon.stop() == 0
    assert [path.name for path in run.iterdir()] == ["lock"]


def test_every_file_of_a_home_is_private(make: Callable[..., Daemon]) -> None:
    """CONTRACT section 6: 0600 and 0700, the store and the kept policies included."""
    daemon = make(CAP)
    daemon.start()
    daemon.call("POST", "/v1/chat/completions", CHAT, KEY)
    daemon.records(1)
    daemon.stop()
    for path in daemon.home.rglob("*"):
        if "policies" not in path.parts:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_restart_in_front_of_a_broken_edit_serves_the_last_good_policies(make: Callable[..., Daemon]) -> None:
    """Also after `kill -9`; `readyz` stays up and `status` names file and line."""
    daemon = make(CAP)
    daemon.start()
    good = daemon.status()["revision"]
    daemon.kill()
    daemon.policy("cap", BROKEN)
    daemon.start()
    told = daemon.status()
    assert (told["state"], told["revision"]) == ("degraded", good)
    assert told["problems"][0]["file"].endswith("cap.yaml")
    assert told["problems"][0]["line"] == 8
    assert daemon.call("GET", "/readyz").body == b"degraded"
    assert daemon.call("POST", "/v1/chat/completions", CHAT, KEY).headers["x-llmcp-revision"] == good
    daemon.policy("cap", CAP)
    assert json.loads(daemon.cli("reload", "--json").stdout)["state"] == "ready"


def test_a_first_start_in_front_of_broken_policies_refuses_everything(make: Callable[..., Daemon]) -> None:
    """Nothing to decide by: it listens, is not ready, and answers 503 in the caller's dialect."""
    daemon = make(BROKEN)
    daemon.start()
    assert daemon.status()["state"] == "unready"
    assert daemon.call("GET", "/readyz").status == 503
    assert daemon.call("GET", "/healthz").status == 200
    answer = daemon.call("POST", "/v1/messages", CHAT, {"x-api-key": "sk-ant-" + "x" * 20})
    assert answer.status == 503
    assert answer.json()["type"] == "error"
    daemon.policy("cap", CAP)
    assert json.loads(daemon.cli("reload", "--json").stdout)["state"] == "ready"


def test_policies_that_vanish_stay_in_force_even_across_a_restart(make: Callable[..., Daemon]) -> None:
    """An unmounted volume must not lift the rules."""
    daemon = make(CAP)
    daemon.start()
    good = daemon.status()["revision"]
    (daemon.home / "policies" / "cap.yaml").unlink()
    (daemon.home / "policies").rmdir()
    done = daemon.cli("reload", "--json", check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["revision"] == good
    daemon.stop()
    daemon.start()
    assert (daemon.status()["state"], daemon.status()["revision"]) == ("degraded", good)
    daemon.stop()
    daemon.settings["POLICIES__ALLOW_EMPTY"] = "true"
    daemon.start()
    assert daemon.status()["state"] == "ready"
    assert "no policies: traffic passes and is recorded" in daemon.log()


def test_a_named_directory_that_is_missing_is_an_error(make: Callable[..., Daemon], tmp_path: Path) -> None:
    """A misspelt path must not mean "no rules"."""
    daemon = make(POLICIES__PATHS=str(tmp_path / "polices"))
    daemon.start()
    assert daemon.status()["state"] == "unready"
    assert "polices" in daemon.status()["problems"][0]["file"]


def test_sighup_reads_settings_and_policies_again(make: Callable[..., Daemon]) -> None:
    """A broken settings file is a problem with its line; the former settings stay."""
    daemon = make(CAP, POLICIES__POLL_S="3600")
    daemon.start()
    (daemon.home / "llmcp.yaml").write_text("log:\n  levle: debug\n")
    os.kill(daemon.pid, signal.SIGHUP)
    problem = daemon.wait_for_problem()
    assert (Path(problem["file"]).name, problem["line"]) == ("llmcp.yaml", 2)
    assert "log.levle" in problem["message"]
    (daemon.home / "llmcp.yaml").write_text("log:\n  level: debug\n")
    assert json.loads(daemon.cli("reload", "--json").stdout)["problems"] == []


def test_a_change_of_the_listeners_says_that_it_needs_a_restart(make: Callable[..., Daemon]) -> None:
    """The log names the section; nothing moves."""
    daemon = make(CAP)
    daemon.start()
    (daemon.home / "llmcp.yaml").write_text("record: {queue: 128}\n")
    daemon.cli("reload")
    assert "settings_need_restart" in daemon.log()
    assert "record" in daemon.log()


def test_a_taken_port_is_exit_6_by_name(make: Callable[..., Daemon]) -> None:
    """And the home is free again."""
    daemon = make()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = daemon.cli("serve", "--port", "0", "--admin-port", port, check=False)
    assert done.returncode == 6
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--admin-port 0" in done.stderr
    daemon.start()


def test_the_admin_token_may_come_from_the_environment(make: Callable[..., Daemon]) -> None:
    """Otherwise it is fresh at every start; the CLI of the home finds it in either case."""
    token = "t" * 30
    daemon = make(ADMIN_TOKEN=token)
    daemon.start()
    assert daemon.status()["state"] == "ready"
    port = int(daemon.admin.rsplit(":", 1)[1])
    assert daemon.call("GET", "/v1/status", headers={"authorization": f"Bearer {token}"}, port=port).status == 200
    assert daemon.call("GET", "/v1/status", headers={"authorization": "Bearer x"}, port=port).status == 401
    assert token not in daemon.log()


def test_metrics_count_what_passed(make: Callable[..., Daemon]) -> None:
    """By provider, operation and outcome; no model names."""
    daemon = make(CAP)
    daemon.start()
    daemon.call("POST", "/v1/chat/completions", CHAT, KEY)
    daemon.records(1)
    text = daemon.call("GET", "/metrics", port=int(daemon.admin.rsplit(":", 1)[1])).body.decode()
    assert 'llmcp_requests_total{provider="openai",operation="chat",outcome="edited"} 1\n' in text
    assert "llmcp_records_written_total 1\n" in text
    assert "gpt-4o" not in text


def test_a_detached_daemon_outlives_its_parent_and_logs_to_its_file(make: Callable[..., Daemon]) -> None:
    """`--detach` returns when it serves; `stop` ends it."""
    daemon = make(CAP, LOG_FORMAT="json")
    done = daemon.cli("serve", "--detach", "--port", "0", "--admin-port", "0")
    assert "is serving" in done.stderr
    assert daemon.status()["state"] == "ready"
    assert daemon.cli("stop").returncode == 0
    assert daemon.cli("status", check=False).returncode == 5
    events = [json.loads(line)["event"] for line in (daemon.home / "run" / "llmcp.log").read_text().splitlines()]
    assert events[-1] == "stopped"
    assert "serving" in events


def test_a_detached_start_that_fails_says_why_and_gives_its_code(make: Callable[..., Daemon]) -> None:
    """What the child said on standard error is the parent's."""
    daemon = make()
    (daemon.home / "llmcp.yaml").write_text("nonsense: 1\n")
    done = daemon.cli("serve", "--detach", "--port", "0", "--admin-port", "0", check=False)
    assert done.returncode == 2
    assert "unknown setting `nonsense`" in done.stderr


def test_ctrl_c_ends_it_with_0_and_no_traceback(make: Callable[..., Daemon]) -> None:
    """A person stopping a foreground daemon has made no error."""
    daemon = make()
    daemon.start()
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.process.wait(20) == 0
    daemon.process = None
    assert "Traceback" not in daemon.log()


def test_a_project_in_the_working_directory_is_not_read_by_the_daemon(make: Callable[..., Daemon], tmp_path: Path) -> None:
    """A cloned repository must not redirect keys; the CLI says what it ignores."""
    daemon = make(CAP)
    project = tmp_path / "clone"
    project.mkdir()
    (project / "llmcp.yaml").write_text("providers: {openai: {base_url: https://evil.example}}\nlisten: {port: 1}\n")
    command = [sys.executable, "-m", "llmcp", "policy", "list"]
    done = subprocess.run(command, env=daemon.environ(), cwd=project, capture_output=True, text=True, check=True, timeout=60)
    assert "ignored `providers`, `listen`" in done.stderr
    assert "cap" in done.stdout
