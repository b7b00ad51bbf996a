"""A real `llmcp serve` in a home of its own, as a test drives it: start, ask, stop, kill.

Rules:
1. The daemon is the installed CLI in a process of its own; nothing of the user's settings or keys reaches it.
2. All ports are free ones; where it listens is read from `llmcp status`, as a script would.
3. What a test starts it ends, by its own id.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PROVIDERS = ("OPENAI", "ANTHROPIC", "GEMINI", "MISTRAL", "BEDROCK", "AZURE", "VERTEX", "COHERE", "GROQ")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over a raw connection. Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass
class Daemon:
    """One home and, while it runs, one daemon on it."""

    home: Path
    upstream: str
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    port: int = 0
    admin: str = ""
    pid: int = 0

    def environ(self) -> dict[str, str]:
        """Return the daemon's and the CLI's environment."""
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith("LLMCP_") and not k.endswith("_API_KEY") and "_proxy" not in k.lower()
        }
        places = {f"LLMCP_PROVIDERS__{name}__BASE_URL": self.upstream for name in _PROVIDERS}
        return {**kept, "LLMCP_HOME": str(self.home), **places, **{f"LLMCP_{k}": v for k, v in self.settings.items()}}

    def policy(self, name: str, text: str) -> Path:
        """Write a policy file the way an editor does: a new file, renamed over the old one."""
        folder = self.home / "policies"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path, new = folder / f"{name}.yaml", folder / f".{name}.new"
        new.write_text(text)
        new.replace(path)
        return path

    def start(self, *, timeout_s: float = 20) -> None:
        """Start the daemon and wait until it says where it listens."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = (self.home.parent / f"{self.home.name}.log").open("ab")
        command = [sys.executable, "-m", "llmcp", "serve", "--port", "0", "--admin-port", "0"]
        self.process = subprocess.Popen(command, env=self.environ(), stdout=log, stderr=log, cwd=self.home)
        log.close()
        until = time.monotonic() + timeout_s
        while True:
            status = self.cli("status", "--json", check=False)  # no `--wait`: that waits for ready, and some tests never are
            if status.returncode == 0:
                break
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"`llmcp serve` did not start: {status.stderr}\n{self.log()[-3000:]}")
        told = json.loads(status.stdout)
        self.url, self.admin, self.pid = told["gateway"].rstrip("/"), (told.get("admin") or "").rstrip("/"), told["pid"]
        self.port = int(self.url.rsplit(":", 1)[1])

    def log(self) -> str:
        """Return what the daemon wrote on its standard error."""
        return (self.home.parent / f"{self.home.name}.log").read_text(errors="replace")

    def cli(self, *args: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a verb on the same home."""
        command = [sys.executable, "-m", "llmcp", *args]
        done = subprocess.run(
            command,
            env=self.environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            input=stdin,
            cwd=self.home.parent,
        )
        if check and done.returncode:
            raise AssertionError(f"`llmcp {' '.join(args)}` ended with {done.returncode}: {done.stderr}")
        return done

    def status(self) -> dict[str, Any]:
        """Return `llmcp status --json`."""
        told: dict[str, Any] = json.loads(self.cli("status", "--json").stdout)
        return told

    def records(self, count: int = 0, *, timeout_s: float = 10) -> list[dict[str, Any]]:
        """Return all decision records, waiting until there are at least `count`."""
        until = time.monotonic() + timeout_s
        while True:
            text = self.cli("audit", "query", "--limit", "1000000", "-o", "jsonl").stdout
            found = [r for r in map(json.loads, text.splitlines()) if r.get("stream", "decision") == "decision"]
            if len(found) >= count or time.monotonic() > until:
                return found
            time.sleep(0.2)

    def record(self, decision_id: str, *, timeout_s: float = 10) -> dict[str, Any]:
        """Return the record of one decision, waiting until it is written."""
        until = time.monotonic() + timeout_s
        while True:
            for found in self.records():
                if found["decision_id"] == decision_id:
                    return found
            if time.monotonic() > until:
                raise AssertionError(f"no record of decision {decision_id}")
            time.sleep(0.2)

    def call(
        self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None, *, port: int = 0
    ) -> Answer:
        """Send one request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            given = {"content-type": "application/json"} if body is not None else {}
            connection.request(method, target, body, {**given, **(headers or {})})
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def wait_for_revision_other_than(self, revision: str, *, timeout_s: float = 15) -> str:
        """Wait until requests are decided by another revision, and return it."""
        return self._wait(lambda told: told["revision"] if told["revision"] != revision else "", timeout_s)

    def wait_for_problem(self, *, timeout_s: float = 15) -> dict[str, Any]:
        """Wait until `status` names a problem, and return the first."""
        found: dict[str, Any] = self._wait(lambda told: told["problems"][0] if told["problems"] else None, timeout_s)
        return found

    def _wait(self, read: Any, timeout_s: float) -> Any:
        until = time.monotonic() + timeout_s
        while True:
            told = self.status()
            if value := read(told):
                return value
            if time.monotonic() > until:
                raise AssertionError(f"nothing changed within {timeout_s} s: {told}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the daemon as a power cut would: no handler runs."""
        assert self.process is not None
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> int:
        """End the daemon politely and return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        code, self.process = self.process.returncode, None
        return code
