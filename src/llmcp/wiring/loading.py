"""Files into a plane: settings, policies, surface and prices, read anew each time the daemon is asked to.

Rules:
1. Nothing is put in force unless all of it loads; what is wrong comes back as problems with file and line.
2. From at least one policy to none is an error unless `policies.allow_empty`, also across a restart.
3. At the first load broken policies are answered with the last good ones, if a copy of them was kept.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property
from importlib import resources
from operator import attrgetter
from typing import TYPE_CHECKING

from llmcp.config.document import SettingsError
from llmcp.core.estimate import input_tokens
from llmcp.core.pricing import PriceTable
from llmcp.engine.plane import Plane
from llmcp.engine.revision_builder import build_revision
from llmcp.errors import LlmcpError
from llmcp.plugins import dialect_families
from llmcp.providers.catalog import load_catalog
from llmcp.providers.surface import CatalogSurface
from llmcp.runtime.state import Loaded, Problem
from llmcp.wiring import policy_directories
from llmcp.wiring.compiling import compile_policies, files_of, paths_of, vocabulary
from llmcp.wiring.settings import Flag, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from llmcp.config.home import Home
    from llmcp.core.messages import RequestFacts
    from llmcp.core.settings import Settings
    from llmcp.wiring.compiling import Compiled
    from llmcp.wiring.last_good import LastGood

log = logging.getLogger("llmcp.loading")

# What a request that does not say how much it wants is taken to want: a price rule must not be passed by saying nothing.
_UNSAID_OUTPUT = 4096
_RESTART = ("listen", "store", "counters", "record.queue", "record.when_full")


class Loader:
    """Called by the daemon in a thread, one call at a time. `settings` are those of the last load that succeeded."""

    def __init__(
        self, home: Home, settings: Settings, *, flags: Sequence[Flag], last_good: LastGood, now: Callable[[], datetime]
    ) -> None:
        self.settings = settings
        self.prices = load_prices(settings)
        self._started_with = settings
        self._home = home
        self._flags = tuple(flags)
        self._last_good = last_good
        self._now = now
        self._catalog = load_catalog()
        self._families = dialect_families()
        self._policies: int | None = None

    def directories(self) -> tuple[Path, ...]:
        """Return the directories that policies are read from."""
        return policy_directories(self._home, self.settings)

    def files(self) -> list[Path]:
        """Return the files whose content counts: the policies as they are now, and the settings."""
        return [*files_of(self._home, self.settings), self._home.settings_file]

    def __call__(self) -> Loaded:
        """Load once."""
        first = self._policies is None
        try:
            settings = read_settings(self._home, self._flags)
            surface = self._surface(settings)
        except LlmcpError as error:
            return Loaded(None, (self._settings_problem(error),))
        compiled = compile_policies(paths_of(self._home, settings), settings, self._now())
        problems = compiled.problems
        if not problems and not compiled.policies and not settings.policies.allow_empty and self._had_policies():
            problems = (self._emptied(settings),)
        if problems or compiled.revision is None:
            return self._fall_back(settings, surface, problems) if first else Loaded(None, problems)
        self._accept(settings)
        self._policies = compiled.policies
        self._keep(compiled)
        return Loaded(self._plane(settings, surface, compiled), (), compiled.policies)

    def _fall_back(self, settings: Settings, surface: CatalogSurface, problems: tuple[Problem, ...]) -> Loaded:
        kept = self._last_good.directory()
        if kept is None:
            return Loaded(None, problems)
        compiled = compile_policies((kept,), settings, self._now())
        if compiled.revision is None or compiled.problems or not compiled.policies:
            return Loaded(None, problems)
        self._accept(settings)
        self._policies = compiled.policies
        return Loaded(self._plane(settings, surface, compiled), problems, compiled.policies, stale=True)

    def _plane(self, settings: Settings, surface: CatalogSurface, compiled: Compiled) -> Plane:
        if compiled.revision is None:
            raise ValueError("a plane needs a revision")
        prices, now = self.prices, self._now

        def estimate_microusd(provider: str, model: str, facts: RequestFacts, tokens: int) -> int:
            return prices.estimate(provider, model, tokens, facts.max_tokens or _UNSAID_OUTPUT, now()).cost_microusd

        return Plane(compiled.revision, surface, settings, input_tokens, estimate_microusd)

    @cached_property
    def closed_plane(self) -> Plane:
        """What exchanges are refused by while there is no revision: it knows the paths, so that each dialect is answered."""
        settings = self._started_with
        nothing = replace(build_revision((), "", vocabulary(settings)), id="none")
        return Plane(nothing, self._surface(settings), settings, input_tokens, lambda *_: 0)

    def _surface(self, settings: Settings) -> CatalogSurface:
        return CatalogSurface(self._catalog, self._families, settings.providers)

    def _accept(self, settings: Settings) -> None:
        changed = [name for name in _RESTART if attrgetter(name)(settings) != attrgetter(name)(self._started_with)]
        if changed and settings != self.settings:
            log.warning("settings_need_restart", extra={"fields": {"sections": changed}})
        if settings.pricing != self.settings.pricing:
            self.prices = load_prices(settings)
        self.settings = settings

    def _had_policies(self) -> bool:
        return bool(self._policies) if self._policies is not None else self._last_good.policies() > 0

    def _emptied(self, settings: Settings) -> Problem:
        directory = policy_directories(self._home, settings)[0]
        why = "P401: no policy is left; set `policies.allow_empty` if that is meant"
        return Problem(str(directory), 1, why)

    def _keep(self, compiled: Compiled) -> None:
        if compiled.revision is None:
            return
        try:
            self._last_good.save(compiled.revision.id, compiled.texts.values(), compiled.policies)
        except OSError as error:
            log.warning("last_good_not_kept", extra={"fields": {"why": error.strerror or type(error).__name__}})

    def _settings_problem(self, error: LlmcpError) -> Problem:
        line = error.line if isinstance(error, SettingsError) else 0
        what = error.what.rpartition(f"{self._home.settings_file}:")[2].lstrip("0123456789: ")
        return Problem(str(self._home.settings_file), line, f"{what}: {error.why}" if error.why else what)


def load_prices(settings: Settings) -> PriceTable:
    """Read the price table that ships with llmcp."""
    return PriceTable.load(
        resources.files("llmcp.data").joinpath("prices.json").read_bytes(),
        default_input=settings.pricing.default_input_microusd_per_mtok,
        default_output=settings.pricing.default_output_microusd_per_mtok,
    )
