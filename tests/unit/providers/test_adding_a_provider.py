"""What docs/adding-a-provider.md promises: one catalog entry, and requests to the new provider are governed."""

from __future__ import annotations

import json
import re
from pathlib import Path

from llmcp.core.http import Origin, RequestHead
from llmcp.core.messages import Observation
from llmcp.engine.framing import framer_for, sniff
from llmcp.plugins import dialect_families
from llmcp.ports import Endpoint
from llmcp.providers.catalog import load_catalog, parse_catalog
from llmcp.providers.surface import CatalogSurface

PAGE = Path(__file__).resolve().parents[3] / "docs" / "adding-a-provider.md"


def entry() -> str:
    """Return the page's example entry."""
    found = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_one_catalog_entry_adds_a_provider() -> None:
    """The entry on the page, driven from the request target to the usage of a streamed answer."""
    catalog = load_catalog().with_entries(parse_catalog(entry()).entries.values())
    surface = CatalogSurface(catalog, dialect_families(), {})
    head = RequestHead("POST", "/acme/v1/chat/completions", ((b"authorization", b"Bearer " + b"acme-" + b"x"),))
    endpoint = surface.resolve(head)
    assert isinstance(endpoint, Endpoint)
    assert endpoint.target == "/llm/v1/chat/completions"
    assert surface.upstream(endpoint).origin == Origin("https", "api.acme.example", 443)
    assert surface.key_provider(head.headers) == "acme"
    body = json.dumps({"model": "acme-large", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    facts = endpoint.dialect.read_request(endpoint, body)
    assert (facts.model, facts.stream, facts.texts[0].text) == ("acme-large", True, "hi")
    answer = b'data: {"model":"acme-large-1","choices":[{"index":0,"delta":{"content":"yo"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
    seen = Observation()
    framer = framer_for(sniff(b"text/event-stream", answer, facts.stream))
    for frame in framer.feed(answer) + framer.close():
        endpoint.dialect.read_event(endpoint, frame, seen)
    assert (seen.model, seen.usage.input_tokens, seen.finish_reasons) == ("acme-large-1", 3, {0: "stop"})


def test_the_new_provider_is_found_by_its_models_on_unified_paths() -> None:
    """The entry's `models`."""
    surface = CatalogSurface(load_catalog().with_entries(parse_catalog(entry()).entries.values()), dialect_families(), {})
    unified = surface.resolve(RequestHead("POST", "/v1/chat/completions", ()))
    assert isinstance(unified, Endpoint)
    placed = surface.place(unified, "acme-large", "")
    assert isinstance(placed, Endpoint)
    assert (placed.provider, placed.target) == ("acme", "/llm/v1/chat/completions")


def test_the_page_explains_every_key_of_an_entry() -> None:
    """No key without its meaning."""
    page = PAGE.read_text(encoding="utf-8")
    header = (
        (Path(__file__).resolve().parents[3] / "src/llmcp/providers/catalog.toml").read_text(encoding="utf-8").split("\n[")[0]
    )
    for key in (
        "base_url",
        "api_path",
        "dialects",
        "auth",
        "keys",
        "models",
        "price_id",
        "host",
        "aggregator",
        "native",
        "verbatim",
        "unified",
        "anthropic_base",
    ):
        assert f"`{key}`" in page
        assert f"# {key} " in header
