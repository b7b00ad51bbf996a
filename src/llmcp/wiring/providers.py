"""What `llmcp provider` shows: the catalog as it stands with a home's settings, the price table, a sign of life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmcp.plugins import dialect_families
from llmcp.providers.catalog import load_catalog
from llmcp.providers.surface import CatalogSurface
from llmcp.wiring.loading import load_prices

if TYPE_CHECKING:
    from datetime import datetime

    from llmcp.core.settings import Settings


def rows(settings: Settings) -> list[dict[str, Any]]:
    """Return one row a provider, in the catalog's order."""
    surface = CatalogSurface(load_catalog(), dialect_families(), settings.providers)
    return [surface.describe(name) for name in surface.providers()]


def models(settings: Settings, provider: str, at: datetime) -> list[dict[str, Any]]:
    """Return the models with a price at `at`; of one provider, or of all with ''. Prices are USD per million tokens."""
    surface = CatalogSurface(load_catalog(), dialect_families(), settings.providers)
    prices = load_prices(settings)
    found: list[dict[str, Any]] = []
    for name in surface.providers():
        if provider in {"", name}:
            found.extend(
                {
                    "provider": name,
                    "model": model,
                    "input_usd_per_mtok": _usd(rate.input),
                    "output_usd_per_mtok": _usd(rate.output),
                }
                for model, rate in prices.models(surface.price_id(name), at)
            )
    return found


def _usd(pico: int | None) -> str:
    """Write pico-USD per token (micro-USD per million) as USD per million tokens."""
    return f"{(pico or 0) / 1_000_000:.6f}".rstrip("0").rstrip(".")


def probe(settings: Settings, provider: str, *, timeout_s: float) -> dict[str, Any] | None:
    """Send a HEAD without a credential to the provider's base URL; None where there is no such provider."""
    import httpx

    url = next((str(row["base_url"]) for row in rows(settings) if row["name"] == provider), None)
    if url is None:
        return None
    result: dict[str, Any] = {"provider": provider, "url": url, "reachable": False, "status": 0, "said": ""}
    if not url or "{" in url:
        return result | {"said": "its address is not known: set a `base_url`, or it depends on the request"}
    try:
        answer = httpx.head(url, timeout=timeout_s, follow_redirects=False)
    except httpx.HTTPError as error:
        return result | {"said": f"no answer ({type(error).__name__}: {error})"}
    return result | {"reachable": True, "status": answer.status_code, "said": f"answers (HTTP {answer.status_code})"}
