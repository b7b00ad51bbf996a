"""The providers that llmcp knows: data from `catalog.toml`, parsed once by `load_catalog`.

Rules:
1. The catalog says where a provider is and how it is spoken to; what settings change is the surface's business.
2. A canonical model id is lower case, without provider, region, vendor, version and date: one glob then binds them all.
3. No work at import.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_REGION_PREFIX = re.compile(r"(?:us|eu|apac|jp|au|ca|sa|global|us-gov)\.(?=[a-z0-9]+\.)")
_VENDOR_PREFIX = re.compile(
    r"(?:anthropic|amazon|meta|mistral|cohere|ai21|openai|deepseek|qwen|google|minimax|moonshot|nvidia|writer)\.(?=[a-z])"
)
_SUFFIX = re.compile(
    r"(?:"
    r"-v\d+(?::\d+)?(?::\w+)?$|:(?:free|beta|nitro|floor|extended|thinking|online|exacto)$"  # Bedrock versions, OpenRouter variants
    r"|[-@]20\d\d-?[01]\d-?[0-3]\d$"  # dates
    r"|-(?:0[1-9]|1[0-2])[0-3]\d$|-2[3-9](?:0[1-9]|1[0-2])$"  # month and day, year and month
    r")",
)
_CLAUDE_LATEST = re.compile(r"(claude-.+)-latest$")


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """One provider of the catalog; `catalog.toml` says what each field means. `models` are anchored, lower case."""

    name: str
    base_url: str = ""
    api_path: str = "/v1"
    dialects: tuple[str, ...] = ("openai",)
    auth: str = "bearer"
    keys: tuple[str, ...] = ()
    models: tuple[re.Pattern[str], ...] = ()
    price_id: str = ""
    host: str = "fixed"
    aggregator: bool = False
    native: str = ""
    verbatim: bool = False
    unified: bool = True
    anthropic_base: str = ""
    check: str = "/v1/models"


@dataclass(frozen=True, slots=True)
class Catalog:
    """All known providers by name, in the order of the file."""

    entries: Mapping[str, ProviderEntry]

    def with_entries(self, more: Iterable[ProviderEntry]) -> Catalog:
        """Return a catalog that has `more` besides; an entry of a known name replaces it."""
        return Catalog({**self.entries, **{e.name: e for e in more}})

    def key_provider(self, key: str) -> str:
        """Name the provider whose keys begin like `key`, or ''."""
        best, length = "", 0
        for entry in self.entries.values():
            for prefix in entry.keys:
                if len(prefix) > length and key.startswith(prefix):
                    best, length = entry.name, len(prefix)
        return best

    def model_provider(self, model: str) -> str:
        """Name the provider whose models are called like `model`, or ''."""
        lowered = model.lower()
        for entry in self.entries.values():
            if any(pattern.fullmatch(lowered) for pattern in entry.models):
                return entry.name
        return ""

    def split_model(self, model: str) -> tuple[str, str]:
        """Split `provider/model` where the provider is known; else ('', model)."""
        head, slash, rest = model.partition("/")
        name = head.lower()
        return (name, rest) if slash and rest and name in self.entries else ("", model)

    def canonical_model(self, model: str) -> str:
        """Return the id that rules and prices may name instead of `model`: see the module's rule 2."""
        name = (
            model.lower().rpartition("/")[2]
            if model.lower().startswith(("arn:", "accounts/", "models/", "publishers/"))
            else model.lower()
        )
        name = self.split_model(name)[1]
        name = _VENDOR_PREFIX.sub("", _REGION_PREFIX.sub("", name, count=1), count=1)
        for _ in range(3):
            shorter = _SUFFIX.sub("", name)
            if shorter in {name, ""}:
                break
            name = shorter
        match = _CLAUDE_LATEST.fullmatch(name)
        return match[1] if match else name


def load_catalog() -> Catalog:
    """Parse the catalog that ships with llmcp."""
    text = resources.files("llmcp.providers").joinpath("catalog.toml").read_text(encoding="utf-8")
    return parse_catalog(text)


def parse_catalog(text: str) -> Catalog:
    """Parse a catalog's TOML text. Raises ValueError or TypeError where it is no catalog: it ships with the program."""
    return Catalog({name: _entry(name, fields) for name, fields in tomllib.loads(text).items()})


def _entry(name: str, fields: dict[str, object]) -> ProviderEntry:
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    models = tuple(re.compile(p) for p in fields.get("models", ()))  # type: ignore[attr-defined]
    values |= {"models": models, "price_id": fields.get("price_id", name), "native": fields.get("native", f"/{name}")}
    return ProviderEntry(name=name, **values)  # type: ignore[arg-type]
