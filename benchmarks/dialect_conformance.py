"""Read recorded provider traffic through surface, framing and dialects, and compare with what an independent reader saw.

Usage: python benchmarks/dialect_conformance.py [TRAFFIC.jsonl.gz ...] [--provider NAME] [--verbose]

Prints the agreement per provider and API, then each disagreement, then (`more`) what is read here where the independent reader
reads nothing: those are not counted, but want a look. Exit code 1 when there is a disagreement. Offline; opens no socket.
"""

from __future__ import annotations

import argparse
import base64
import collections
import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmcp.core.http import RequestHead
from llmcp.core.messages import Observation, RequestFacts
from llmcp.core.settings import ProviderSettings
from llmcp.engine.framing import framer_for, sniff, undecided
from llmcp.errors import MalformedRequestError
from llmcp.plugins import dialect_families
from llmcp.ports import Endpoint, Framing
from llmcp.providers.catalog import load_catalog
from llmcp.providers.surface import CatalogSurface

DEFAULT = Path(__file__).resolve().parent.parent.parent / "shared/data/traffic/traffic-dev.jsonl.gz"
PREFIX = {"openai-codex": "codex", "vercel-gateway": "vercel", "local": "vllm"}
CHUNKINGS = ("whole", "byte", "line", "random", "crlf")
# The client carries these calls out, so that rules must bind them; the independent reader leaves them aside.
CLIENT_TOOLS = {"local_shell", "shell", "apply_patch", "computer_use_preview"}


def body_of(row: dict[str, Any], which: str) -> bytes:
    text = row[f"{which}_body"]
    return base64.b64decode(text) if row.get(f"{which}_body_encoding") == "base64" else text.encode("utf-8", "surrogateescape")


def target_of(row: dict[str, Any]) -> str:
    parts = urlsplit(row["url"])
    prefix = PREFIX.get(row["provider"], row["provider"])
    middle = "/" + parts.netloc.partition(".")[0].lower() if prefix == "azure" else ""
    return f"/{prefix}{middle}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def pieces(body: bytes, how: str) -> list[bytes]:
    if how == "byte":
        return [body[i : i + 1] for i in range(len(body))] if len(body) < 60_000 else pieces(body, "random")
    if how == "line":
        return body.splitlines(keepends=True)
    if how == "random":
        rng, out, at = random.Random(7), [], 0
        while at < len(body):
            size = rng.choice((1, 2, 3, rng.randint(1, 120), rng.randint(1, 2000)))
            out.append(body[at : at + size])
            at += size
        return out
    return [body]


def observe(endpoint: Endpoint, row: dict[str, Any], how: str) -> tuple[Observation, bytes, bytes]:
    """Feed the response in pieces; returns what was read, the bytes fed and the bytes that came out."""
    body = body_of(row, "response")
    headers = tuple((k.lower().encode(), v.encode()) for k, v in row["response_headers"].items())
    content_type = row["response_headers"].get("content-type", "").encode()
    seen = Observation(keep_text=True)
    streamed = bool(row["stream"])
    framing = Framing.WHOLE if row["status"] >= 400 else sniff(content_type, body[:65536], streamed)
    if how == "crlf":
        if framing is not Framing.SSE:
            return observe(endpoint, row, "whole")
        body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    chunks = pieces(body, how)
    held = b""
    while chunks and undecided(content_type, held, streamed):
        held += chunks.pop(0)
    assert row["status"] >= 400 or sniff(content_type, held, streamed) is framing, "sniff changed its mind"
    if framing is Framing.WHOLE:
        endpoint.dialect.read_body(endpoint, row["status"], headers, body, seen)
        return seen, body, body
    framer = framer_for(framing)
    out = b""
    for chunk in [held, *chunks, None]:
        for frame in framer.close() if chunk is None else framer.feed(chunk):
            out += frame.raw
            endpoint.dialect.read_event(endpoint, frame, seen)
    return seen, body, out


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """Convert the independent reader's figures to llmcp's conventions."""
    e = dict(row["expect"])
    inputs, outputs, reasoning = e["input_tokens"], e["output_tokens"], e["reasoning_tokens"] or 0
    anthropic = "block_types" in e
    gemini = row["api"] == "generateContent"
    if anthropic and inputs is not None:
        inputs += (e["cache_read_tokens"] or 0) + (e["cache_write_tokens"] or 0)
    raw = e["usage_raw"] or {}
    if row["api"] in ("converse", "invoke") and not anthropic and inputs is not None:
        inputs += (e["cache_read_tokens"] or 0) + (e["cache_write_tokens"] or 0)
    if gemini and isinstance(raw, dict):
        if inputs is not None:
            inputs += raw.get("toolUsePromptTokenCount") or 0
        if outputs is not None or reasoning:
            outputs = (outputs or 0) + reasoning
    elif outputs is not None and reasoning and (reasoning > outputs or e["total_tokens"] == (inputs or 0) + outputs + reasoning):
        outputs += reasoning
    error = e["error"]
    return {
        "model": e["model"] or None,
        "input_tokens": inputs,
        "output_tokens": outputs,
        "cached_tokens": e["cache_read_tokens"],
        "finish_reasons": [str(f) for f in e["finish_reasons"]],
        "tools": e["tool_names"],
        "text_len": e["text_len"],
        "reasoning_len": e["reasoning_len"],
        "error": None if error is None else (str(error["type"] or ""), "" if error["code"] is None else str(error["code"])),
        "cost": None if e.get("provider_cost_usd") is None else round(e["provider_cost_usd"] * 1e6),
        "terminal": bool(e["terminal"]) or None,
        "response_id": e["response_id"] or None,
    }


def actual(seen: Observation) -> dict[str, Any]:
    return {
        "model": seen.model or None,
        "input_tokens": seen.usage.input_tokens,
        "output_tokens": seen.usage.output_tokens,
        "cached_tokens": seen.usage.cached_tokens,
        "finish_reasons": [seen.finish_reasons[k] for k in sorted(seen.finish_reasons)],
        "tools": [t.name for t in seen.tools if t.name not in CLIENT_TOOLS],
        "text_len": sum(map(len, seen.texts)),
        "reasoning_len": seen.reasoning_bytes,
        "error": None if seen.error is None else (seen.error.type, seen.error.code),
        "cost": seen.usage.provider_cost_microusd,
        "terminal": seen.terminal,
        "response_id": seen.response_id or None,
    }


SOFT = frozenset({"cost", "cached_tokens", "response_id", "terminal"})  # compared only where the reader has a value


def compare(row: dict[str, Any], seen: Observation) -> dict[str, tuple[Any, Any]]:
    want, got = expected(row), actual(seen)
    wrong = {}
    for field, value in want.items():
        if field in SOFT and value is None:
            continue
        if field == "reasoning_len":
            # Characters there, UTF-8 bytes here.
            if not (value <= got[field] <= 4 * value):
                wrong[field] = (value, got[field])
        elif field == "text_len" and row["api"] in (
            "embeddings",
            "audio.transcriptions",
            "audio.translations",
            "files",
            "messages.batches",
        ):
            continue
        elif field == "error" and value is not None and got[field] is not None:
            if any(w and w != g for w, g in zip(value, got[field], strict=True)):
                wrong[field] = (value, got[field])
        elif value != got[field]:
            wrong[field] = (value, got[field])
    return wrong


def says_more(pair: tuple[Any, Any]) -> bool:
    """Tell whether we read something where the independent reader has nothing."""
    return pair[0] in (None, [], 0, "") and pair[1] not in (None, [], 0, "")


def check_request(
    surface: CatalogSurface, row: dict[str, Any]
) -> tuple[Endpoint | None, RequestFacts | None, dict[str, tuple[Any, Any]]]:
    head = RequestHead(row["method"], target_of(row), tuple((k.encode(), v.encode()) for k, v in row["request_headers"].items()))
    endpoint = surface.resolve(head)
    if not isinstance(endpoint, Endpoint):
        return None, None, {"resolve": ("Endpoint", repr(endpoint)[:80])}
    wrong: dict[str, tuple[Any, Any]] = {}
    facts = None
    if row.get("request_synthesized"):
        return endpoint, None, wrong
    try:
        facts = endpoint.dialect.read_request(endpoint, body_of(row, "request"))
    except MalformedRequestError as error:
        return endpoint, None, {"request": ("readable", f"{error.what}: {error.why}")}
    try:
        sent = json.loads(row["request_body"])
    except ValueError:
        sent = None
    want = row["expect"].get("request_model")
    # Gemini's bodies may name a model by its resource path.
    if (
        want
        and facts.inspected
        and want not in (facts.model, f"models/{facts.model}")
        and not want.endswith(f"/models/{facts.model}")
    ):
        wrong["request_model"] = (want, facts.model)
    if isinstance(sent, dict) and facts.inspected:
        stream = endpoint.stream if endpoint.stream is not None else facts.stream
        if bool(sent.get("stream")) != stream and "stream" in sent:
            wrong["request_stream"] = (sent.get("stream"), stream)
        tools = sent.get("tools")
        if isinstance(tools, list) and len(tools) > len(facts.tools) and "gemini" not in endpoint.dialect.name:
            wrong["request_tools"] = (len(tools), facts.tools)
        if sent.get("messages") and facts.turns != len(sent["messages"]):
            wrong["request_turns"] = (len(sent["messages"]), facts.turns)
        texts = [m["content"] for m in sent.get("messages") or () if isinstance(m.get("content"), str) and m["content"]]
        missing = [t for t in texts if t not in {x.text for x in facts.texts}]
        if missing:
            wrong["request_texts"] = (len(texts), len(texts) - len(missing))
    return endpoint, facts, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, default=[DEFAULT])
    parser.add_argument("--provider", default="")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    settings = {"snowflake": ProviderSettings(base_url="https://account.snowflakecomputing.com")}
    surface = CatalogSurface(load_catalog(), dialect_families(), settings)
    good: collections.Counter[tuple[str, str]] = collections.Counter()
    total: collections.Counter[tuple[str, str]] = collections.Counter()
    problems: list[str] = []
    extra: list[str] = []
    for file in args.files:
        data = file.read_bytes()
        for line in (gzip.decompress(data) if file.suffix == ".gz" else data).splitlines():
            row = json.loads(line)
            if args.provider and row["provider"] != args.provider:
                continue
            key = (row["provider"], row["api"])
            total[key] += 1
            endpoint, facts, wrong = check_request(surface, row)
            if endpoint is not None:
                for how in CHUNKINGS:
                    try:
                        seen, fed, out = observe(endpoint, row, how)
                    except Exception as error:
                        wrong[f"{how}: raised"] = ("nothing", repr(error))
                        continue
                    if fed != out:
                        wrong[f"{how}: bytes"] = (len(fed), len(out))
                    for field, pair in compare(row, seen).items():
                        wrong.setdefault(field, pair)
            more = {k: v for k, v in wrong.items() if says_more(v)}
            wrong = {k: v for k, v in wrong.items() if k not in more}
            if more:
                extra.append(f"{row['id']} {row['provider']} {row['api']} {row['status']}: {more}")
            good[key] += not wrong
            if wrong:
                where = f"{endpoint.dialect.name}/{endpoint.kind}" if endpoint else "-"
                problems.append(f"{row['id']} {row['provider']} {row['api']} {row['status']} [{where}]: {wrong}")
                if args.verbose and facts:
                    problems.append(f"    {facts.model} {facts.stream} {facts.turns}")
    for key in sorted(total):
        print(f"{good[key]:4}/{total[key]:<4} {key[0]} {key[1]}")
    print(f"{sum(good.values())}/{sum(total.values())} agree")
    for problem in problems:
        print(problem[:600])
    for line in extra:
        print("more:", line[:400])
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
