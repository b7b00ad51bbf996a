"""Who changes something from this command line, and when."""

from __future__ import annotations

import getpass
import os

from llmcp.control.change import Change
from llmcp.wiring import now


def change() -> Change:
    """Return the change that this process is about to make, with an id of its own."""
    return Change(f"local:{_user()}", now(), f"c_{os.urandom(16).hex()}")


def daemon_change() -> Change:
    """Return a change that the daemon itself is about to make."""
    return Change("daemon", now(), f"c_{os.urandom(16).hex()}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # A container may run under a number that has no name.
        return str(os.getuid())
