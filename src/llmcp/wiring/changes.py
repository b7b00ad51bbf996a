"""Who changes something, and when: the circumstances that a control record tells.

Rules:
1. The operator is who the operating system says, never who a variable says.
2. Ids sort by age and are never given twice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from llmcp.wiring import now

if TYPE_CHECKING:
    from llmcp.control.change import Change

_RANDOM_BYTES: Final = 10


def change() -> Change:
    """Return the change that the operator at this command line is about to make."""
    return _change(f"local:{operator()}")


def daemon_change() -> Change:
    """Return a change that the daemon itself is about to make."""
    return _change("daemon")


def _change(actor: str) -> Change:
    from llmcp.control.change import Change

    moment = now()
    return Change(actor, moment, f"c_{int(moment.timestamp() * 1000):012x}{os.urandom(_RANDOM_BYTES).hex()}")


def operator() -> str:
    """Return the name of the operating system's user, or the number where there is no name (a container)."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
