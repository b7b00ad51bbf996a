"""A recorded exchange as it goes through the gateway: where it is sent, what comes back, what its record must say.

Rules:
1. A recorded URL is mapped to the gateway's native path of its provider: `/v1/…` below the prefix where the catalog says what that
   becomes, the recorded path where it was recorded below another base. The replaying upstream finds the recording by the
   `x-replay-id` header; what it received is compared afterwards (rule 6).
2. Headers are the recorded ones, less framing and what belongs to a connection, plus a made-up credential of the provider's form.
3. The expected body is what the replaying upstream sends: the recorded bytes, with line ends rewritten under `crlf`.
4. Expected token counts follow the record's meaning: input is the total with cache reads and writes, output includes reasoning.
5. Where the independent reader read nothing and the record says something, the record *reads more*: that is no disagreement, but
   only if what it says stands in the recorded bytes.
6. The path that the upstream received is the recorded one.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNKINGS = ("random", "utf8", "crlf", "byte", "line", "event", "whole")

# Recorded provider → the prefix it has in the gateway, where the two names differ.
_PREFIX = {"openai-codex": "codex", "local": "vllm", "vercel-gateway": "vercel"}
_NATIVE = {"openai", "anthropic", "gemini", "bedrock", "vertex", "azure", "cohere"}
# Recorded below another base path than the catalog's: sent as recorded, which the gateway leaves as it is.
_AS_RECORDED = {"bedrock-mantle", "deepseek", "huggingface", "local", "perplexity"}
_OTHER_BASE = ("/api/coding/",)
_NOT_SENT = {
    "content-length",
    "transfer-encoding",
    "host",
    "connection",
    "authorization",
    "accept-encoding",
    "x-api-key",
    "api-key",
}
_TAIL = re.compile(
    r"/(?:chat/completions|completions|responses(?:/.*)?|embeddings|models(?:/.*)?|batches(?:/.*)?|files(?:/.*)?|images/.*|audio/.*|"
    r"api/(?:chat|generate|tags|embed|embeddings))$",
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recording, and how it is sent."""

    raw: dict[str, Any]
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def label(self) -> str:
        """Provider and api, the row it is counted in."""
        return f"{self.raw['provider']} {self.raw['api']}"

    def damaged(self, chunking: str) -> bool:
        """Tell whether the upstream damages this response: rewritten line ends break the frames of a binary event stream."""
        binary = "eventstream" in self.raw["response_headers"].get("content-type", "")
        return chunking == "crlf" and binary and self.response_body("crlf") != self.response_body("whole")

    def response_body(self, chunking: str) -> bytes:
        """Return what the upstream sends under `chunking`, after content decoding."""
        if self.raw["status"] == 204:
            return b""
        body = _bytes(self.raw, "response")
        if chunking == "crlf" and self.raw["stream"]:
            body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return body


def _bytes(raw: dict[str, Any], which: str) -> bytes:
    text = raw[f"{which}_body"] or ""
    return base64.b64decode(text) if raw.get(f"{which}_body_encoding") == "base64" else text.encode("utf-8", "surrogateescape")


def prefix(provider: str) -> str:
    """Return the gateway's prefix of a recorded provider."""
    return _PREFIX.get(provider, provider)


def target(provider: str, url: str) -> str:
    """Map a recorded URL to the gateway."""
    parts = urlsplit(url)
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    query = "&".join(p for p in parts.query.split("&") if p and not p.startswith("key="))
    query = f"?{quote(query, safe='=&%:/,.-_~+')}" if query else ""
    if provider == "azure":
        resource = re.sub(r"[^a-z0-9-]", "", parts.netloc.split(".")[0].lower()) or "res"
        return f"/azure/{resource}{path}{query}"
    if provider in _NATIVE | _AS_RECORDED or path.startswith(_OTHER_BASE):
        return f"/{prefix(provider)}{path}{query}"
    tail = _TAIL.search(path)
    known = tail.group(0) if tail else path
    version = "" if known.startswith("/api/") else "/v1"
    return f"/{prefix(provider)}{version}{known}{query}"


def credential(provider: str) -> tuple[str, str]:
    """Return a header with a made-up key in the form that this provider's SDK uses."""
    filler = "A1b2C3d4E5f6" * 4
    forms = {
        "anthropic": ("x-api-key", "sk-ant-" + filler),
        "gemini": ("x-goog-api-key", "AIza" + filler[:35]),
        "azure": ("api-key", filler[:32]),
        "vertex": ("authorization", "Bearer ya29." + filler),
        "bedrock": ("authorization", "Bearer ABSK" + filler),
    }
    return forms.get(provider, ("authorization", "Bearer sk-" + filler))


def _headers(raw: dict[str, Any], body: bytes) -> tuple[tuple[str, str], ...]:
    kept: dict[str, str] = {}
    for name, value in raw["request_headers"].items():
        key = name.lower()
        if key in _NOT_SENT or not value.isprintable():
            continue
        # Some recorders wrote the representation of a Python bytes object.
        kept[key] = value[2:-1] if value.startswith("b'") and value.endswith("'") else value
    if body and "content-type" not in kept:
        kept["content-type"] = "application/json" if body[:1] in b"{[" else "application/octet-stream"
    name, key = credential(raw["provider"])
    kept[name] = key
    if raw["api"] == "messages" and raw["provider"] == "anthropic":
        kept.setdefault("anthropic-version", "2023-06-01")
    return tuple(kept.items())


def exchanges(path: Path) -> Iterator[Exchange]:
    """Read a recording file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            raw = json.loads(line)
            body = _bytes(raw, "request")
            yield Exchange(raw, raw["method"], target(raw["provider"], raw["url"]), _headers(raw, body), body)


def expected_input(raw: dict[str, Any]) -> int | None:
    """Return all input tokens, cache reads and writes included."""
    expect, usage = raw["expect"], raw["expect"].get("usage_raw") or {}
    count: int | None = expect["input_tokens"]
    if count is None:
        return None
    if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage or raw["api"] in {"messages", "converse"}:
        return count + (expect["cache_read_tokens"] or 0) + (expect["cache_write_tokens"] or 0)
    return count + (usage.get("toolUsePromptTokenCount") or 0)


def expected_output(raw: dict[str, Any]) -> int | None:
    """Return all output tokens, reasoning included.

    Reasoning was counted outside where there is more of it than of output, or where the total says so.
    """
    expect, usage = raw["expect"], raw["expect"].get("usage_raw") or {}
    count: int | None = expect["output_tokens"]
    if "thoughtsTokenCount" in usage:
        return (count or 0) + (usage["thoughtsTokenCount"] or 0)
    reasoning, given, total = expect["reasoning_tokens"], expect["input_tokens"], expect["total_tokens"]
    if count is not None and reasoning and (reasoning > count or total == (given or 0) + count + reasoning):
        return count + reasoning
    return count


def expected_model(raw: dict[str, Any]) -> str:
    """Return the requested model's name. Google's bodies name it by its resource path, of which the record keeps the last part."""
    name = unquote(raw["expect"].get("request_model") or "")
    return name.rpartition("models/")[2] if raw["provider"] in {"gemini", "vertex"} else name


def expected_path(raw: dict[str, Any]) -> str:
    """Return the path and query that the upstream should receive, in the form of `forwarded_path`."""
    parts = urlsplit(raw["url"])
    query = "&".join(p for p in parts.query.split("&") if p and not p.startswith("key="))
    return forwarded_path(parts.path + (f"?{query}" if query else ""))


def forwarded_path(target: str) -> str:
    """Return a request target in a form that can be compared: escapes read, no empty query."""
    return unquote(target).removesuffix("?")


def expected_record(raw: dict[str, Any]) -> dict[str, Any]:
    """Return what the record must say, under the names that `recorded` uses."""
    expect = raw["expect"]
    return {
        "request_model": expected_model(raw),
        "response_model": expect["model"] or "",
        "input_tokens": expected_input(raw),
        "output_tokens": expected_output(raw),
        "cached_tokens": expect["cache_read_tokens"] or 0,
        "finish_reasons": [str(r) for r in expect["finish_reasons"] if r not in (None, "")],
        "tools": [t for t in expect["tool_names"] if t],
        "error": bool(expect["error"]) or raw["status"] >= 400,
    }


def recorded(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a record says, in the shape of `expected_record`."""
    ai = record.get("gen_ai") or {}
    return {
        "request_model": ai.get("request_model") or "",
        "response_model": ai.get("response_model") or "",
        "input_tokens": ai.get("input_tokens"),
        "output_tokens": ai.get("output_tokens"),
        "cached_tokens": ai.get("cached_tokens") or 0,
        "finish_reasons": [str(r) for r in ai.get("finish_reasons") or []],
        "tools": list(ai.get("tools") or []),
        "error": bool(record.get("error_type")),
        "usage_source": ai.get("usage_source") or "",
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that the record has otherwise than the reader. `more`: the reader read nothing there, and it stands in the bytes."""

    field: str
    expected: Any
    recorded: Any
    more: bool = False


def differences(raw: dict[str, Any], record: dict[str, Any]) -> list[Difference]:
    """Return everything in which the record is not what the independent reader read.

    Where the provider said no token count the record holds 0, or an estimate that is marked as one; where it named no model, the
    record may repeat the requested one. An error's type or code must stand in `error_type` where the provider gave one.
    """
    want, got = expected_record(raw), recorded(record)
    found = []
    for field, value in want.items():
        seen = got[field]
        if field in {"input_tokens", "output_tokens"} and value is None and (not seen or got["usage_source"] == "estimated"):
            continue
        if field == "request_model" and not value:
            continue
        if field == "response_model" and not value and seen in {"", want["request_model"]}:
            continue
        if seen != value:
            more = field != "error" and not value and stands_in_body(raw, seen)
            found.append(Difference(field, value, seen, more))
    error = raw["expect"]["error"] or {}
    names = {str(error[k]) for k in ("type", "code") if error.get(k) is not None}
    if names and got["error"] and record.get("error_type") not in names:
        found.append(Difference("error_type", sorted(names), record.get("error_type")))
    return found


def stands_in_body(raw: dict[str, Any], value: Any) -> bool:
    """Tell whether the recorded response has `value` (or each of its items), as a JSON number or a string (or the start of one).

    The start, because the Responses API names a tool by the type of its call: `shell` is in `shell_call`.
    """
    body = _bytes(raw, "response")
    for encoded in re.findall(rb'"bytes":"([A-Za-z0-9+/=]+)"', body):
        body += base64.b64decode(encoded)
    items = value if isinstance(value, list) else [value]
    form = {True: rb"(?<![\d.])%s(?![\d.])", False: rb'"%s(?:_call)?"'}
    return all(re.search(form[isinstance(item, int)] % re.escape(str(item).encode()), body) for item in items)
