"""The revision: the one immutable value that the control plane publishes and the runtime enforces.

Rules:
1. `id` is the hash of the content: the same policies and settings give the same id on every machine.
2. `number` counts publications and is nobody's content; it does not enter the id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmcp.core.decide import PolicyProgram
    from llmcp.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Revision:
    """What is enforced. `id` is `sha256:` and the first 16 hex digits of the content's hash; `digest` all 64."""

    id: str
    digest: str
    policies: PolicyProgram
    sources: tuple[Policy, ...]
    number: int = 0
