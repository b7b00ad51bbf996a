"""The catalog: every provider of the contract, keys, model names, canonical ids."""

from __future__ import annotations

import pytest

from llmcp.core.http import Origin
from llmcp.core.settings import ProviderSettings
from llmcp.providers.catalog import load_catalog
from llmcp.providers.surface import _origin

CATALOG = load_catalog()


@pytest.mark.parametrize(
    "name",
    [
        "openai",
        "anthropic",
        "gemini",
        "azure",
        "bedrock",
        "vertex",
        "cohere",
        "mistral",
        "groq",
        "openrouter",
        "together",
        "deepseek",
        "xai",
        "fireworks",
        "perplexity",
        "ollama",
        "vllm",
        "lmstudio",
        "cerebras",
        "zai",
        "huggingface",
        "alibaba",
        "moonshot",
        "avian",
        "crusoe",
        "snowflake",
        "vercel",
        "codex",
    ],
)
def test_every_provider_of_the_contract_is_there(name: str) -> None:
    """One prefix each."""
    assert CATALOG.entries[name].name == name


@pytest.mark.parametrize("entry", list(CATALOG.entries.values()), ids=lambda e: e.name)
def test_every_entry_is_sound(entry: object) -> None:
    """Known dialects and auth forms; base URLs that the settings' own rules accept."""
    assert set(entry.dialects) <= {"openai", "anthropic", "gemini", "bedrock", "cohere", "ollama"}  # type: ignore[attr-defined]
    assert entry.auth in {"bearer", "x-api-key", "api-key", "x-goog-api-key", "sigv4", "none"}  # type: ignore[attr-defined]
    assert entry.host in {"fixed", "azure", "vertex"}  # type: ignore[attr-defined]
    url = entry.base_url.replace("{region}", "r").replace("{resource}", "x").replace("{location}", "l-")  # type: ignore[attr-defined]
    assert ProviderSettings(base_url=url).base_url == url
    assert not entry.api_path.endswith("/")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("key", "provider"),
    [
        ("sk-" + "x" * 20, "openai"),
        ("sk-proj-" + "x" * 20, "openai"),
        ("sk-svcacct-" + "x" * 20, "openai"),
        ("sk-ant-" + "api03-x", "anthropic"),
        ("sk-or-" + "v1-x", "openrouter"),
        ("gsk_" + "x", "groq"),
        ("xai-" + "x", "xai"),
        ("AIza" + "x", "gemini"),
        ("pplx-" + "x", "perplexity"),
        ("hf_" + "x", "huggingface"),
        ("llmcp_" + "x", ""),
        ("", ""),
    ],
)
def test_a_keys_form_names_its_provider(key: str, provider: str) -> None:
    """The longest beginning wins."""
    assert CATALOG.key_provider(key) == provider


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", "openai"),
        ("GPT-5-mini", "openai"),
        ("o3-mini", "openai"),
        ("text-embedding-3-small", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("gemini-2.5-flash", "gemini"),
        ("models/gemini-2.5-flash", "gemini"),
        ("mistral-large-latest", "mistral"),
        ("grok-4", "xai"),
        ("deepseek-chat", "deepseek"),
        ("sonar-pro", "perplexity"),
        ("command-r-plus", "cohere"),
        ("glm-4.7", "zai"),
        ("kimi-k2", "moonshot"),
        ("qwen3-max", "alibaba"),
        ("my-model", ""),
        ("olmo-2", ""),
        ("", ""),
    ],
)
def test_a_models_name_picks_its_provider(model: str, provider: str) -> None:
    """On unified paths."""
    assert CATALOG.model_provider(model) == provider


@pytest.mark.parametrize(
    ("model", "canonical"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("openai/gpt-4o", "gpt-4o"),
        ("gpt-4-0613", "gpt-4"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("claude-3-7-sonnet@20250219", "claude-3-7-sonnet"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("anthropic.claude-v2", "claude"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-3-7-sonnet-20250219-v1:0", "claude-3-7-sonnet"),
        ("meta-llama/llama-3.1-8b:free", "meta-llama/llama-3.1-8b"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("accounts/fireworks/models/llama-v3p1-8b", "llama-v3p1-8b"),
        ("llama-3.3-70b", "llama-3.3-70b"),
        ("o1", "o1"),
        ("", ""),
    ],
)
def test_a_canonical_id_has_no_provider_region_version_or_date(model: str, canonical: str) -> None:
    """So that one glob binds all spellings of a model."""
    assert CATALOG.canonical_model(model) == canonical


def test_a_canonical_id_is_its_own_canonical_id() -> None:
    """Twice changes nothing."""
    for model in ("gpt-4o-2024-08-06", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "gpt-4-0613"):
        once = CATALOG.canonical_model(model)
        assert CATALOG.canonical_model(once) == once


def test_origins_of_base_urls() -> None:
    """Default ports."""
    assert _origin("https://a.example/v1") == Origin("https", "a.example", 443)
    assert _origin("http://127.0.0.1:9") == Origin("http", "127.0.0.1", 9)
    assert _origin("http://[::1]:9/x") == Origin("http", "::1", 9)
