"""What an exchange is decided by, and what is known of it while it runs.

Rules:
1. A `Plane` is swapped whole and never changed: a request is decided by exactly one.
2. `Progress` is written by its exchange alone; settlement reads it when the exchange is over.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from llmcp.core.decide import Decision, RequestView, Verdict
from llmcp.core.messages import NO_EDITS, Observation, RequestEdits, RequestFacts
from llmcp.core.subject import NO_LABELS, ClientInfo, Subject
from llmcp.engine.heads import Heads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmcp.core.bodies import Kept
    from llmcp.core.revision import Revision
    from llmcp.core.settings import Settings
    from llmcp.engine.access import Caller
    from llmcp.engine.stream import ResponseReader
    from llmcp.ports import Endpoint, Refusal, Surface

_NO_FACTS = RequestFacts(inspected=False)
_NO_CLIENT = ClientInfo()
_ANONYMOUS = Subject()
_ALLOW = Decision(Verdict.ALLOW)


@dataclass(frozen=True, slots=True)
class Plane:
    """What one exchange is decided by: a revision and what was built with it. Swapped whole, never changed."""

    revision: Revision
    surface: Surface
    settings: Settings
    estimate_tokens: Callable[[RequestFacts], int]
    estimate_microusd: Callable[[str, str, RequestFacts, int], int]
    heads: Heads = dataclasses.field(default_factory=Heads)
    revision_header: tuple[bytes, bytes] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Word the revision's header once for all responses."""
        object.__setattr__(self, "revision_header", (b"x-llmcp-revision", self.revision.id.encode("ascii")))


class Progress(msgspec.Struct):
    """What is known of an exchange so far; settlement makes the record of it.

    `caller` is who was proven to ask; `subject` also names whose credential was refused, as far as that is known. `injected` says
    that a stored credential went upstream.
    """

    endpoint: Endpoint | None = None
    facts: RequestFacts = _NO_FACTS
    request_model: str = ""
    view: RequestView | None = None
    decision: Decision = _ALLOW
    response_decision: Decision | None = None
    client: ClientInfo = _NO_CLIENT
    subject: Subject = _ANONYMOUS
    caller: Caller | None = None
    injected: bool = False
    labels: Mapping[str, str] = NO_LABELS
    request_bytes: int = 0
    edits: RequestEdits = NO_EDITS
    refusal: Refusal | None = None
    error_type: str = ""
    status: int = 0
    attempts: int = 0
    cut: bool = False
    broken: bool = False
    started_ns: int = 0
    sent_ns: int = 0
    overhead_ns: int = 0
    reader: ResponseReader | None = None
    seen: Observation | None = None
    kept: Kept | None = None
