"""What `llmcp provider` shows: the catalog under a home's settings, prices, and whether a host answers.

Rules:
1. A probe sends no credential and no body; any HTTP answer over a verified connection is a sign of life.
"""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmcp.plugins import dialect_families
from llmcp.providers.catalog import load_catalog
from llmcp.providers.surface import CatalogSurface
from llmcp.runtime.upstream import default_tls_context
from llmcp.wiring.loading import load_prices

if TYPE_CHECKING:
    from datetime import datetime

    from llmcp.core.settings import Settings

_MTOK_PER_USD = 1_000_000


def rows(settings: Settings) -> list[dict[str, object]]:
    """Return one row per provider, those of the settings included. Raises: UsageError for one that nothing describes."""
    catalog = load_catalog()
    surface = CatalogSurface(catalog, dialect_families(), settings.providers)
    own = {name.lower().replace("_", "-"): value for name, value in settings.providers.items()}
    found: list[dict[str, object]] = []
    for name in surface.providers():
        entry = catalog.entries.get(name)
        configured = own.get(name)
        dialects = entry.dialects if entry else ((configured.dialect,) if configured else ())
        found.append(
            {
                "name": name,
                "path": entry.native if entry and entry.native else f"/{name}",
                "dialects": list(dialects),
                "auth": surface.auth(name),
                "base_url": (configured.base_url if configured else "") or (entry.base_url if entry else ""),
            }
        )
    return found


def models(settings: Settings, provider: str, now: datetime) -> list[dict[str, object]]:
    """Return the models with a price of their own, of `provider` or of all."""
    table = load_prices(settings)
    names = [provider] if provider else list(load_catalog().entries)
    return [
        {
            "provider": name,
            "model": model,
            "input_usd_per_mtok": (rate.input or 0) / _MTOK_PER_USD,
            "output_usd_per_mtok": (rate.output or 0) / _MTOK_PER_USD,
        }
        for name in names
        for model, rate in table.listed(name, now)
    ]


def probe(settings: Settings, provider: str, timeout_s: float) -> dict[str, object] | None:
    """Ask a provider's host for an answer; None where there is no such provider."""
    row = next((row for row in rows(settings) if row["name"] == provider), None)
    if row is None:
        return None
    url = str(row["base_url"])
    result: dict[str, object] = {"provider": provider, "url": url, "reachable": False, "status": 0, "said": ""}
    if "{" in url or not url:
        return result | {"said": f"its address depends on the request; set `providers.{provider}.base_url` to test one"}
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=default_tls_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    )
    try:
        connection.request("HEAD", parts.path or "/", headers={"user-agent": "llmcp"})
        status = connection.getresponse().status
    except ssl.SSLCertVerificationError as error:
        return result | {"said": f"its certificate is not trusted: {error.verify_message}"}
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return result | {"said": f"no answer: {why}"}
    finally:
        connection.close()
    return result | {"reachable": True, "status": status, "said": f"answers ({status})"}
