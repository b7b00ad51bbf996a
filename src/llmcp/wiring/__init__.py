"""The only package that names real adapters: what the command line asks for, put together.

Rules:
1. Importing this module loads nothing heavy; each function imports what it wires.
2. Nothing below knows which adapter it was given.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from llmcp.config.home import Home
    from llmcp.control.policies import LoadResult
    from llmcp.core.decide import PolicyProgram
    from llmcp.core.settings import Settings
    from llmcp.ports.stores import UsageLog


def home() -> Home:
    """Return the home that the environment names. Creates nothing."""
    from llmcp.config.home import find

    return find()


def load_settings(of: Home) -> Settings:
    """Return the settings of a home, environment included. Raises: SettingsError."""
    from llmcp.wiring.settings import read_settings

    return read_settings(of, ())


def policy_directories(of: Home, settings: Settings) -> tuple[Path, ...]:
    """Return the directories that policies are read from; relative ones are the home's."""
    if not settings.policies.paths:
        return (of.policies,)
    return tuple(of.config / Path(path).expanduser() for path in settings.policies.paths)


def load_policies(paths: Sequence[Path] = ()) -> LoadResult:
    """Read and check policies: those at `paths`, else those of the project's `llmcp.yaml` here, else the home's."""
    from llmcp.config import project
    from llmcp.wiring import compiling

    the_home = home()
    settings = load_settings(the_home)
    if not paths:
        said = project.read(Path.cwd(), home_file=the_home.settings_file)
        for note in said.notes:
            print(note, file=sys.stderr)
        paths = said.policies or compiling.paths_of(the_home, settings)
    return compiling.read_policies(paths, settings, now())


def policy_program(loaded: LoadResult) -> PolicyProgram:
    """Compile policies that loaded without an error."""
    from llmcp.engine.revision_builder import build_revision
    from llmcp.wiring import compiling

    return build_revision(loaded.policies, "", compiling.vocabulary(load_settings(home()))).policies


@contextmanager
def store(of: Home | None = None) -> Iterator[Any]:
    """Open the audit log of a home. Raises: UnreachableError where it cannot be opened."""
    from llmcp.stores import open_audit_log
    from llmcp.wiring.keeping import refuse_upgrade_in_use

    the_home = of or home()
    settings = load_settings(the_home)
    refuse_upgrade_in_use(the_home, settings)
    log = open_audit_log(settings.store, the_home.data)
    try:
        yield log
    finally:
        log.close()


def usage_log(of: Home | None = None) -> UsageLog:
    """Open the usage rollups of a home. Raises: UnreachableError where the store cannot be opened."""
    from llmcp.stores import open_usage_log
    from llmcp.wiring.keeping import refuse_upgrade_in_use

    the_home = of or home()
    settings = load_settings(the_home)
    refuse_upgrade_in_use(the_home, settings)
    return open_usage_log(settings.store, the_home.data)


def now() -> datetime:
    """Return the wall clock, in UTC."""
    from datetime import UTC, datetime

    return datetime.now(UTC)


def sleep(seconds: float) -> None:
    """Wait, for verbs that poll."""
    import time

    time.sleep(seconds)


def provider_rows() -> list[dict[str, Any]]:
    """Return one row a provider: name, gateway path, dialects, credential form, base URL."""
    from llmcp.wiring import providers

    return providers.rows(load_settings(home()))


def model_rows(provider: str) -> list[dict[str, Any]]:
    """Return the models with a price; of one provider, or of all with ''."""
    from llmcp.wiring import providers

    return providers.models(load_settings(home()), provider, now())


def probe_provider(provider: str, *, timeout_s: float) -> dict[str, Any] | None:
    """Ask a provider's host for a sign of life; None where there is no such provider."""
    from llmcp.wiring import providers

    return providers.probe(load_settings(home()), provider, timeout_s=timeout_s)


def daemon_status(of: Home, *, wait_s: float = 0.0) -> dict[str, Any] | None:
    """Return the contract's status object of the home's daemon; None where none answers within `wait_s` seconds."""
    from llmcp.wiring.remote import status

    return status(of, wait_s=wait_s)


def reload_daemon(of: Home) -> dict[str, Any]:
    """Let the daemon load its files; return the status after it. Raises: UnreachableError."""
    from llmcp.wiring.remote import reload

    return reload(of)


def stop_daemon(of: Home, *, timeout_s: float) -> int:
    """Stop the daemon and wait for its end; return its process id. Raises: UnreachableError."""
    from llmcp.wiring.remote import stop

    return stop(of, timeout_s=timeout_s)


def serve(  # noqa: PLR0913 - what the command line takes
    *,
    host: str | None = None,
    port: int | None = None,
    admin_port: int | None = None,
    policies: Sequence[Path] = (),
    detach: bool = False,
    insecure: bool = False,
    log_to_file: bool = False,
) -> int:
    """Run the daemon until it is told to stop (or start one and return, with `detach`); return the exit code."""
    from llmcp.wiring.asked import Asked

    asked = Asked(host, port, admin_port, tuple(policies), insecure, log_to_file)
    if detach:
        from llmcp.wiring.detached import start

        return start(home(), asked)
    from llmcp.wiring.serving import serve as serve_here

    return serve_here(home(), asked)
