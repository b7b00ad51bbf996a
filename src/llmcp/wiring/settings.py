"""Reads a home's settings with what the catalog knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.config.environment import current
from llmcp.config.settings import Flag, load
from llmcp.providers.catalog import load_catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmcp.config.home import Home
    from llmcp.core.settings import Settings

__all__ = ["Flag", "read_settings"]


def read_settings(home: Home, flags: Sequence[Flag]) -> Settings:
    """Return the settings of `home`. Raises: SettingsError."""
    return load(home, environ=current(), flags=flags, providers=load_catalog().entries)
