"""Print how far the token estimate is off, measured over recorded exchanges.

Usage: `python benchmarks/estimate_error.py TRAFFIC.jsonl.gz` (the format is described beside the recordings).
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
from typing import TYPE_CHECKING, Any

from llmcp.core import estimate
from llmcp.core.messages import Channel, Observation, RequestFacts, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What is no text of a conversation, wherever it stands.
NOT_TEXT = {
    "data",
    "url",
    "image_url",
    "encrypted_content",
    "signature",
    "thoughtSignature",
    "id",
    "tool_call_id",
    "role",
    "type",
}
CONVERSATION = ("messages", "contents", "system", "systemInstruction", "system_instruction", "instructions", "input", "prompt")
UNSEEN = (
    "image",
    "inlineData",
    "fileData",
    "input_file",
    "document",
    "audio",
    "previous_response_id",
    "cachedContent",
    "file_id",
)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in NOT_TEXT:
                yield from strings(item)


def report(name: str, pairs: list[tuple[int, int]]) -> None:
    """Print error figures of (estimated, counted) pairs."""
    errors = sorted(abs(guess - real) / real for guess, real in pairs)
    bias = statistics.median((guess - real) / real for guess, real in pairs)
    near = statistics.median(abs(guess - real) for guess, real in pairs)
    ninth = errors[int(0.9 * (len(errors) - 1))]
    print(
        f"{name:34} n={len(pairs):4}  median error {statistics.median(errors):5.0%} ({near:.0f} tokens)  "
        f"90th percentile {ninth:6.0%}  bias {bias:+.0%}",
    )


def outputs(records: Iterable[dict[str, Any]]) -> Iterator[tuple[int, int, bool]]:
    for record in records:
        expect = record["expect"]
        counted, text = expect.get("output_tokens"), expect.get("text_len") or 0
        arguments = expect.get("tool_args_lens") or []
        hidden = expect.get("reasoning_tokens") or 0
        if counted and counted > hidden and (text or arguments):
            calls = [ToolCall("", size or 0) for size in arguments]
            yield estimate.output_tokens(Observation(text_bytes=text, tools=calls)), counted - hidden, bool(arguments)


def inputs(records: Iterable[dict[str, Any]]) -> Iterator[tuple[int, int, bool]]:
    for record in records:
        expect = record["expect"]
        raw = record.get("request_body") or ""
        if not expect.get("input_tokens") or record.get("request_synthesized") or any(word in raw for word in UNSEEN):
            continue
        try:
            body = json.loads(raw)
        except ValueError:
            continue
        if not isinstance(body, dict):
            continue
        texts = tuple(Text("user", Channel.TEXT, text) for key in CONVERSATION for text in strings(body.get(key)))
        turns = next((len(body[key]) for key in ("messages", "contents", "input") if isinstance(body.get(key), list)), 1)
        offered = body.get("tools") or (body.get("toolConfig") or {}).get("tools") or ()
        tools = tuple("tool" for _ in offered)
        counted = expect["input_tokens"]
        if record["provider"] == "anthropic":
            counted += (expect.get("cache_read_tokens") or 0) + (expect.get("cache_write_tokens") or 0)
        if texts:
            yield estimate.input_tokens(RequestFacts(texts=texts, turns=turns, tools=tools)), counted, bool(tools)


def main() -> None:
    with gzip.open(sys.argv[1], "rt", encoding="utf-8") as file:
        records = [record for record in map(json.loads, file) if record["status"] == 200 and not record["expect"].get("error")]
    for name, rows in (("output", list(outputs(records))), ("input", list(inputs(records)))):
        report(f"{name}, all", [row[:2] for row in rows])
        report(f"{name}, no tools", [row[:2] for row in rows if not row[2]])
        report(f"{name}, no tools, >= 100 tokens", [row[:2] for row in rows if not row[2] and row[1] >= 100])
        report(f"{name}, with tools", [row[:2] for row in rows if row[2]])


if __name__ == "__main__":
    main()
