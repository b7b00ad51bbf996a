"""The built-in dialects, by family, as frozen maps. Adding one is one line here."""

from __future__ import annotations

from llmcp.providers import (
    anthropic,
    bedrock,
    cohere,
    gemini,
    ollama,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_misc,
    openai_responses,
)
from llmcp.providers.surface import Family

_OPENAI = (openai_chat, openai_completions, openai_responses, openai_embeddings, openai_misc)
_OTHERS = {"anthropic": anthropic, "gemini": gemini, "bedrock": bedrock, "cohere": cohere, "ollama": ollama}


def dialect_families() -> dict[str, Family]:
    """Return every dialect family by its name in the catalog."""
    families = {"openai": Family("openai", tuple((module.DIALECT, module.ROUTES) for module in _OPENAI))}
    return families | {name: Family(name, ((module.DIALECT, module.ROUTES),)) for name, module in _OTHERS.items()}
