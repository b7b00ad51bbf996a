"""The table of `llmcp doctor`: each check with what it looks at.

Rules:
1. Everything is asked for inside the check that needs it, so that what cannot be had fails that check and no other.
2. Nothing is created: a store is opened by others only where it is there and up to date.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from contextlib import suppress
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any

from llmcp import __version__
from llmcp.config import lock
from llmcp.config.environment import current
from llmcp.config.home import find
from llmcp.config.settings import load_effective
from llmcp.control import doctor_daemon, doctor_home, doctor_ledger, doctor_machine, doctor_secrets, doctor_store
from llmcp.control.doctor import Check, examine, skip
from llmcp.errors import LlmcpError
from llmcp.providers.catalog import load_catalog
from llmcp.wiring import now
from llmcp.wiring.keeping import keeper_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from llmcp.config.home import Home
    from llmcp.config.settings import Effective
    from llmcp.control.doctor import Finding, Report
    from llmcp.core.settings import Settings
    from llmcp.ports.stores import SecretStore, StoreKeeper

_PACKAGES = ("uvloop", "httptools", "msgspec", "pydantic")


def reports(*, offline: bool) -> list[Report]:
    """Run all checks."""
    patient = _Patient(find(), offline=offline)
    found = examine(patient.checks())
    with suppress(LlmcpError):  # where settings or store are broken, nobody opened it
        patient.leave_nothing()
    return found


class _Patient:
    """One home as the checks see it. What is asked for is kept; what raises raises for each that asks."""

    def __init__(self, home: Home, *, offline: bool) -> None:
        self.home = home
        self.offline = offline
        self._had_log = any(home.data.glob("*-wal")) if home.data.is_dir() else False

    def checks(self) -> tuple[Check, ...]:
        """Return the table."""
        return (
            Check("interpreter", self._interpreter),
            Check("clock", self._clock),
            Check("environment", self._with_settings(self._environment)),
            Check("home", self._privacy),
            Check("settings", self._settings),
            Check("policies", self._with_settings(self._policies)),
            Check("store", self._with_settings(lambda: doctor_store.store(self.keeper))),
            Check(
                "store-log",
                self._with_settings(lambda: doctor_store.log_size(self.keeper.path.with_name(self.keeper.path.name + "-wal"))),
            ),
            Check("disk", self._with_settings(self._disk)),
            Check("daemon", lambda: doctor_daemon.daemon(lock.holder(self.home), self.status, __version__)),
            Check("ports", self._with_settings(self._ports)),
            Check("secrets", self._with_settings(lambda: doctor_secrets.backend(self.secrets))),
            Check("credentials", self._with_settings(self._credentials)),
            Check("tokens", self._with_settings(self._tokens)),
            Check("ledger", self._with_settings(self._ledger)),
            Check("anchors", self._with_settings(self._anchors)),
        )

    @cached_property
    def effective(self) -> Effective:
        """The settings with their origins. Raises: SettingsError."""
        return load_effective(self.home, environ=current(), providers=load_catalog().entries)

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.effective.settings

    @cached_property
    def status(self) -> dict[str, Any] | None:
        """What the daemon says."""
        from llmcp.wiring.remote import status

        return status(self.home, wait_s=0)

    @property
    def keeper(self) -> StoreKeeper:
        """What looks after the store."""
        return keeper_of(self.home, self.settings)

    @cached_property
    def secrets(self) -> SecretStore:
        """The secret store."""
        from llmcp.wiring.credentials import open_secrets

        return open_secrets(self.home, self.settings)

    def _store_is_current(self) -> bool:
        """Tell whether opening the store changes nothing."""
        keeper = self.keeper
        return keeper.version() == keeper.newest

    def _with_settings(self, run: Callable[[], Iterable[Finding]]) -> Callable[[], Iterable[Finding]]:
        """Keep one slip in the settings from being told by every check."""

        def asked() -> Iterable[Finding]:
            try:
                _ = self.effective
            except LlmcpError:
                return [skip("the settings do not load")]
            return run()

        return asked

    def _interpreter(self) -> Iterator[Finding]:
        return doctor_machine.interpreter(tuple(sys.version_info[:3]), {name: _version(name) for name in _PACKAGES})

    def _clock(self) -> Iterator[Finding]:
        return doctor_machine.clock(now(), self._newest())

    def _newest(self) -> datetime | None:
        """Return the time of the newest record, where that is easily had."""
        from datetime import datetime

        from llmcp.core.record_filter import RecordFilter
        from llmcp.core.records import parse
        from llmcp.stores import open_audit_log

        try:
            if not self._store_is_current():
                return None
            log = open_audit_log(self.settings.store, self.home.data)
            return next((datetime.fromisoformat(parse(data).time) for data in log.query(RecordFilter(limit=1))), None)
        except LlmcpError:
            return None  # for other checks to say

    def _environment(self) -> Iterator[Finding]:
        listen = self.settings.listen
        gateway = str(self.status["gateway"]) if self.status else f"http://{listen.host}:{listen.port}"
        return doctor_machine.environment(current(), gateway)

    def _privacy(self) -> Iterator[Finding]:
        home = self.home
        directories = (home.config, home.data, home.state, home.run)
        return doctor_home.privacy(directories, _files(directories), os.getuid())

    def _settings(self) -> Iterator[Finding]:
        from llmcp.control.config_keys import rows

        found = self.effective
        variables = {row["origin"] for row in rows(found.settings, found.origin) if row["origin"].startswith("LLMCP_")}
        return doctor_home.settings(self.home.settings_file, sorted(variables))

    def _policies(self) -> Iterator[Finding]:
        from llmcp.wiring.compiling import compile_policies, paths_of

        compiled = compile_policies(paths_of(self.home, self.settings), self.settings, now())
        problems = [f"{p.file}:{p.line}: {p.message}" for p in compiled.problems]
        revision = compiled.revision.id if compiled.revision is not None else ""
        return doctor_home.policies(compiled.policies, problems, revision, self.status)

    def _disk(self) -> Iterator[Finding]:
        place = self.keeper.path.parent
        while not place.exists():
            place = place.parent
        return doctor_store.disk(place, lambda path: shutil.disk_usage(path).free, self.settings.record.when_full)

    def _ports(self) -> Iterator[Finding]:
        listen = self.settings.listen
        wanted = {"gateway": listen.port, "admin": listen.admin_port}
        return doctor_daemon.ports(wanted, self.status, lambda port: _taken(listen.host, port))

    def _credentials(self) -> Iterable[Finding]:
        if not self._store_is_current():
            return [skip("the store is not there, or of another version")]
        from llmcp.control.credential_sources import resolve_all
        from llmcp.stores.sqlite.credentials import SqliteCredentials
        from llmcp.wiring.credentials import sources

        entries = [entry for entry in SqliteCredentials(self.keeper.path).entries() if entry.weight > 0]
        asked = [entry for entry in entries if not (self.offline and entry.source.startswith("aws:"))]
        here = [entry for entry in asked if entry.source.startswith("env:")]
        own = [entry for entry in asked if entry not in here]
        known = sources(self.settings.credentials)
        found, of_this_shell = (resolve_all(some, self.secrets, known).problems for some in (own, here))
        return doctor_secrets.credentials(len(entries), found, len(entries) - len(asked), of_this_shell)

    def _tokens(self) -> Iterable[Finding]:
        if not self._store_is_current():
            return [skip("the store is not there, or of another version")]
        from llmcp.core.identity import TokenState, state_of
        from llmcp.core.records import timestamp
        from llmcp.stores import open_identities

        tokens = open_identities(self.settings.store, self.home.data).tokens()
        valid = sum(state_of(token, timestamp(now())) is TokenState.VALID for token in tokens)
        return doctor_secrets.pepper(self.secrets, valid)

    def _ledger(self) -> Iterable[Finding]:
        if not self._store_is_current():
            return [skip("the store is not there, or of another version")]
        from datetime import datetime

        from llmcp.control.ledger import known_keys
        from llmcp.stores.ledger_key import verify
        from llmcp.stores.sqlite.ledger import SqliteLedger
        from llmcp.wiring.ledger import KEYS

        ledger = SqliteLedger(self.keeper.path)
        return doctor_ledger.checkpoints(
            ledger,
            known_keys(ledger.value(KEYS)),
            verify,
            every_s=self.settings.ledger.checkpoint_s,
            age_s=lambda time: (now() - datetime.fromisoformat(time)).total_seconds(),
            running=self.status is not None,
        )

    def _anchors(self) -> Iterator[Finding]:
        from llmcp.stores.anchors import open_anchor

        uris, left_out = doctor_ledger.names(self.settings.ledger.anchors, offline=self.offline)
        return doctor_ledger.anchors([open_anchor(uri, self.home.config) for uri in uris], left_out)

    def leave_nothing(self) -> None:
        """Take away the empty log that SQLite leaves where somebody only read: who writes takes it away as the last to close."""
        log = self.keeper.path.with_name(self.keeper.path.name + "-wal")
        if not self._had_log and log.exists() and self._store_is_current():
            from llmcp.stores.sqlite.file import prepare

            prepare(self.keeper.path)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _files(directories: Iterable[Path]) -> list[Path]:
    """Return what lies directly in the home's directories; policies are nobody's secret."""
    found = [path for directory in dict.fromkeys(directories) if directory.is_dir() for path in sorted(directory.iterdir())]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def _taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False
