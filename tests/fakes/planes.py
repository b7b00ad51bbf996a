"""A plane for engine tests: the real surface and dialects, and rules given as plain functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmcp.core.decide import Decision, RequestView, ResponseView, RuleHit, Verdict
from llmcp.core.settings import ProviderSettings, Settings
from llmcp.engine.access import NOBODY, Access
from llmcp.engine.exchange import Exchange
from llmcp.engine.plane import Plane
from llmcp.plugins import dialect_families
from llmcp.providers.catalog import load_catalog
from llmcp.providers.surface import CatalogSurface

if TYPE_CHECKING:
    from collections.abc import Callable

ALLOW = Decision(Verdict.ALLOW)


def deny(rule: str = "no", message: str = "not here") -> Decision:
    """Return a denial by one rule."""
    return Decision(Verdict.DENY, rules=(RuleHit("p", rule, "deny"),), message=message)


@dataclass
class Program:
    """Rules as functions. `request` may raise, to see what the exchange makes of it."""

    request: Callable[[RequestView], Decision] = lambda _view: ALLOW
    reads_inside: bool = True

    def decide_request(self, view: RequestView) -> Decision:
        """Ask the function."""
        return self.request(view)

    def needs_estimate(self, view: RequestView) -> bool:
        """Never."""
        return False


@dataclass
class ResponseProgram:
    """Response rules as functions."""

    tools: Callable[[str], bool] = lambda _name: True
    whole: Callable[[ResponseView], Decision] = lambda _view: ALLOW
    reads: frozenset[str] = frozenset()
    gates_tools: bool = True
    on_error_deny: bool = True
    keeps_bodies: bool = False

    @property
    def holds(self) -> bool:
        """Every rule here is enforced."""
        return bool(self.reads)

    def check_tool(self, name: str) -> Decision | None:
        """Ask by name."""
        return None if self.tools(name) else deny("tool", f"{name} is refused")

    def decide(self, response: ResponseView) -> Decision:
        """Ask about the whole, tools included."""
        refused = next((self.check_tool(name) for name in response.tools if not self.tools(name)), None)
        return refused or self.whole(response)

    def unreadable(self, why: str) -> Decision:
        """Refuse or pass."""
        return deny("unreadable", why) if self.on_error_deny else ALLOW


@dataclass(frozen=True)
class FakeRevision:
    """A revision with a fixed id."""

    policies: Program
    id: str = "sha256:test"


@dataclass
class StillClock:
    """A clock that a test moves."""

    ns: int = 0
    at: datetime = field(default_factory=lambda: datetime(2026, 11, 21, tzinfo=UTC))

    def now(self) -> datetime:
        """Return the fixed time."""
        return self.at

    def monotonic_ns(self) -> int:
        """Return the fixed reading."""
        return self.ns


def plane(program: Program | None = None, *, settings: Settings | None = None) -> Plane:
    """Return a plane over the built-in catalog, every provider at a loopback place."""
    chosen = settings or Settings()
    providers = {"openai": ProviderSettings(base_url="http://127.0.0.1:9"), **chosen.providers}
    return Plane(
        revision=FakeRevision(program or Program()),  # type: ignore[arg-type]
        surface=CatalogSurface(load_catalog(), dialect_families(), providers),
        settings=chosen,
        estimate_tokens=lambda facts: facts.text_bytes() // 4,
        estimate_microusd=lambda _provider, _model, _facts, tokens: tokens,
    )


def exchange(
    on: Plane, ended: list[Exchange] | None = None, *, access: Access = NOBODY, decision_id: str = "d_test", **more: Any
) -> Exchange:
    """Open an exchange; `ended` collects it when it is over."""
    collect = (ended if ended is not None else []).append
    given = {"clock": StillClock(), **more}
    return Exchange(on, decision_id=decision_id, client_ip="127.0.0.1", emit=collect, access=access, **given)
