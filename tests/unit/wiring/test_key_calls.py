"""The call that tries a key: every provider of the catalog has one that the gateway's own surface can place."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from llmcp.core.http import RequestHead
from llmcp.plugins import dialect_families
from llmcp.ports import Endpoint
from llmcp.providers.catalog import load_catalog
from llmcp.providers.surface import CatalogSurface

CATALOG = load_catalog()
TAKING_KEYS = [entry.name for entry in CATALOG.entries.values() if entry.auth != "none" and entry.base_url]


@pytest.mark.parametrize("name", TAKING_KEYS)
def test_the_call_goes_to_the_providers_own_host_and_nowhere_else(name: str) -> None:
    """Below its base URL, with no place left open."""
    surface = CatalogSurface(CATALOG, dialect_families(), {})
    entry = CATALOG.entries[name]
    prefix = "/azure/mine" if entry.host == "azure" else f"/{name}"
    endpoint = surface.resolve(RequestHead("GET", prefix + entry.check, ()))
    assert isinstance(endpoint, Endpoint)
    assert endpoint.provider == name
    base = entry.base_url.replace("{resource}", "mine").replace("{region}", "us-east-1").replace("{location}", "")
    origin = surface.upstream(endpoint).origin
    assert (origin.scheme, origin.host) == (urlsplit(base).scheme, urlsplit(base).hostname)
    assert "{" not in endpoint.target
    assert endpoint.target.startswith("/")
