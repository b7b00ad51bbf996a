"""Checks of the daemon: that it answers, what it complains of, and that its ports are its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmcp.control.doctor import fail, ok, skip, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from llmcp.control.doctor import Finding


def daemon(holder: int | None, status: Mapping[str, Any] | None, version: str) -> Iterator[Finding]:
    """Check that the daemon of the home answers; `holder` is the process that has the home's lock."""
    if holder is None:
        yield warn("no daemon runs on this home", "`llmcp serve`")
        return
    if status is None:
        yield fail(f"process {holder} has this home and does not answer", "see run/llmcp.log; `llmcp stop`, then `llmcp serve`")
        return
    yield ok(f"process {status['pid']} serves at {status['gateway']}, {status['state']}")
    if status["version"] != version:
        yield warn(f"it is llmcp {status['version']}, this is {version}", "`llmcp stop`, then `llmcp serve`")
    for problem in status["problems"]:
        where = f"{problem['file']}:{problem['line']}" if problem.get("line") else str(problem["file"])
        yield fail(f"{where}: {problem['message']}", "mend it; the daemon looks again by itself")


def ports(wanted: Mapping[str, int], status: Mapping[str, Any] | None, taken: Callable[[int], bool]) -> Iterator[Finding]:
    """Check that a daemon can have its ports, where none runs; `wanted` are the numbers by listener, 0 for any."""
    if status is not None:
        yield ok("the daemon has its ports")
        return
    for name, port in wanted.items():
        if not port:
            yield skip(f"{name} takes any free port")
        elif taken(port):
            yield fail(f"something else listens on port {port} ({name})", "stop it, or set another port (`llmcp config set`)")
        else:
            yield ok(f"port {port} is free ({name})")
