"""A daemon's parts, put together.

Rules:
1. A request that cannot be recorded (the store refuses, `when_full: refuse`), decided (no revision) or told from anybody else's (no
   access snapshot) is refused with 503.
2. Who may ask, and with whose key, is read before the listeners open, and swapped within a second of a change.
3. Everything that is wrong with any part stands in `status`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import sys
import time
from typing import TYPE_CHECKING, Final

from llmcp import __version__
from llmcp.admin.app import AdminApp, status_document
from llmcp.config.environment import admin_token
from llmcp.config.home import write_private
from llmcp.engine.access import NOBODY
from llmcp.engine.exchange import Exchange
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
from llmcp.wiring.clocks import DecisionIds, SystemClock, wall_now
from llmcp.wiring.jwt import start as start_issuer
from llmcp.wiring.last_good import LastGood
from llmcp.wiring.ledger import open_book
from llmcp.wiring.ledger_part import LedgerPart
from llmcp.wiring.loading import Loader
from llmcp.wiring.lost_records import LostRecords
from llmcp.wiring.parts import Listener, RecorderPart
from llmcp.wiring.reading import ReadsPart, open_reads, scopes
from llmcp.wiring.settling import Settler

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.config.home import Home
    from llmcp.core.http import RequestHead, Respond
    from llmcp.core.settings import Settings
    from llmcp.engine.access import Access
    from llmcp.runtime.exchange_port import ExchangePort
    from llmcp.wiring.asked import Asked

_FIRST_LOAD_S: Final = 5.0


class Assembly:
    """One daemon. `run` serves until it is told to stop."""

    def __init__(self, home: Home, settings: Settings, asked: Asked) -> None:
        self._home = home
        self._settings = settings
        self._asked = asked
        self._clock = clock = SystemClock()
        self._decision_id = DecisionIds()
        self._token = admin_token() or secrets.token_urlsafe(32)
        self._state = state = DaemonState(urls={"gateway": None, "proxy": None, "admin": None})
        self._loader = loader = Loader(home, settings, flags=asked.flags(), last_good=LastGood(home.last_good), now=clock.now)
        self._issuer = start_issuer(settings)
        self._access = watch_access(home, lambda: loader.settings, self._issuer)
        self._records = open_audit_log(settings.store, home.data)
        self._lost = LostRecords(keeper(settings.store, home.data), home, new_change=daemon_change)
        self._recorder = Recorder(
            self._records,
            time.monotonic,
            capacity=settings.record.queue,
            when_full=settings.record.when_full,
            report_lost=self._lost.report,
            bodies=keeper_of_bodies(home, settings),
        )
        self._registry = registry = Registry()
        self._ledger = LedgerPart(open_book(home, settings), lambda: loader.settings.retention, registry)
        self._settler = Settler(registry, recorder=self._recorder, state=state, loader=loader, clock=clock)
        self._pool = UpstreamPool(tls=default_tls_context(), header_bytes=settings.limits.header_bytes)
        self._gateway = self._listener(self._open_exchange, self._settler.local)
        self._daemon = Daemon(state, load=loader, swapped=self._swapped)
        self._reads = open_reads(home, settings, self._records, scopes(self._access, clock.now), clock.now)
        self._settler.watch_connections(self._gateway, self._pool)

    async def run(self) -> None:
        """Serve until told to stop."""
        loader, state, listen = self._loader, self._state, self._settings.listen
        app = AdminApp(
            state=state,
            registry=self._registry,
            listen=listen,
            token=self._token,
            status=self._status,
            reload=self._daemon.request_reload,
            stop=self._daemon.request_stop,
            reads=self._reads,
        )
        admin = self._listener(serve_handler(app), self._settler.refuse)
        watcher = Watcher(
            directories=loader.directories,
            files=loader.files,
            poll_s=lambda: loader.settings.policies.poll_s,
            changed=self._daemon.reload,
        )
        parts = (
            Listener("gateway", self._gateway, listen.host, listen.port, state),
            RecorderPart(self._recorder, self._records, self._lost),
            self._ledger,
            Listener("admin", admin, listen.host, listen.admin_port, state),
            ReadsPart(self._reads),
        )
        await asyncio.to_thread(self._access.start, wait_s=_FIRST_LOAD_S)
        await self._daemon.run(parts, watcher, self._ready)
        self._access.stop()
        self._issuer.stop()
        self._pool.close()

    def _listener(self, opened: Callable[[str], ExchangePort], local: Callable[[RequestHead], Respond | None]) -> Gateway:
        return Gateway(
            open_exchange=opened,
            pool=self._pool,
            limits=self._settings.limits,
            wall_now=wall_now,
            on_bug=self._settler.bug,
            local=local,
        )

    def _open_exchange(self, client_ip: str) -> ExchangePort:
        closed = "" if self._recorder.accepting() else "records wait for a store that does not take them"
        access = self._access.value
        if access is None:
            access, closed = NOBODY, f"who may ask cannot be told: {self._access.closed}"
        plane = self._state.plane
        if plane is None:
            plane, closed = self._loader.closed_plane, "there is no valid revision of the policies (`llmcp status` says why)"
        return Exchange(
            plane,
            decision_id=self._decision_id(),
            client_ip=client_ip,
            clock=self._clock,
            emit=self._settler.settle,
            closed=closed,
            access=access,
            fresh=self._access_in_force,
        )

    def _access_in_force(self) -> Access:
        return self._access.value or NOBODY

    def _swapped(self) -> None:
        """Take over what a load changed besides the plane."""
        settings = self._loader.settings
        file = self._home.log_file if self._asked.log_to_file else None
        configure(settings.log.level, settings.log.format, stream=sys.stderr, file=file)
        self._gateway.limits = settings.limits
        self._issuer.apply(settings)

    def _status(self) -> dict[str, object]:
        document = status_document(self._state, pid=os.getpid(), version=__version__)
        problems = [*self._state.problem_documents(), *map(problem_document, self._problems())]
        return document | {"problems": problems}

    def _problems(self) -> list[Problem]:
        """Return what is wrong with the parts; the files' problems are the state's."""
        kept, lost = self._recorder.state(), self._recorder.lost()
        said = [*self._access.problems]
        if not kept.healthy:
            said.append(f"the store takes no records ({kept.last_error}); {kept.pending} wait")
        if lost is not None:
            said.append(f"{lost.count} records since {lost.first} are lost")
        said += [f"ledger: {problem}" for problem in self._ledger.problems()]
        store = self._settings.store or "llmcp.db"
        return [*(Problem(store, 0, text) for text in said), *self._issuer.problems()]

    def _ready(self) -> None:
        """Say where the daemon is, once it listens."""
        home, state = self._home, self._state
        write_private(home.admin_token, self._token + "\n")
        write_private(home.daemon_file, json.dumps({"pid": os.getpid(), "version": __version__, **state.urls}) + "\n")
        if not self._asked.log_to_file:
            print(banner(state, [str(path) for path in self._loader.directories()]), file=sys.stderr, flush=True)
        # What was loaded lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()


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
