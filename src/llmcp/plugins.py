"""The built-in dialects, by family, as frozen maps. Adding one is one line here."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from llmcp.providers import openai_chat, openai_completions, openai_embeddings, openai_misc, openai_responses
from llmcp.providers.surface import Family

_OPENAI = (openai_chat, openai_completions, openai_responses, openai_embeddings, openai_misc)
_OTHERS = ("anthropic", "gemini", "bedrock", "cohere", "ollama")


def dialect_families() -> dict[str, Family]:
    """Return every dialect family by its name in the catalog."""
    families = {"openai": Family("openai", tuple((m.DIALECT, m.ROUTES) for m in _OPENAI))}
    for name in _OTHERS:
        if find_spec(f"llmcp.providers.{name}") is not None:
            module = import_module(f"llmcp.providers.{name}")
            families[name] = Family(name, ((module.DIALECT, module.ROUTES),))
    return families
