"""Print how far our prices agree with the recorded exchanges' own: `genai-prices`' figure and the cost that a provider stated.

Usage: `python benchmarks/price_agreement.py TRAFFIC.jsonl.gz`. The recordings' prices were made at unknown hours, and some
providers charge by the hour: a price that holds at one of three hours agrees.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from llmcp import data
from llmcp.core.messages import Usage
from llmcp.core.pricing import PriceTable

HOURS = tuple(datetime(2026, 11, 21, hour, tzinfo=UTC) for hour in (12, 2, 20))


def usage_of(record: dict[str, Any]) -> Usage:
    """Return the recorded tokens in our convention: the input with its caches."""
    expect = record["expect"]
    genai = expect.get("genai") or {}
    reads, writes = expect.get("cache_read_tokens") or 0, expect.get("cache_write_tokens") or 0
    own = expect.get("input_tokens") or 0
    raw = expect.get("usage_raw")
    creation = (raw.get("cache_creation") or {}) if isinstance(raw, dict) else {}
    return Usage(
        input_tokens=genai.get("input_tokens") or own + (reads + writes if record["provider"] == "anthropic" else 0),
        output_tokens=genai.get("output_tokens") or expect.get("output_tokens") or 0,
        cached_tokens=reads,
        cache_write_tokens=writes,
        cache_write_1h_tokens=creation.get("ephemeral_1h_input_tokens"),
        reasoning_tokens=expect.get("reasoning_tokens"),
    )


def main() -> None:
    table = PriceTable.load(data.prices())
    agree, stated, sources = Counter[str](), Counter[str](), Counter[str]()
    total = 0
    with gzip.open(sys.argv[1], "rt", encoding="utf-8") as file:
        for record in map(json.loads, file):
            expect = record["expect"]
            if expect.get("input_tokens") is None and expect.get("output_tokens") is None:
                continue
            model, asked = expect.get("model") or "", expect.get("request_model") or ""
            ours = [table.price(record["provider"], model, usage_of(record), at, requested=asked) for at in HOURS]
            sources[ours[0].source] += 1
            reference = (expect.get("genai") or {}).get("price_usd")
            if reference is not None:
                total += 1
                micro = Decimal(reference) * 10**6
                if any(
                    abs(micro - priced.cost_microusd) <= Decimal("0.5") or 0 < micro < 1 == priced.cost_microusd
                    for priced in ours
                ):
                    agree[record["provider"]] += 1
                else:
                    print(f"differs: {record['id']} {record['provider']} {model}: {micro} here {ours[0].cost_microusd}")
            if expect.get("provider_cost_usd") is not None:
                micro = Decimal(str(expect["provider_cost_usd"])) * 10**6
                near = min(abs(micro - priced.cost_microusd) for priced in ours)
                stated[f"{record['provider']} {'agrees' if near <= 1 else 'differs'}"] += 1
    print(f"genai-prices: {agree.total()} of {total} agree to the micro-USD: {dict(agree.most_common())}")
    print(f"the provider's own statement (which wins where it is given): {dict(sorted(stated.items()))}")
    print(f"source of the price: {dict(sources.most_common())}")


if __name__ == "__main__":
    main()
