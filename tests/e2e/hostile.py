"""Hostile bytes for the HTTP shell and the dialects: valid requests, bent at random.

Rules:
1. Everything comes from one `random.Random`, so a seed repeats a run.
2. A bent request may be anything, a valid one too: the tests ask only what the gateway does with it.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

TARGETS = (
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/models", "/v1/messages", "/v1/messages/count_tokens",
    "/openai/v1/chat/completions", "/openai/v1/responses", "/openai/v1/files", "/openai/v1/images/generations", "/openai/v1/audio/speech",
    "/openai/v1/batches", "/openai/v1/realtime", "/anthropic/v1/messages", "/anthropic/v1/messages?beta=true", "/anthropic/v1/models",
    "/gemini/v1beta/models/gemini-2.5-flash:generateContent", "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    "/gemini/v1/models/gemini-2.5-flash:countTokens", "/azure/my-resource/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
    "/azure/my-resource/openai/v1/responses", "/bedrock/model/anthropic.claude-3-haiku-20240307-v1:0/converse",
    "/bedrock/model/anthropic.claude-3-haiku-20240307-v1:0/invoke-with-response-stream", "/cohere/v2/chat", "/mistral/v1/chat/completions",
    "/groq/v1/chat/completions", "/vertex/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent",
)  # fmt: skip
KEYS = (
    ("authorization", "Bearer sk-" + "k" * 40), ("x-api-key", "sk-ant-" + "k" * 40), ("x-goog-api-key", "AIza" + "k" * 35),
    ("api-key", "k" * 32),
)  # fmt: skip
_EXTRA = (
    ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("transfer-encoding", "xchunked"), ("content-length", "0"),
    ("content-length", "+5"), ("content-length", "5, 5"), ("expect", "100-continue"), ("connection", "upgrade"), ("upgrade", "websocket"),
    ("upgrade", "h2c"), ("content-encoding", "gzip"), ("content-encoding", "br"), ("host", "evil.example"), ("x-http-method-override", "GET"),
    ("x-forwarded-host", "api.openai.com"), ("x-original-url", "/healthz"), ("x-llmcp-labels", "a=b"), ("x-llmcp-decision-id", "forged"),
    ("proxy-authorization", "Bearer llmcp_" + "q" * 40), ("content-type", "text/plain"), ("content-type", "application/json; charset=utf-16"),
    ("accept-encoding", "gzip;q=1.0"), ("te", "trailers"), ("x-long", "y" * 9000), ("x-obs", "a\r\n folded"), ("x-null", "a\x00b"),
)  # fmt: skip
_METHODS = (
    "POST",
    "POST",
    "POST",
    "POST",
    "GET",
    "PUT",
    "HEAD",
    "DELETE",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "PATCH",
    "post",
    "BREW",
)
_LINE_ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n")


def body(rng: random.Random) -> bytes:
    """Make a body: mostly chat-like JSON, often with something wrong in it."""
    text = rng.choice(["x", "é🙂", "\ud83d", "\x00", "a" * 5000, '"}]}', "\\u0000", "{{"])
    document: dict[str, Any] = {
        "model": rng.choice(
            ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "", "openai/gpt-4o", "../../etc", None, 5, ["gpt-4o"], "x" * 3000]
        ),
        "messages": rng.choice([[{"role": "user", "content": text}], "text", None, {}, [[]], [{"role": 1}], [None], []]),
        "stream": rng.choice([True, False, None, "true", 1]),
        "max_tokens": rng.choice([1, -1, 0, 1e400, 2**70, "5", None, 1.5]),
        "temperature": rng.choice([0, 1.0, -5, "hot", None]),
        "tools": rng.choice([[], None, [{"type": "function", "function": {"name": "shell"}}], [{"name": 5}], {"a": 1}, [None]]),
        "input": rng.choice([text, [text], None, [{"role": "user", "content": [{"type": "input_text", "text": text}]}]]),
        "contents": rng.choice([[{"parts": [{"text": text}]}], None, [{"parts": {}}], "x"]),
        "system": rng.choice([text, [{"type": "text", "text": text}], 7, None]),
    }
    for key in rng.sample(sorted(document), rng.randint(0, 5)):
        del document[key]
    data = json.dumps(document).encode()
    bent = rng.randrange(14)
    if bent == 0:
        return data[: rng.randrange(len(data))]
    if bent == 1:
        return b'{"model":"allowed","model":"gpt-4o",' + data[1:]
    if bent == 2:
        return b"[" * rng.choice([50, 2000, 100_000]) + data
    if bent == 3:
        return b"\xef\xbb\xbf" + data
    if bent == 4:
        return data.decode().encode("utf-16")
    if bent == 5:
        return gzip.compress(data)
    if bent == 6:
        return rng.randbytes(rng.randrange(200))
    if bent == 7:
        at = rng.randrange(len(data))
        return data[:at] + rng.randbytes(3) + data[at + 1 :]
    if bent == 8:
        return b""
    return data


def target(rng: random.Random) -> bytes:
    """Make a request target: a real one, often bent."""
    name = rng.choice(TARGETS)
    bent = rng.randrange(16)
    forms = {
        0: name.upper(),
        1: "/" + name,
        2: name.replace("/", "//"),
        3: "/healthz/.." + name,
        4: name.replace("/v1", "/%76%31"),
        5: name.replace("/", "%2F"),
        6: "http://api.openai.com" + name,
        7: "http://127.0.0.1" + name,
        8: name + "/",
        9: name + "?key=AIza" + "k" * 35,
        10: name + ";x=1#frag",
        11: name.replace("openai", "openai@evil.example"),
        12: name + "\x00",
    }
    return forms.get(bent, name).encode("latin-1", "replace")


def request(rng: random.Random) -> bytes:
    """Make the bytes of one request, or of what looks like one."""
    data, end = body(rng), rng.choice(_LINE_ENDS) if rng.random() < 0.2 else b"\r\n"
    headers: list[tuple[str, str]] = [("host", "127.0.0.1"), rng.choice(KEYS), ("content-type", "application/json")]
    if rng.random() < 0.2:
        headers.append(rng.choice(KEYS))
    headers += rng.choices(_EXTRA, k=rng.choice([0, 0, 0, 1, 2, 3]))
    if rng.random() < 0.15:
        headers.append(("transfer-encoding", "chunked"))
        pieces = [data[i : i + 97] for i in range(0, len(data), 97)]
        sizes = rng.choice([b"%x", b"%x", b"%x", b"0x%x", b"%x;ext=1", b"-%x", b"%x ", b"fffffffffffffffff%x"])
        data = b"".join(sizes % len(p) + b"\r\n" + p + b"\r\n" for p in pieces) + rng.choice(
            [b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"", b"0\r\n"]
        )
    elif rng.random() < 0.95:
        wrong = rng.choice([0, 0, 0, 0, 0, 0, -1, 1, 5])
        headers.append(("content-length", str(max(0, len(data) + wrong))))
    rng.shuffle(headers)
    version = rng.choice([b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 ", b"ICY"])
    line = rng.choice(_METHODS).encode() + b" " + target(rng) + b" " + version
    spaces = rng.choice([": ", ": ", ": ", ":", " : ", ":\t"])
    head = end.join([line, *(f"{k}{spaces}{v}".encode("latin-1", "replace") for k, v in headers)])
    return head + end + end + data


def conversation(rng: random.Random) -> bytes:
    """Make what one connection sends: one request, a pipeline of several, or a smuggled second one."""
    kind = rng.randrange(10)
    if kind == 0:
        return b"".join(request(rng) for _ in range(rng.randint(2, 4)))
    if kind == 1:
        inner = request(rng)
        return (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + inner
        )
    if kind == 2:
        data = request(rng)
        at = rng.randrange(len(data))
        return data[:at] + rng.randbytes(rng.randint(1, 8)) + data[at:]
    if kind == 3:
        return rng.choice(
            [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /\r\n", rng.randbytes(300), b"\r\n" * 50]
        )
    return request(rng)
