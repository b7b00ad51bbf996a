"""`llmcp serve --detach`: a daemon of its own session, and a parent that waits until it serves.

Rules:
1. The child is an ordinary `llmcp serve` that logs to `run/llmcp.log`; what it says before that goes to `run/start.err`.
2. The parent returns 0 once the child answers, else says what the child said and returns the child's code.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from llmcp.errors import UnreachableError
from llmcp.wiring.remote import status

if TYPE_CHECKING:
    from llmcp.config.home import Home
    from llmcp.wiring.asked import Asked

_START_S = 30.0
_PAUSE_S = 0.05


def start(home: Home, asked: Asked) -> int:
    """Start a detached daemon and wait for it; return the exit code. Raises: UnreachableError where it does not come up."""
    home.create()
    said = home.run / "start.err"
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "llmcp", "serve", "--log-to-file", *arguments(asked)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=descriptor,
            start_new_session=True,
            close_fds=True,
        )
    finally:
        os.close(descriptor)
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        code = child.poll()
        if code is not None:
            sys.stderr.write(said.read_text(encoding="utf-8", errors="replace"))
            return code or 1
        document = status(home, wait_s=0)
        if document is not None and document["pid"] == child.pid:
            print(
                f"llmcp is serving (pid {child.pid})\n  gateway   {document['gateway']}\n  admin     {document['admin']}\n"
                f"  state     {document['state']}\n  log       {home.log_file}\n  stop it   llmcp stop",
                file=sys.stderr,
            )
            return 0
        time.sleep(_PAUSE_S)
    raise UnreachableError("the daemon did not come up", why=f"not within {_START_S:g} s", fix=f"see {home.log_file} and {said}")


def arguments(asked: Asked) -> list[str]:
    """Return the flags that say `asked` again."""
    said: list[str] = []
    for flag, value in (("--host", asked.host), ("--port", asked.port), ("--admin-port", asked.admin_port)):
        if value is not None:
            said += [flag, str(value)]
    for path in asked.policies:
        said += ["--policies", str(path.expanduser().absolute())]
    return [*said, "--insecure"] if asked.insecure else said
