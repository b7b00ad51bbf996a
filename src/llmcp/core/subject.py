"""Who is asking: the subject that a token proves, and what the client says of itself.

Rules:
1. `Subject` comes from the token alone; without one it is the anonymous subject of the `default` org.
2. `ClientInfo` is hearsay: it may steer attribution and conditions that name `client.*`, never identity.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_LABELS: Mapping[str, str] = MappingProxyType({})


class Subject(msgspec.Struct, frozen=True, gc=False):
    """The authenticated caller. Every org-less caller belongs to `default`."""

    org: str = "default"
    app: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    key_id: str = ""
    agent: str = ""
    labels: Mapping[str, str] = NO_LABELS


class ClientInfo(msgspec.Struct, frozen=True, gc=False):
    """What the client says of itself: address, user agent, agent program and agent session."""

    ip: str = ""
    user_agent: str = ""
    agent: str = ""
    session: str = ""
