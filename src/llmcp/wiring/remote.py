"""How the CLI finds and asks the daemon of a home.

Rules:
1. Who holds the home's lock is the daemon; a `daemon.json` without a holder is left over from a killed one.
2. The token is the home's `run/admin.token`, else the environment's.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from llmcp.admin.client import AdminClient
from llmcp.config import lock
from llmcp.config.environment import admin_token
from llmcp.errors import NotPermittedError, UnreachableError

if TYPE_CHECKING:
    from llmcp.config.home import Home

_PAUSE_S = 0.05
_LOAD_S = 60.0
_KEYS = ("pid", "gateway", "proxy", "admin", "revision", "version", "state", "problems")


def _client(home: Home) -> AdminClient | None:
    """Return a client of the running daemon, or None where none runs or it is not listening yet."""
    if lock.holder(home) is None:
        return None
    try:
        document = json.loads(home.daemon_file.read_text(encoding="utf-8"))
        url = document["admin"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        token = home.admin_token.read_text(encoding="utf-8").strip()
    except OSError:
        token = admin_token()
    return AdminClient(url, token)


def _ask(home: Home) -> dict[str, Any] | None:
    client = _client(home)
    if client is None:
        return None
    try:
        return client.status()
    except UnreachableError:
        return None


def status(home: Home, *, wait_s: float) -> dict[str, Any] | None:
    """Return the contract's status object, or None. A daemon that is starting is waited for."""
    deadline = time.monotonic() + wait_s
    while True:
        document = _ask(home)
        if document is not None and document["state"] != "starting":
            return {key: document[key] for key in _KEYS}
        if time.monotonic() >= deadline:
            return None
        time.sleep(_PAUSE_S)


def reload(home: Home) -> dict[str, Any]:
    """Let the daemon load; return the status after it. Raises: UnreachableError."""
    client = _client(home)
    if client is None:
        raise _nobody()
    goal = int(client.reload()["loads"])
    deadline = time.monotonic() + _LOAD_S
    while time.monotonic() < deadline:
        document = client.status()
        if document["loads"] >= goal:
            return {key: document[key] for key in _KEYS}
        time.sleep(_PAUSE_S)
    raise UnreachableError("the daemon did not finish loading", why=f"not within {_LOAD_S:g} s", fix="see its log")


def stop(home: Home, *, timeout_s: float) -> int:
    """Stop the daemon; return its process id. Raises: UnreachableError, NotPermittedError."""
    pid = lock.holder(home)
    if pid is None:
        raise _nobody()
    client = _client(home)
    try:
        begun = client is not None and bool(client.stop())
    except UnreachableError:
        begun = False
    if not begun:
        _terminate(pid)
    deadline = time.monotonic() + timeout_s
    while lock.holder(home) is not None:
        if time.monotonic() >= deadline:
            raise UnreachableError(
                f"the daemon (pid {pid}) still finishes open requests", why=f"not done within {timeout_s:g} s", fix="wait longer"
            )
        time.sleep(_PAUSE_S)
    return pid


def _terminate(pid: int) -> None:
    """Signal a daemon that does not answer. The kernel's lock says that `pid` is alive and ours."""
    if pid <= 0:
        raise UnreachableError("the daemon does not answer", why="and its process id is not known", fix="end it by hand")
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise NotPermittedError(f"the daemon (pid {pid}) is another user's", fix="stop it as that user") from None


def _nobody() -> UnreachableError:
    return UnreachableError("no daemon runs on this home", fix="start one with `llmcp serve`")
