"""The effects that rules may have, one file each, and the table that names them.

Rules:
1. An effect adds to a `Tally` and touches nothing else; the order of rules is its caller's.
2. A new effect is one file and one line of `BUILT`; its name leaves `UNBUILT`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from llmcp.effects.allow import AllowEffect
from llmcp.effects.deny import DenyEffect
from llmcp.effects.record import RecordEffect
from llmcp.effects.set import SetEffect
from llmcp.effects.tools import ToolsEffect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmcp.ports import Effect

_EFFECTS: tuple[Effect, ...] = (AllowEffect(), DenyEffect(), SetEffect(), ToolsEffect(), RecordEffect())

BUILT: Mapping[str, Effect] = MappingProxyType({effect.name: effect for effect in _EFFECTS})

UNBUILT: Mapping[str, str] = MappingProxyType(
    {
        "redact": "refuse with `deny` where a condition can tell",
        "limit": "cap single requests with `set: {max_tokens: …}`",
        "route": "",
        "cache": "",
        "hold": "refuse with `deny` until it is built",
    }
)
