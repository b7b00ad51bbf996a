"""The load generator: closed-loop requests over keep-alive connections, or many slow SSE streams at once.

Rules:
1. It runs in a process of its own; raw `asyncio.Protocol` + `httptools`, so that it costs less than what it measures.
2. `requests`: each of C connections sends its next request when the last is answered, until N are answered; the first
   `--warm-up` of them are not counted. Latency runs from the write to the last byte of the answer.
3. `streams`: S connections, begun over `--ramp` seconds, each reading one stream after the other; a chunk's delay is the moment
   it was parsed here less the moment the mock wrote into it. Only what arrives after the ramp counts.
4. `--watch NAME=PID` adds the CPU seconds that a process spent in the measured part, and nothing outside of it.
5. Whatever is not a 200 with a complete body is counted under `errors`; a benchmark with errors is not a result.

Run: `load.py requests --port P [--path …] -c 16 -n 5000 --prompt-bytes 2048`, or `load.py streams --port P -s 500`. One JSON object on
standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import sys
import time
from typing import Any

import httptools
import uvloop
from processes import cpu_seconds

_STAMP = re.compile(rb"@(\d{9,20}) ")
_PARAGRAPH = (
    "Please look at the deployment notes below and tell me which service has to be restarted first, which configuration values "
    "have changed since the last release, and whether the order of the migration steps matters for the reporting job. "
)


def prompt(size: int, *, stream: bool) -> bytes:
    """Build an OpenAI chat body of about `size` bytes: one turn when small, a conversation of 40 texts when large."""
    turns = 1 if size < 8192 else 39
    share = max(1, (size - 420) // turns)
    text = (_PARAGRAPH * (share // len(_PARAGRAPH) + 1))[:share]
    messages = [{"role": "system", "content": "You are a careful assistant for the operations team. Answer briefly."}]
    messages += [{"role": "assistant" if i % 2 else "user", "content": text} for i in range(turns)]
    body: dict[str, Any] = {"model": "gpt-4o", "messages": messages, "temperature": 0.2, "max_tokens": 512}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body, separators=(",", ":")).encode()


def request(args: argparse.Namespace, *, stream: bool) -> bytes:
    """Build the request's bytes, once: every request is the same."""
    body = prompt(args.prompt_bytes, stream=stream)
    key = os.environ.get(args.key_from_env, "") or "sk-" + "x" * 40
    lines = [
        f"POST {args.path} HTTP/1.1",
        f"host: 127.0.0.1:{args.port}",
        f"authorization: Bearer {key}",
        "content-type: application/json",
        "accept: application/json",
        "user-agent: OpenAI/Python 3.0.0",
        "x-stainless-lang: python",
        "x-stainless-runtime: CPython",
        f"content-length: {len(body)}",
    ]
    if stream:
        lines += [f"x-mock-chunks: {args.chunks}", f"x-mock-delay-ms: {args.delay_ms}"]
    else:
        lines.append(f"x-mock-bytes: {args.answer_bytes}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def percentiles(values_ns: list[int]) -> dict[str, float]:
    """Return p50, p95, p99 and the largest, in milliseconds."""
    ordered = sorted(values_ns) or [0]
    last = len(ordered) - 1
    picked = {f"p{p}": ordered[min(last, round(last * p / 100))] / 1e6 for p in (50, 95, 99)}
    return {**{k: round(v, 4) for k, v in picked.items()}, "max": round(ordered[-1] / 1e6, 4)}


class Run:
    """What all connections of one run share."""

    def __init__(self, args: argparse.Namespace, payload: bytes) -> None:
        self.args, self.payload = args, payload
        self.sent = self.done = self.errors = 0
        self.values: list[int] = []
        self.began = self.ended = 0.0
        self.counting = False
        self.over = asyncio.get_running_loop().create_future()
        self.cpu: dict[str, float] = {}
        self.watched = [(name, int(pid)) for name, _, pid in (w.partition("=") for w in args.watch)]

    def start_clock(self) -> None:
        """Begin the measured part."""
        self.cpu = {name: cpu_seconds(pid) for name, pid in self.watched}
        self.began = time.perf_counter()
        self.counting = True

    def stop_clock(self) -> None:
        """End the measured part."""
        self.counting = False
        self.ended = time.perf_counter()
        self.cpu = {name: cpu_seconds(pid) - self.cpu[name] for name, pid in self.watched}
        if not self.over.done():
            self.over.set_result(None)


class Connection(asyncio.Protocol):
    """One keep-alive connection that always has one request under way."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.complete = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport: Any = transport
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio calls it so
        """Count a connection that ended in the middle."""
        if not self.run.over.done() and self.sent_at:
            self.run.errors += 1
            sys.stderr.write("a connection was closed in the middle of an answer\n")
            if self.run.errors > 100:
                self.run.stop_clock()

    def send(self) -> None:
        """Send the next request."""
        self.parser = httptools.HttpResponseParser(self)
        self.sent_at = time.perf_counter_ns()
        self.transport.write(self.run.payload)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Check the status and leave the rest to the kind of run."""
        if self.parser.get_status_code() != 200:
            self.run.errors += 1
        self.finished()

    def finished(self) -> None:
        """Take note of one answer. Overridden."""


class Requester(Connection):
    """A connection of a `requests` run."""

    def finished(self) -> None:
        """Keep the latency and send the next one, if one is left."""
        run = self.run
        if run.counting:
            run.values.append(time.perf_counter_ns() - self.sent_at)
        run.done += 1
        if run.done == run.args.warm_up:
            run.start_clock()
        if run.done == run.args.requests + run.args.warm_up:
            run.stop_clock()
        if run.sent < run.args.requests + run.args.warm_up:
            run.sent += 1
            self.send()
        else:
            self.sent_at = 0


class Streamer(Connection):
    """A connection of a `streams` run."""

    def on_body(self, body: bytes) -> None:
        """Keep the delay of every chunk in this piece."""
        if self.run.counting:
            now = time.perf_counter_ns()
            self.run.values.extend(now - int(stamp) for stamp in _STAMP.findall(body))

    def finished(self) -> None:
        """Begin the next stream."""
        self.run.done += 1
        if not self.run.over.done():
            self.send()


async def _requests(args: argparse.Namespace) -> dict[str, Any]:
    run = Run(args, request(args, stream=False))
    loop = asyncio.get_running_loop()
    if not args.warm_up:
        run.start_clock()
    run.sent = args.concurrency
    for _ in range(args.concurrency):
        await loop.create_connection(lambda: Requester(run), "127.0.0.1", args.port)
    await asyncio.wait_for(run.over, args.timeout)
    wall = run.ended - run.began
    return {
        "kind": "requests",
        "concurrency": args.concurrency,
        "prompt_bytes": args.prompt_bytes,
        "requests": len(run.values),
        "errors": run.errors,
        "requests_per_s": round(len(run.values) / wall, 1),
        "latency_ms": percentiles(run.values),
        "cpu_ms_per_request": {k: round(v * 1000 / max(1, len(run.values)), 5) for k, v in run.cpu.items()},
    }


async def _streams(args: argparse.Namespace) -> dict[str, Any]:
    run = Run(args, request(args, stream=True))
    loop = asyncio.get_running_loop()
    for _ in range(args.streams):
        await loop.create_connection(lambda: Streamer(run), "127.0.0.1", args.port)
        await asyncio.sleep(args.ramp / args.streams)
    run.start_clock()
    await asyncio.sleep(args.seconds)
    run.stop_clock()
    wall = run.ended - run.began
    return {
        "kind": "streams",
        "streams": args.streams,
        "delay_ms": args.delay_ms,
        "chunks": len(run.values),
        "chunks_per_s": round(len(run.values) / wall, 1),
        "errors": run.errors,
        "chunk_delay_ms": percentiles(run.values),
        "cpu_percent": {k: round(v * 100 / wall, 1) for k, v in run.cpu.items()},
        "cpu_us_per_chunk": {k: round(v * 1e6 / max(1, len(run.values)), 2) for k, v in run.cpu.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["requests", "streams"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/openai/v1/chat/completions")
    parser.add_argument(
        "--key-from-env", default="", metavar="NAME", help="the Bearer key; else one that looks like a provider's"
    )
    parser.add_argument("-c", "--concurrency", type=int, default=1)
    parser.add_argument("-n", "--requests", type=int, default=2000)
    parser.add_argument("-s", "--streams", type=int, default=500)
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--prompt-bytes", type=int, default=2048)
    parser.add_argument("--answer-bytes", type=int, default=400)
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--delay-ms", type=float, default=20)
    parser.add_argument("--ramp", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--timeout", type=float, default=300.0)
    parser.add_argument("--watch", action="append", default=[], metavar="NAME=PID")
    args = parser.parse_args()
    gc.disable()  # a collection here would stand in the figures as somebody else's delay
    run = _requests(args) if args.kind == "requests" else _streams(args)
    sys.stdout.write(json.dumps(uvloop.run(run)) + "\n")


if __name__ == "__main__":
    main()
