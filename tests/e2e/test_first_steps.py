"""The README's second block, line by line, against a real daemon: the provider's key out of the program, a virtual key in."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from docs.support import ROOT, fenced
from e2e.daemon import Daemon

PROVIDER_KEY = "sk-proj-" + "k" * 40


def chat(model: str) -> bytes:
    """Return what the unchanged program asks."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()


def test_the_steps_of_the_readme_do_what_they_say(make_daemon: Callable[..., Daemon]) -> None:
    """The key is kept, a token made, the program served with the provider's key, its use summed up and the ledger whole."""
    steps = next(block for block in fenced(ROOT / "README.md", "sh") if "llmcp key set" in block).splitlines()
    daemon = make_daemon(settings={"CREDENTIALS__BACKEND": "file"})
    token, program_ran = "", False
    for step in steps:
        line = step.partition(" #")[0].strip()
        if line.startswith("python "):
            answer = daemon.call(
                "POST", "/v1/chat/completions", body=chat("gpt-4o-mini"), headers={"authorization": f"Bearer {token}"}
            )
            assert answer.status == 200, answer.body
            daemon.record(answer.headers["x-llmcp-decision-id"])
            program_ran = True
            continue
        verb = shlex.split(line.removeprefix("export OPENAI_API_KEY=$(").removesuffix(")").replace("$USER", "ada"))
        assert verb[0] == "llmcp"
        asks = ["--stdin"] if verb[1:3] == ["key", "set"] else []
        done = daemon.cli(*verb[1:], *asks, stdin=PROVIDER_KEY + "\n")
        if verb[1:3] == ["token", "create"]:
            token = done.stdout.strip()
            assert token.startswith("llmcp_")
            wait_until_known(daemon, token)
        if verb[1] == "usage":
            assert "ada" in done.stdout
            assert "gpt-4o-mini" in done.stdout
    assert program_ran
    assert not carries(daemon.home, PROVIDER_KEY)
    assert not carries(daemon.home, token)


def wait_until_known(daemon: Daemon, token: str) -> None:
    """Wait until a token acts: a second on a machine that has nothing else to do."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if daemon.call("GET", "/openai/v1/models", headers={"authorization": f"Bearer {token}"}).status != 401:
            return
        time.sleep(0.1)
    raise AssertionError("the token is not known")


def carries(home: Path, secret: str) -> list[Path]:
    """Return the files in which a secret stands in clear."""
    return [path for path in home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
