"""A stored credential goes only to its own provider's configured hosts, whatever a client's path says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.core.http import RequestHead
from llmcp.core.settings import ProviderSettings
from llmcp.plugins import dialect_families
from llmcp.ports import Endpoint
from llmcp.providers.catalog import load_catalog
from llmcp.providers.surface import CatalogSurface

CATALOG = load_catalog()
HOSTS = {
    "azure": r"(mine)\.(openai|services\.ai)\.azure\.com",
    "vertex": r"([a-z0-9-]+-)?aiplatform\.googleapis\.com",
    "bedrock": r"bedrock-runtime\.eu-central-1\.amazonaws\.com",
    "bedrock-mantle": r"bedrock-mantle\.eu-central-1\.api\.aws",
    "snowflake": r"acct\.snowflakecomputing\.com",
}
SETTINGS = {
    "bedrock": ProviderSettings(region="eu-central-1"),
    "bedrock-mantle": ProviderSettings(region="eu-central-1"),
    "snowflake": ProviderSettings(base_url="https://acct.snowflakecomputing.com"),
}
SURFACE = CatalogSurface(CATALOG, dialect_families(), SETTINGS)
_PIECES = st.sampled_from(
    ("mine", "evil", "evil.example", "evil.example%2f", "mine.evil", "@evil.example", "mine@evil.example", "v1", "openai", "models",
     "anthropic", "projects", "p", "locations", "us-east1", "global", "evil.example:443", "locations/evil", "chat", "completions",
     "messages", "%40", "x#y", "..", "%2e%2e", "{resource}", "{location}")
)  # fmt: skip


def expected(provider: str) -> str:
    """Return the pattern of the hosts that may see the provider's credential."""
    return HOSTS.get(provider) or re.escape(CATALOG.entries[provider].base_url.split("/")[2].split(":")[0])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(CATALOG.entries)), st.lists(_PIECES, max_size=7), st.sampled_from(("", "?x=@evil.example", "?key=k"))
)
def test_no_path_takes_a_stored_credential_to_another_host(provider, pieces, query) -> None:
    """Over every provider of the catalog and hostile paths: refused, without credential, or at the provider's own host."""
    endpoint = SURFACE.resolve(RequestHead("POST", f"/{provider}/" + "/".join(pieces) + query, ()))
    if not isinstance(endpoint, Endpoint) or not SURFACE.may_receive(endpoint, ("mine",) if provider == "azure" else ()):
        return
    assert endpoint.provider == provider
    origin = SURFACE.upstream(endpoint).origin
    assert re.fullmatch(expected(provider), origin.host), origin
    assert origin.scheme == ("http" if CATALOG.entries[provider].auth == "none" else "https")
    assert endpoint.target.startswith("/")


@pytest.mark.parametrize(("resources", "may"), [((), False), (("other",), False), (("mine", "other"), True)])
def test_azure_needs_the_resource_by_name(resources, may) -> None:
    """Anybody may own a resource; only those of the entry are trusted."""
    endpoint = SURFACE.resolve(RequestHead("POST", "/azure/mine/openai/v1/responses", ()))
    assert isinstance(endpoint, Endpoint)
    assert SURFACE.may_receive(endpoint, resources) is may


def test_a_base_url_of_the_settings_is_trusted() -> None:
    """The operator named the host; the client's path then chooses nothing."""
    placed = CatalogSurface(CATALOG, dialect_families(), {"azure": ProviderSettings(base_url="https://proxy.example")})
    endpoint = placed.resolve(RequestHead("POST", "/azure/evil/openai/v1/responses", ()))
    assert isinstance(endpoint, Endpoint)
    assert placed.may_receive(endpoint, ())
    assert placed.upstream(endpoint).origin.host == "proxy.example"


def test_resources_may_narrow_vertex_locations() -> None:
    """Without them every location of Google's is trusted."""
    endpoint = SURFACE.resolve(
        RequestHead("POST", "/vertex/v1/projects/p/locations/us-east1/publishers/google/models/m:predict", ())
    )
    assert isinstance(endpoint, Endpoint)
    assert SURFACE.may_receive(endpoint, ())
    assert SURFACE.may_receive(endpoint, ("us-east1",))
    assert not SURFACE.may_receive(endpoint, ("europe-west4",))


@pytest.mark.parametrize("provider", sorted(name for name, entry in CATALOG.entries.items() if entry.base_url))
def test_every_form_of_the_catalog_is_known(provider) -> None:
    """One credential header, or none for a local server."""
    resource = "/mine" if provider == "azure" else ""
    endpoint = SURFACE.resolve(RequestHead("POST", f"/{provider}{resource}/v1/chat/completions", ()))
    assert isinstance(endpoint, Endpoint)
    made = SURFACE.authorize(endpoint, (), "k" * 20)
    assert made is not None
    assert len(made) == (0 if CATALOG.entries[provider].auth == "none" else 1)


def test_an_anthropic_server_of_the_settings_gets_anthropics_form() -> None:
    """A provider of one's own takes its credential as its dialect's clients send theirs."""
    own = {"mine": ProviderSettings(base_url="https://m.example", dialect="anthropic"), "other": ProviderSettings(base_url="https://o.example", dialect="openai")}  # fmt: skip
    made = CatalogSurface(CATALOG, dialect_families(), own)
    assert (made.auth("mine"), made.auth("other")) == ("x-api-key", "bearer")
