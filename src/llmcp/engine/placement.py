"""Where a request goes and what is asked about it: the provider of a unified path, the view that rules read, the rules.

Rules:
1. On a unified path the model's name picks the provider; without a virtual key, the client's own key must be that provider's.
2. A request that names further models (to fall back on, for its tools) must pass the rules with each of them.
3. Estimates are made only where a rule in scope reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from llmcp.core.decide import Decision, RequestView, Verdict
from llmcp.engine.joined_rules import join_rules
from llmcp.engine.upstream_headers import own_headers
from llmcp.errors import WrongStateError
from llmcp.ports import Endpoint, Refusal, RefusalKind

if TYPE_CHECKING:
    from datetime import datetime

    from llmcp.core.http import Headers
    from llmcp.engine.access import Access
    from llmcp.engine.checks import Wrong
    from llmcp.engine.heads import HeadFacts
    from llmcp.engine.plane import Plane, Progress


def place(plane: Plane, access: Access, progress: Progress, said: HeadFacts, headers: Headers) -> Endpoint | Wrong:
    """Choose the provider of a unified path, and hold the client's own key to it."""
    surface, caller, endpoint = plane.surface, progress.caller, _endpoint(progress)
    if caller is not None:
        key_provider = _further_key_provider(plane, access, said)
    elif (known := said.key_provider) is not None:
        key_provider = known
    else:
        key_provider = said.key_provider = surface.key_provider(headers)
    placed = surface.place(endpoint, progress.facts.model, key_provider)
    if isinstance(placed, Refusal):
        return placed.kind, placed.message
    if caller is None and placed.provider != key_provider and (said.shown.any or not surface.keyless(placed.provider)):
        progress.endpoint = placed
        whose = f"the key on this request is {key_provider}'s" if key_provider else "no key on this request says whose it is"
        why = (
            f"this model belongs to {placed.provider} and {whose}; a key passes only to its own provider: "
            f"use the path `/{placed.provider}` or a key of {placed.provider}"
        )
        return RefusalKind.UNAUTHENTICATED, why
    return placed


def _further_key_provider(plane: Plane, access: Access, said: HeadFacts) -> str:
    """Name the provider of a key that a proven caller shows besides: only where there is no stored one can it count."""
    shown = said.shown
    if len(shown.claims) == 1 and not shown.several and shown.claims[0].header[0] != b"proxy-authorization":
        return ""
    return plane.surface.key_provider(own_headers(said.whole_headers, access, said))


def view_of(plane: Plane, progress: Progress, now: datetime) -> RequestView:
    """Return what rules may read of the request."""
    facts, endpoint = progress.facts, _endpoint(progress)
    provider, model = endpoint.provider, facts.model
    view = RequestView(
        facts=facts,
        provider=provider,
        operation=endpoint.operation,
        subject=progress.subject,
        client=progress.client,
        labels=progress.labels,
        now=now,
        canonical_model=plane.surface.canonical_model(provider, model) if model else "",
    )
    if plane.revision.policies.needs_estimate(view):
        view.input_tokens = plane.estimate_tokens(facts)
        view.estimated_microusd = plane.estimate_microusd(provider, model, facts, view.input_tokens)
    return view


def ask_rules(plane: Plane, view: RequestView) -> Decision:
    """Ask every request rule, about each model that the request names."""
    program = plane.revision.policies
    decision = program.decide_request(view)
    for model in view.facts.fallback_models:
        if decision.verdict is not Verdict.ALLOW:
            break
        other = structs.replace(
            view,
            facts=structs.replace(view.facts, model=model, fallback_models=()),
            canonical_model=plane.surface.canonical_model(view.provider, model),
        )
        second = program.decide_request(other)
        if second.verdict is Verdict.ALLOW:
            decision = structs.replace(decision, response=join_rules((decision.response, second.response)))
        else:
            decision = second
    return decision


def _endpoint(progress: Progress) -> Endpoint:
    if progress.endpoint is None:
        raise WrongStateError("a request was placed before its head was read")
    return progress.endpoint
