"""The node clients `openai` and `@anthropic-ai/sdk`, unchanged but for their base URL.

Their packages are installed from the package index into `tests/e2e/node/node_modules` by the lock file there. Without npm the tests are
skipped, loudly; with `CI=true` that is a failure.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fakes.provider_server import ARGUMENTS, PIECES, REPLY, ProviderServer
from fakes.relay import Relay

if TYPE_CHECKING:
    from e2e.daemon import Daemon

pytestmark = [pytest.mark.node, pytest.mark.timeout(300), pytest.mark.xdist_group("node")]
NODE = Path(__file__).parent / "node"
KEYS = {"openai": "sk-" + "k" * 40, "anthropic": "sk-ant-" + "k" * 40}
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}
BASES = [("openai", "/v1"), ("openai", "/openai/v1"), ("anthropic", ""), ("anthropic", "/anthropic")]


def _missing(why: str) -> None:
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"the node clients could not be tested, and CI must test them: {why}")
    pytest.skip(f"NODE CLIENTS NOT TESTED: {why}")


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    """Install the locked packages once, whichever worker comes first."""
    if not (shutil.which("node") and shutil.which("npm")):
        _missing("node and npm are not installed")
    (NODE / ".install.lock").touch()
    with (NODE / ".install.lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _install()


def _install() -> None:
    lock = (NODE / "package-lock.json").read_bytes()
    stamp = NODE / "node_modules" / ".installed-lock"
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE, capture_output=True, text=True, check=False
    )
    if done.returncode:
        _missing(f"`npm ci` failed: {done.stderr[-500:]}")
    stamp.write_bytes(lock)


def _run(client: str, base_url: str, *, model: str = "", stream: bool = False, tool: str = "") -> dict[str, Any]:
    job = {
        "client": client,
        "baseURL": base_url,
        "apiKey": KEYS[client],
        "model": model or MODELS[client],
        "stream": stream,
        "tool": tool,
    }
    environ = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_BASE_URL"))}
    done = subprocess.run(
        ["node", "clients.mjs"],
        cwd=NODE,
        env=environ,
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(("client", "base"), BASES)
def test_answers_arrive_whole_and_in_pieces(daemon: Daemon, client: str, base: str) -> None:
    """Text reaches the program as the provider sent it, deltas as deltas."""
    assert _run(client, daemon.url + base)["text"] == REPLY
    assert tuple(_run(client, daemon.url + base, stream=True)["pieces"]) == PIECES


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_an_allowed_tool_is_called(daemon: Daemon, client: str) -> None:
    """Offers go up and calls come down."""
    base = "/v1" if client == "openai" else ""
    assert _run(client, daemon.url + base, tool="weather")["tool"] == {"name": "weather", "input": json.loads(ARGUMENTS)}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("client", "base"), BASES)
def test_a_refusal_is_permission_denied_after_one_request(
    daemon: Daemon, provider: ProviderServer, client: str, base: str, stream: bool
) -> None:
    """The SDK raises its own exception, does not retry, and the provider sees nothing."""
    with Relay(daemon.port) as relay:
        error = _run(client, relay.url + base, model="forbidden-model", stream=stream)["error"]
        assert len(relay.requests) == 1
    assert (error["name"], error["status"]) == ("PermissionDeniedError", 403)
    assert "forbidden-model" in error["message"]
    assert provider.received == []


@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_a_forbidden_tool_is_refused_before_it_is_offered(daemon: Daemon, provider: ProviderServer, client: str) -> None:
    """The offer of a denied tool never reaches the provider."""
    base = "/v1" if client == "openai" else ""
    assert _run(client, daemon.url + base, tool="shell")["error"]["name"] == "PermissionDeniedError"
    assert provider.received == []
