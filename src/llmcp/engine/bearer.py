"""Who an exchange's bearer is: proven when the head has come, and again when the body has.

Rules:
1. Whoever presents to llmcp what proves nothing is refused; whoever presents nothing to it stays anonymous.
2. Between a head and its body there may be a revocation, an expiry, another snapshot: what was proven is proven again, and the
   snapshot of that moment is the one that serves the request.
3. What headers proved is remembered with them, for one snapshot; expiry is looked at every time.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from llmcp.engine.access import Rejected, is_good
from llmcp.engine.credentials import claim_of
from llmcp.ports import RefusalKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from llmcp.engine.access import Access
    from llmcp.engine.checks import Wrong
    from llmcp.engine.credentials import Claim
    from llmcp.engine.heads import HeadFacts
    from llmcp.engine.plane import Progress
    from llmcp.ports import Clock


class Bearer:
    """The bearer of one exchange. `access` is the snapshot in force for it; `fresh` returns the one of a later moment."""

    __slots__ = ("_claims", "_fresh", "access")

    def __init__(self, access: Access, fresh: Callable[[], Access] | None) -> None:
        self.access = access
        self._fresh = fresh
        self._claims: tuple[Claim, ...] = ()

    def identify(self, progress: Progress, said: HeadFacts, now: datetime) -> Wrong | None:
        """Find out who asks, and take a credential of ours out of the target; say why they are refused, or None."""
        claims, endpoint = said.shown.claims, progress.endpoint
        if endpoint is not None and endpoint.credential:
            in_target = claim_of(endpoint.credential)
            if in_target is not None:
                claims = (*claims, in_target)
                if self.access.is_ours(in_target):
                    progress.endpoint = dataclasses.replace(endpoint, credential="")
        self._claims = claims
        return self._prove(progress, said, now) if claims else None

    def identify_anew(self, progress: Progress, said: HeadFacts, clock: Clock) -> Wrong | None:
        """Say why somebody whom the head proved is not proven any more, now that the body has come; or None."""
        caller = progress.caller
        if caller is None:
            return None
        access = self.access if self._fresh is None else self._fresh()
        if access.mark is self.access.mark and (caller.until is None or is_good(caller, clock.now())):
            return None
        self.access = access
        progress.caller = None
        wrong = self._prove(progress, said, clock.now())
        if wrong is None and progress.caller is None:
            # What was a token of ours is nobody's now, and must not pass for a key of the client's own.
            wrong = RefusalKind.UNAUTHENTICATED, "this token proves nothing here any more"
        return wrong

    def _prove(self, progress: Progress, said: HeadFacts, now: datetime) -> Wrong | None:
        """Find out whom the claims prove; None where they prove somebody, or are none of llmcp's."""
        claims, mark, proof = self._claims, self.access.mark, said.proof
        of_head = claims is said.shown.claims
        if proof is not None and proof[0] is mark and of_head and is_good(proof[1], now):
            caller = proof[1]
        else:
            found = self.access.identify(claims, now)
            if found is None:
                return None
            if isinstance(found, Rejected):
                progress.subject = found.subject
                progress.error_type = found.error_type
                return RefusalKind.UNAVAILABLE if found.again else RefusalKind.UNAUTHENTICATED, found.why
            caller = found
            if len(claims) == 1 and claims[0].virtual and of_head:
                said.proof = (mark, caller)
        progress.caller = caller
        progress.subject = caller.subject
        return None
