"""A fast provider that costs next to nothing, so that what a benchmark measures is the proxy in front of it.

Rules:
1. It speaks OpenAI chat completions (`…/chat/completions`) and Anthropic messages (`…/messages`), whole and as SSE streams; any
   other path gets a small JSON object.
2. Whole answers are built once per size; nothing is counted, logged or reported per request.
3. Every content chunk of a stream carries `@<perf_counter_ns> `, the moment it was written: the clock is CLOCK_MONOTONIC, which
   all processes of a machine share, so a load generator can tell how long the chunk was on its way.
4. Chunks keep their own timetable (start + i · delay): a late chunk does not move the next one.

Request headers: `x-mock-bytes` (size of the answer's text, default 400), `x-mock-chunks` (default 50), `x-mock-delay-ms`
(default 20). Run: `mock_upstream.py [--port 0]`; the first line on standard output is the port.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

import httptools
import uvloop

_WORDS = "the quick brown fox jumps over the lazy dog and then it sleeps until noon "
_SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"x-request-id: req_mock\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _text(size: int) -> str:
    return (_WORDS * (size // len(_WORDS) + 1))[:size]


def _json_answer(document: dict[str, Any]) -> bytes:
    body = json.dumps(document, separators=(",", ":")).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_mock\r\n"
        b"x-ratelimit-remaining-requests: 9999\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    )


def _openai_whole(size: int) -> bytes:
    return _json_answer(
        {
            "id": "chatcmpl-mock",
            "object": "chat.completion",
            "created": 1760000000,
            "model": "gpt-4o-2024-08-06",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": _text(size), "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                },
            ],
            "usage": {
                "prompt_tokens": 512,
                "completion_tokens": max(1, size // 4),
                "total_tokens": 512 + max(1, size // 4),
                "prompt_tokens_details": {"cached_tokens": 128, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
            "service_tier": "default",
            "system_fingerprint": "fp_mock",
        }
    )


def _anthropic_whole(size: int) -> bytes:
    return _json_answer(
        {
            "id": "msg_mock",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
            "content": [{"type": "text", "text": _text(size)}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 384,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 128,
                "output_tokens": max(1, size // 4),
            },
        }
    )


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_OPENAI_DELTA = (
    b'data: {"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-2024-08-06",'
    b'"choices":[{"index":0,"delta":%s,"finish_reason":%s}]%s}\n\n'
)
_OPENAI_FIRST = _http_chunk(_OPENAI_DELTA % (b'{"role":"assistant","content":""}', b"null", b""))
_OPENAI_LAST = _http_chunk(_OPENAI_DELTA % (b"{}", b'"stop"', b""))
_OPENAI_USAGE = _http_chunk(
    b'data: {"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-2024-08-06","choices":[],'
    b'"usage":{"prompt_tokens":512,"completion_tokens":50,"total_tokens":562,"prompt_tokens_details":{"cached_tokens":128}}}\n\n',
)
_ANTHROPIC_DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"@%d fox jumps"}}\n\n'
)
_ANTHROPIC_FIRST = _http_chunk(
    b"event: message_start\n"
    b'data: {"type":"message_start","message":{"id":"msg_mock","type":"message","role":"assistant",'
    b'"model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":384,'
    b'"cache_creation_input_tokens":0,"cache_read_input_tokens":128,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
)
_ANTHROPIC_LAST = _http_chunk(
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":50}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)
_END = b"0\r\n\r\n"
_OTHER = _json_answer({"object": "list", "data": []})


class MockProvider(asyncio.Protocol):
    """One client connection; answers one request at a time."""

    whole: dict[tuple[bool, int], bytes] = {}  # noqa: RUF012  a cache that all connections of this process share

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._bytes, self._chunks, self._delay_s = 400, 50, 0.02
        self._stream = self._usage = False
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to parse."""
        self._transport: Any = transport
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio calls it so
        """Stop a stream that nobody reads."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what cannot be parsed ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """Keep the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read the three steering headers."""
        if name[:7].lower() == b"x-mock-":
            what = name[7:].lower()
            if what == b"bytes":
                self._bytes = int(value)
            elif what == b"chunks":
                self._chunks = int(value)
            elif what == b"delay-ms":
                self._delay_s = float(value) / 1000

    def on_body(self, body: bytes) -> None:
        """Keep the body: its wish for a stream may stand anywhere in it."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer."""
        body = b"".join(self._body)
        path = self._url.partition(b"?")[0]
        anthropic = path.endswith(b"/messages")
        if not anthropic and not path.endswith(b"/chat/completions"):
            self._transport.write(_OTHER)
        elif b'"stream":true' in body or b'"stream": true' in body:
            self._start_stream(anthropic=anthropic, usage=b"include_usage" in body)
            return
        else:
            self._transport.write(self._whole_answer(anthropic=anthropic))
        self._begin()

    def _whole_answer(self, *, anthropic: bool) -> bytes:
        key = (anthropic, self._bytes)
        ready = self.whole.get(key)
        if ready is None:
            ready = self.whole[key] = (_anthropic_whole if anthropic else _openai_whole)(self._bytes)
        return ready

    def _start_stream(self, *, anthropic: bool, usage: bool) -> None:
        self._transport.write(_SSE_HEAD + (_ANTHROPIC_FIRST if anthropic else _OPENAI_FIRST))
        self._left, self._anthropic, self._usage = self._chunks, anthropic, usage
        self._next = self._loop.time() + self._delay_s
        self._timer = self._loop.call_at(self._next, self._chunk)

    def _chunk(self) -> None:
        if self._left:
            self._left -= 1
            now = time.perf_counter_ns()
            if self._anthropic:
                event = _ANTHROPIC_DELTA % now
            else:
                event = _OPENAI_DELTA % (b'{"content":"@%d fox jumps"}' % now, b"null", b"")
            self._transport.write(_http_chunk(event))
            self._next += self._delay_s
            self._timer = self._loop.call_at(self._next, self._chunk)
            return
        self._timer = None
        if self._anthropic:
            self._transport.write(_ANTHROPIC_LAST + _END)
        else:
            done = _http_chunk(b"data: [DONE]\n\n")
            self._transport.write(_OPENAI_LAST + (_OPENAI_USAGE if self._usage else b"") + done + _END)
        self._begin()


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: MockProvider(loop), "127.0.0.1", port, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
