"""`llmcp serve`: a daemon from the home's lock to the last log line. What it is made of is `wiring.assembly`'s.

Rules:
1. The home's lock is taken before anything is written; settings that do not load end the start with exit code 2.
2. An address other than loopback needs `auth.require_virtual_key` and TLS, or `--insecure`; TLS is not built in this version.
3. `run/daemon.json` stands only while the daemon listens; the token beside it is fresh at every start.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from llmcp.config.lock import HomeLock
from llmcp.core.settings import is_loopback
from llmcp.errors import UsageError
from llmcp.telemetry.log import configure
from llmcp.wiring.assembly import Assembly
from llmcp.wiring.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.config.home import Home
    from llmcp.core.settings import Settings
    from llmcp.wiring.asked import Asked


def serve(home: Home, asked: Asked) -> int:
    """Run a daemon on `home` until it is told to stop; return the exit code. Raises: LlmcpError where it cannot start."""
    settings = read_settings(home, asked.flags())
    check_exposure(settings, insecure=asked.insecure)
    home.create()
    lock = HomeLock(home)
    lock.acquire()
    try:
        configure(settings.log.level, settings.log.format, stream=sys.stderr, file=home.log_file if asked.log_to_file else None)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(Assembly(home, settings, asked).run())
    finally:
        for path in (home.daemon_file, home.admin_token):
            path.unlink(missing_ok=True)
        lock.release()
    return 0


def check_exposure(settings: Settings, *, insecure: bool) -> None:
    """Refuse to listen beyond this machine unless that was asked for by name. Raises: UsageError."""
    if insecure or is_loopback(settings.listen.host):
        return
    missing = "TLS, which is not supported in this version"
    if not settings.auth.require_virtual_key:
        missing = f"`auth.require_virtual_key`, and {missing}"
    raise UsageError(
        f"will not listen on {settings.listen.host}",
        why=f"beyond loopback a listener needs `auth.require_virtual_key` and TLS; there is no {missing}",
        fix="listen on 127.0.0.1 behind a proxy that speaks TLS, or say `--insecure`",
        code="exposed",
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
