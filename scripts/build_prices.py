"""Write `src/llmcp/data/prices.json` from the installed `genai-prices` package (a development dependency only).

Usage: `python scripts/build_prices.py [--check]`. `--check` writes nothing and exits 1 when the file is out of date.

Rules:
1. Every price becomes an integer: pico-USD per token, which is the same number as micro-USD per million tokens. The few that
   are not whole there (repeating thirds) are rounded to the nearest.
2. A tiered price becomes one flat rate per threshold; thresholds count total input tokens.
3. Conditional prices keep their order; the reader takes the last that is in force.
4. What cannot be met in our usage (images, seconds, pages, searches, service tiers) is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types
from genai_prices.data import providers

TARGET = Path(__file__).parent.parent / "src" / "llmcp" / "data" / "prices.json"

# Our provider names (the catalog's) that differ from the data's.
ALIASES = {
    "bedrock": "aws",
    "gemini": "google",
    "moonshot": "moonshotai",
    "vertex": "google",
    "voyage": "voyageai",
    "xai": "x-ai",
    "zhipu": "zhipuai",
}

# In the order of `llmcp.core.pricing.Rate`; the factor turns USD per priced unit into pico-USD per counted thing.
UNITS = {
    "input_mtok": 10**6,
    "output_mtok": 10**6,
    "cache_read_mtok": 10**6,
    "cache_write_mtok": 10**6,
    "cache_write_1h_mtok": 10**6,
    "output_reasoning_mtok": 10**6,
    "requests_kcount": 10**9,
}


def _integer(price: Decimal, factor: int) -> int:
    return int((price * factor).to_integral_value(ROUND_HALF_EVEN))


def _at(price: Decimal | types.TieredPrices, start: int) -> Decimal:
    """Return the price of the tier that begins at or below `start`."""
    if isinstance(price, types.TieredPrices):
        return next((tier.price for tier in reversed(price.tiers) if tier.start <= start), price.base)
    return price


def _rates(prices: types.ModelPrice) -> list[list[Any]]:
    """Return `[threshold, rate]` pairs, highest threshold first; a rate ends at its last known price."""
    values = {unit: getattr(prices, unit) for unit in UNITS}
    starts = {tier.start for value in values.values() if isinstance(value, types.TieredPrices) for tier in value.tiers}
    pairs: list[list[Any]] = []
    # -1 stands for "from the first token": a tier applies where the input is strictly above its start.
    for start in sorted({-1, *starts}, reverse=True):
        rate = [None if value is None else _integer(_at(value, start), UNITS[unit]) for unit, value in values.items()]
        while rate and rate[-1] is None:
            rate.pop()
        pairs.append([start, rate])
    return pairs


def _clause(clause: object) -> list[Any]:
    match clause:
        case types.ClauseEquals():
            return ["=", clause.equals.lower()]
        case types.ClauseStartsWith():
            return ["^", clause.starts_with.lower()]
        case types.ClauseEndsWith():
            return ["$", clause.ends_with.lower()]
        case types.ClauseContains():
            return ["~", clause.contains.lower()]
        case types.ClauseRegex():
            return ["/", clause.regex]
        case types.ClauseOr():
            return ["|", [_clause(part) for part in clause.or_]]
        case types.ClauseAnd():
            return ["&", [_clause(part) for part in clause.and_]]
        case _:
            raise TypeError(f"unknown clause {clause!r}")


def _flat(clause: list[Any]) -> list[list[Any]]:
    """Return the alternatives of `clause`; nested alternatives are one list."""
    return [leaf for part in clause[1] for leaf in _flat(part)] if clause[0] == "|" else [clause]


def _utc(moment: time) -> str:
    """Return a time of day as UTC text; a naive one is UTC already."""
    day = datetime.combine(date(2000, 1, 1), moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return day.astimezone(UTC).time().isoformat("seconds")


def _condition(constraint: object) -> dict[str, str]:
    match constraint:
        case None:
            return {}
        case types.StartDateConstraint():
            return {"since": constraint.start_date.isoformat()}
        case types.TimeOfDateConstraint():
            return {"daily": f"{_utc(constraint.start_time)}-{_utc(constraint.end_time)}"}
        case _:
            raise TypeError(f"unknown constraint {constraint!r}")


def _model(model: types.ModelInfo) -> dict[str, Any]:
    alternatives = _flat(_clause(model.match))
    prices = [types.ConditionalPrice(prices=model.prices)] if isinstance(model.prices, types.ModelPrice) else model.prices
    entry: dict[str, Any] = {"id": model.id, "is": [arg for op, arg in alternatives if op == "="]}
    if like := [part for part in alternatives if part[0] != "="]:
        entry["like"] = like
    entry["prices"] = [{**_condition(price.constraint), "rates": _rates(price.prices)} for price in prices]
    return entry


def _provider(provider: types.Provider) -> dict[str, Any]:
    return {
        "borrows": provider.fallback_model_providers or [],
        "owns": _flat(_clause(provider.model_match)) if provider.model_match else [],
        "models": [_model(model) for model in provider.models],
    }


def _taken(source: str, today: str) -> str:
    """Return the day on which `source` was taken: the one in the file while the source is the same, else `today`."""
    if TARGET.exists():
        old = json.loads(TARGET.read_text("utf-8"))
        if old.get("source") == source and old.get("taken"):
            return str(old["taken"])
    return today


def render(today: str) -> str:
    """Return the whole file: one line per model, so that a change of price is a readable diff."""
    source = f"genai-prices {version('genai-prices')} (https://github.com/pydantic/genai-prices)"

    def dumps(value: object) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    head = {
        "v": 1,
        "source": source,
        "taken": _taken(source, today),
        "license": "MIT, Copyright (c) Pydantic Services Inc. 2025 to present (LICENSE.genai-prices)",
        "unit": "pico-USD per token, per request in the seventh place",
        "aliases": ALIASES,
    }
    lines = [",\n".join(f"{dumps(key)}:{dumps(value)}" for key, value in head.items())]
    blocks = []
    for provider in providers:
        entry = _provider(provider)
        models = ",\n".join(map(dumps, entry.pop("models")))
        blocks.append(f'{dumps(provider.id)}:{dumps(entry)[:-1]},"models":[\n{models}]}}')
    lines.append('"providers":{\n' + ",\n".join(blocks) + "}")
    return "{" + ",\n".join(lines) + "}\n"


def main() -> int:
    """Write the file, or say whether it is current."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = render(datetime.now(UTC).date().isoformat())
    if parser.parse_args().check:
        current = TARGET.exists() and TARGET.read_text("utf-8") == text
        sys.stderr.write("" if current else f"{TARGET.name} is out of date: run `python scripts/build_prices.py`\n")
        return 0 if current else 1
    TARGET.write_text(text, "utf-8")
    sys.stderr.write(f"wrote {TARGET.name}: {len(text)} bytes, {len(providers)} providers\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
