"""`llmcp serve`: a daemon put together, from the lock to the last log line.

Rules:
1. The home's lock is taken before anything is written; settings that do not load end the start with exit code 2.
2. An address other than loopback needs `auth.require_virtual_key` and TLS, or `--insecure`; TLS is not built in this version.
3. `run/daemon.json` stands only while the daemon listens; the token beside it is fresh at every start.
4. A request that cannot be recorded (the store refuses, `when_full: refuse`), decided (no revision) or told from anybody else's (no
   access snapshot) is refused with 503.
5. Who may ask, and with whose key, is read before the listeners open, and swapped within a second of a change.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from llmcp import __version__
from llmcp.admin.app import AdminApp, status_document
from llmcp.config.environment import admin_token
from llmcp.config.home import write_private
from llmcp.config.lock import HomeLock
from llmcp.core.settings import is_loopback
from llmcp.engine.access import NOBODY
from llmcp.engine.exchange import Exchange
from llmcp.errors import UsageError
from llmcp.runtime.daemon import Daemon
from llmcp.runtime.exchange_port import serve_handler
from llmcp.runtime.gateway import Gateway
from llmcp.runtime.recorder import Recorder
from llmcp.runtime.state import DaemonState, Problem, problem_document
from llmcp.runtime.upstream import UpstreamPool, default_tls_context
from llmcp.runtime.watcher import Watcher
from llmcp.stores import keeper, open_audit_log
from llmcp.telemetry.log import configure
from llmcp.telemetry.metrics import Registry
from llmcp.wiring.access import watch_access
from llmcp.wiring.bodies import keeper_of_bodies
from llmcp.wiring.changes import daemon_change
from llmcp.wiring.jwt import start as start_issuer
from llmcp.wiring.last_good import LastGood
from llmcp.wiring.loading import Loader
from llmcp.wiring.lost_records import LostRecords
from llmcp.wiring.parts import Listener, RecorderPart
from llmcp.wiring.reading import ReadsPart, open_reads, scopes
from llmcp.wiring.settings import Flag, read_settings
from llmcp.wiring.settling import Settler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmcp.config.home import Home
    from llmcp.core.http import RequestHead, Respond
    from llmcp.core.settings import Settings
    from llmcp.engine.access import Access
    from llmcp.runtime.changes import Changes
    from llmcp.runtime.exchange_port import ExchangePort

_FIRST_LOAD_S = 5.0
_RANDOM_DIGITS = 20
_RANDOM_BLOCK = 200 * _RANDOM_DIGITS // 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for; None where it was silent."""

    host: str | None = None
    port: int | None = None
    admin_port: int | None = None
    policies: tuple[Path, ...] = field(default=())
    insecure: bool = False
    log_to_file: bool = False

    def flags(self) -> tuple[Flag, ...]:
        """Return the settings that were asked for."""
        paths = [str(path.expanduser().absolute()) for path in self.policies] or None
        return (
            Flag("--host", ("listen", "host"), self.host),
            Flag("--port", ("listen", "port"), self.port),
            Flag("--admin-port", ("listen", "admin_port"), self.admin_port),
            Flag("--policies", ("policies", "paths"), paths),
        )


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never run backwards."""
        return time.monotonic_ns()


def wall_now() -> float:
    """Return POSIX time."""
    return time.time_ns() / 1e9


class DecisionIds:
    """Fresh ids: time in milliseconds first, so that ids sort by age, then 80 random bits, taken from the system in blocks."""

    __slots__ = ("_at", "_random")

    def __init__(self) -> None:
        self._random = ""
        self._at = 0

    def __call__(self) -> str:
        """Return one that was never returned before."""
        at = self._at
        if at >= len(self._random):
            self._random = os.urandom(_RANDOM_BLOCK).hex()
            at = 0
        self._at = end = at + _RANDOM_DIGITS
        return f"d_{time.time_ns() // 1_000_000:012x}{self._random[at:end]}"


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
            runner.run(_run(home, settings, asked))
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


async def _run(home: Home, settings: Settings, asked: Asked) -> None:
    clock = SystemClock()
    state = DaemonState(urls={"gateway": None, "proxy": None, "admin": None})
    loader = Loader(home, settings, flags=asked.flags(), last_good=LastGood(home.last_good), now=clock.now)
    issuer = start_issuer(settings)
    changes = watch_access(home, lambda: loader.settings, issuer)
    records = open_audit_log(settings.store, home.data)
    lost_records = LostRecords(keeper(settings.store, home.data), home, new_change=daemon_change)
    recorder = Recorder(
        records, time.monotonic, capacity=settings.record.queue, when_full=settings.record.when_full,
        report_lost=lost_records.report, bodies=keeper_of_bodies(home, settings),
    )  # fmt: skip
    registry = Registry()
    settler = Settler(registry, recorder=recorder, state=state, loader=loader, clock=clock)

    decision_id = DecisionIds()

    def open_exchange(client_ip: str) -> ExchangePort:
        closed = "" if recorder.accepting() else "records wait for a store that does not take them"
        access = changes.value
        if access is None:
            access, closed = NOBODY, f"who may ask cannot be told: {changes.closed}"
        plane = state.plane
        if plane is None:
            plane, closed = loader.closed_plane, "there is no valid revision of the policies (`llmcp status` says why)"
        return Exchange(
            plane, decision_id=decision_id(), client_ip=client_ip, clock=clock, emit=settler.settle, closed=closed, access=access,
            fresh=partial(_now_in_force, changes),
        )  # fmt: skip

    pool = UpstreamPool(tls=default_tls_context(), header_bytes=settings.limits.header_bytes)

    def listener(opened: Callable[[str], ExchangePort], local: Callable[[RequestHead], Respond | None]) -> Gateway:
        return Gateway(
            open_exchange=opened, pool=pool, limits=settings.limits, wall_now=wall_now, on_bug=settler.bug, local=local
        )  # fmt: skip

    gateway = listener(open_exchange, settler.local)

    def swapped() -> None:
        configure(
            loader.settings.log.level,
            loader.settings.log.format,
            stream=sys.stderr,
            file=home.log_file if asked.log_to_file else None,
        )
        gateway.limits = loader.settings.limits
        issuer.apply(loader.settings)

    daemon = Daemon(state, load=loader, swapped=swapped)
    token = admin_token() or secrets.token_urlsafe(32)

    def status() -> dict[str, object]:
        document = status_document(state, pid=os.getpid(), version=__version__)
        found = [*_store_problems(settings.store or "llmcp.db", changes, recorder), *issuer.problems()]
        if found:
            document["problems"] = [*state.problem_documents(), *map(problem_document, found)]
        return document

    reads = open_reads(home, settings, records, scopes(changes, clock.now), clock.now)
    app = AdminApp(
        state=state, registry=registry, listen=settings.listen, token=token, status=status, reload=daemon.request_reload,
        stop=daemon.request_stop, reads=reads,
    )  # fmt: skip
    admin = listener(serve_handler(app), settler.refuse)
    settler.watch_connections(gateway, pool)
    watcher = Watcher(
        directories=loader.directories,
        files=loader.files,
        poll_s=lambda: loader.settings.policies.poll_s,
        changed=daemon.reload,
    )
    listen = settings.listen

    def ready() -> None:
        write_private(home.admin_token, token + "\n")
        write_private(home.daemon_file, json.dumps({"pid": os.getpid(), "version": __version__, **state.urls}) + "\n")
        if not asked.log_to_file:
            print(banner(state, [str(path) for path in loader.directories()]), file=sys.stderr, flush=True)
        # What was loaded lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()

    await asyncio.to_thread(changes.start, wait_s=_FIRST_LOAD_S)
    await daemon.run(
        (
            Listener("gateway", gateway, listen.host, listen.port, state),
            RecorderPart(recorder, records, lost_records),
            Listener("admin", admin, listen.host, listen.admin_port, state),
            ReadsPart(reads),
        ),
        watcher,
        ready,
    )
    changes.stop()
    issuer.stop()
    pool.close()


def _now_in_force(changes: Changes[Access]) -> Access:
    return changes.value or NOBODY


def _store_problems(store: str, changes: Changes[Access], recorder: Recorder) -> list[Problem]:
    """Return what is wrong with what the store gives and takes."""
    found = [Problem(store, 0, problem) for problem in changes.problems]
    kept, lost = recorder.state(), recorder.lost()
    if not kept.healthy:
        found.append(Problem(store, 0, f"the store takes no records ({kept.last_error}); {kept.pending} wait"))
    if lost is not None:
        found.append(Problem(store, 0, f"{lost.count} records since {lost.first} are lost"))
    return found


def banner(state: DaemonState, directories: list[str]) -> str:
    """Return what a person who starts a daemon wants to know."""
    gateway = state.urls["gateway"]
    lines = [
        f"llmcp {__version__} is serving (pid {os.getpid()})",
        f"  gateway   {gateway}   OPENAI_BASE_URL={gateway}/v1 ANTHROPIC_BASE_URL={gateway}",
        f"  admin     {state.urls['admin']}",
    ]
    if state.plane is None:
        lines.append("  policies  NOT LOADED: every request is refused until they are valid")
    elif state.policies:
        lines.append(f"  policies  {state.policies} in force, revision {state.revision}")
    else:
        lines.append("  policies  no policies: traffic passes and is recorded")
    lines.append(f"            read from {', '.join(directories)}")
    lines.extend(
        f"  problem   {p.file}:{p.line}: {p.message}" if p.line else f"  problem   {p.file}: {p.message}" for p in state.problems
    )
    return "\n".join(lines)
