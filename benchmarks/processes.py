"""Starting, asking and stopping the processes of a benchmark, and reading what they cost.

Rules:
1. Every process that is started here is ended here, by its own id, also when the benchmark fails.
2. CPU time is user plus system of all threads of a process, ended ones included.
3. The gateway is the real CLI in a home of its own; nothing of the user's settings or environment reaches it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return user plus system time of a process, all threads. Nanoseconds from its CPU clock where the kernel lets us."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python does not have
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Return a process's resident memory in megabytes (10⁶ bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[Any], *, grace_s: float = 5.0) -> None:
    """End a process that was started here: politely, then not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def helper(script: str, *args: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a script of this folder that prints its port first; yield the process and the port."""
    process = subprocess.Popen([sys.executable, str(HERE / script), *args], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.strip().isdigit():
            msg = f"{script} did not start"
            raise RuntimeError(msg)
        yield process, int(line)
    finally:
        end(process)


def load(kind: str, port: int, *args: object) -> dict[str, Any]:
    """Run the load generator to its end and return what it measured."""
    command = [sys.executable, str(HERE / "load.py"), kind, "--port", str(port), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout)
    if result["errors"]:
        msg = f"the run had {result['errors']} errors: {result} {done.stderr[-500:]}"
        raise RuntimeError(msg)
    return result


def llmcp_command() -> list[str]:
    """Return how to call the CLI: the installed script beside this interpreter, else the module."""
    script = Path(sys.executable).with_name("llmcp")
    return [str(script)] if script.exists() else [sys.executable, "-m", "llmcp"]


@dataclass
class Gateway:
    """A running `llmcp serve` of our own. `ready_s` is the time from its start to the first `ready`."""

    home: Path
    process: subprocess.Popen[bytes]
    environ: dict[str, str]
    gateway: str
    admin: str = ""
    ready_s: float = 0.0
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The gateway's port."""
        return int(self.gateway.rsplit(":", 1)[1].rstrip("/"))

    def cli(self, *args: str, check: bool = True) -> str:
        """Run another verb on the same home and return its standard output."""
        done = subprocess.run([*llmcp_command(), *args], env=self.environ, capture_output=True, text=True, check=False)
        if check and done.returncode:
            msg = f"`llmcp {' '.join(args)}` ended with {done.returncode}: {done.stderr[-1000:]}"
            raise RuntimeError(msg)
        return done.stdout


def gateway_environ(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with `settings` (`PROVIDERS__OPENAI__BASE_URL` …) and none of the user's own llmcp settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_") and not k.endswith("_API_KEY")}
    return {**kept, "LLMCP_HOME": str(home), **{f"LLMCP_{k}": v for k, v in settings.items()}}


def answers_ready(port: int) -> bool:
    """Ask `/readyz` once, over a bare socket."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


@contextlib.contextmanager
def gateway(home: Path, settings: Mapping[str, str], *, policies: Path | None = None, timeout_s: float = 20) -> Iterator[Gateway]:
    """Start `llmcp serve` in `home` with free ports, wait until it is ready, and end it afterwards.

    The port is chosen here and not by the daemon, so that readiness can be asked for from the first moment; where the
    gateway really listens is then read from `llmcp status`, as a script would.
    """
    home.mkdir(parents=True, exist_ok=True)
    if policies is not None:
        shutil.copytree(policies, home / "policies", dirs_exist_ok=True)
    environ = gateway_environ(home, settings)
    port = free_port()
    log = (home / "serve.log").open("wb")
    began = time.perf_counter()
    process = subprocess.Popen(
        [*llmcp_command(), "serve", "--port", str(port), "--admin-port", "0"],
        env=environ,
        stdout=log,
        stderr=log,
        cwd=home,
    )
    try:
        while not answers_ready(port):
            if process.poll() is not None or time.perf_counter() - began > timeout_s:
                msg = "`llmcp serve` did not become ready:\n" + (home / "serve.log").read_text(errors="replace")[-3000:]
                raise RuntimeError(msg)
            time.sleep(0.005)
        running = Gateway(home, process, environ, f"http://127.0.0.1:{port}", ready_s=time.perf_counter() - began)
        running.status = json.loads(running.cli("status", "--json", "--wait", "10"))
        running.gateway, running.admin = running.status["gateway"], running.status.get("admin") or ""
        yield running
    finally:
        end(process, grace_s=15)
        log.close()
