"""Recorded traffic of real providers through the real gateway: same bytes out, and a record that agrees with an independent reader.

Rules:
1. The upstream is the replay tool, the gateway is the real `llmcp serve` in a home of its own, the client is a raw socket.
2. A body agrees when, after content decoding, it is byte for byte what the upstream sent; a status when it is the same.
3. A record is found by the response's `x-llmcp-decision-id` and compared with the recording's `expect`, converted to llmcp's
   conventions (see `traffic.py`). An exchange *agrees*, *reads more* (the reader read nothing there and the bytes have it) or
   *disagrees*. What the upstream damages (line ends rewritten inside a binary event stream) is compared in bytes only.
4. The path that the upstream received is compared with the recorded one; then everything is sent once more without naming its
   recording, and the upstream must know it by method, path and body alone.
5. Without the recordings the run says so loudly and ends with 0; with `--required` it ends with 1.

Run: `benchmarks/traffic_conformance.py [--chunking all] [--gzip] [--limit N] [--provider P] [--json]`. Exit code 1 when anything
disagrees.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httptools
from processes import ROOT, Gateway, end, free_port, gateway
from traffic import CHUNKINGS, Difference, Exchange, differences, exchanges, expected_path, forwarded_path, prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATA = ROOT.parent / "shared" / "data" / "traffic" / "traffic-dev.jsonl.gz"
_TOOL = ROOT.parent / "shared" / "tools" / "replay_upstream.py"
_ALLOW_ALL = """apiVersion: llmcp.dev/v1
kind: Policy
metadata: {name: watch-only}
spec:
  rules:
    - {id: no-such-model, match: {models: ["a-model-that-does-not-exist"]}, deny: {message: never}}
"""


@dataclass
class Answer:
    """What came back from the gateway."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str = ""

    def decoded(self) -> bytes:
        """Return the body without its content encoding."""
        if self.headers.get("content-encoding") == "gzip":
            return zlib.decompressobj(31).decompress(self.body)
        return self.body


class Caller(asyncio.Protocol):
    """One connection, one request under way."""

    def __init__(self) -> None:
        self._done: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: Any = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was under way."""
        if self._done is not None and not self._done.done():
            self._answer.problem = f"the connection was lost: {exc}"
            self._finish()

    def call(self, data: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future is its answer."""
        self._answer, self._parts = Answer(), list[bytes]()
        self._parser = httptools.HttpResponseParser(self)
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return self._done

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._answer.problem = f"unreadable HTTP: {error}"
            self._finish()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, the last of its name."""
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Keep the status."""
        self._answer.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep a piece."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Hand the answer over."""
        if self._answer.status >= 200:
            self._finish()

    def _finish(self) -> None:
        self._answer.body = b"".join(self._parts)
        if self._done is not None and not self._done.done():
            self._done.set_result(self._answer)


def request_bytes(exchange: Exchange, *, port: int, chunking: str, zipped: bool, named: bool) -> bytes:
    """Write the request as it goes to the gateway. Where it is not `named`, the upstream must know it by its path and body."""
    lines = [f"{exchange.method} {exchange.target} HTTP/1.1", f"host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in exchange.headers]
    lines += [f"x-replay-chunking: {chunking}", "accept-encoding: gzip"]
    if named:
        lines.append(f"x-replay-id: {exchange.raw['id']}")
    if zipped:
        lines.append("x-replay-gzip: 1")
    if exchange.body or exchange.method not in {"GET", "DELETE", "HEAD"}:
        lines.append(f"content-length: {len(exchange.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + exchange.body


async def _send_all(
    chosen: list[Exchange],
    port: int,
    *,
    chunking: str,
    zipped: bool = False,
    named: bool = True,
    workers: int = 8,
) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    waiting = iter(chosen)
    loop = asyncio.get_running_loop()

    async def work() -> None:
        caller: Caller | None = None
        for exchange in waiting:
            if caller is None or caller.transport.is_closing():
                _, caller = await loop.create_connection(Caller, "127.0.0.1", port)
            payload = request_bytes(exchange, port=port, chunking=chunking, zipped=zipped, named=named)
            try:
                answer = await asyncio.wait_for(caller.call(payload), 60)
            except TimeoutError:
                answer = Answer(problem="no answer within 60 s")
            if answer.problem or answer.headers.get("connection", "").lower() == "close":
                caller.transport.abort()
                caller = None
            answers[exchange.raw["id"]] = answer
        if caller is not None:
            caller.transport.close()

    await asyncio.gather(*(work() for _ in range(workers)))
    return answers


@contextlib.contextmanager
def replay(tool: Path, data: Path, log: Path) -> Iterator[int]:
    """Run the replaying upstream, which logs what it receives; yield its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(tool), "--port", str(port), "--log", str(log), str(data)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        if "replay:" not in process.stderr.readline():
            msg = "the replay upstream did not start"
            raise RuntimeError(msg)
        yield port
    finally:
        end(process)


def provider_settings(home: Path, chosen: list[Exchange], upstream: str) -> dict[str, str]:
    """Point every provider at the upstream: the catalog's by environment, those that it does not have by the settings file."""
    with tempfile.TemporaryDirectory() as scratch:
        probe = Gateway(Path(scratch), None, _environ(Path(scratch)), "")  # type: ignore[arg-type]
        listed = json.loads(probe.cli("provider", "list", "--json"))
    rows: list[dict[str, Any]] = listed if isinstance(listed, list) else listed["providers"]
    # The catalog's own base path stays, so that the upstream receives the path that the provider would.
    catalog = {row["name"]: urlsplit(row["base_url"]).path.rstrip("/") for row in rows}
    settings = {f"PROVIDERS__{name.upper().replace('-', '_')}__BASE_URL": upstream + path for name, path in catalog.items()}
    others = sorted({prefix(e.raw["provider"]) for e in chosen} - set(catalog))
    if others:
        home.mkdir(parents=True, exist_ok=True)
        lines = ["providers:"]
        lines += [f'  {name}: {{base_url: "{upstream}", dialect: openai}}' for name in others]
        (home / "llmcp.yaml").write_text("\n".join(lines) + "\n")
        (home / "llmcp.yaml").chmod(0o600)
    return settings


def _environ(home: Path) -> dict[str, str]:
    from processes import gateway_environ

    return gateway_environ(home, {})


def read_records(running: Gateway, wanted: set[str], timeout_s: float = 15) -> dict[str, dict[str, Any]]:
    """Read the records of these decisions from the store, waiting until the recorder has written them."""
    until = time.monotonic() + timeout_s
    while True:
        text = running.cli("audit", "query", "--limit", "1000000", "-o", "jsonl")
        records = {r["decision_id"]: r for r in map(json.loads, text.splitlines()) if r.get("decision_id") in wanted}
        if len(records) == len(wanted) or time.monotonic() > until:
            return records
        time.sleep(0.5)


def judge(
    chosen: list[Exchange], answers: dict[str, Answer], records: dict[str, dict[str, Any]], chunking: str
) -> dict[str, Any]:
    """Compare everything; returns the three counts per provider and api, and each difference."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    found: list[dict[str, Any]] = []
    for exchange in chosen:
        answer = answers[exchange.raw["id"]]
        seen = [*_wire_differences(exchange, answer, chunking)]
        record = records.get(answer.headers.get("x-llmcp-decision-id", ""))
        if record is None:
            seen.append(Difference("record", "a record", answer.headers.get("x-llmcp-decision-id") or "no decision id"))
        elif not exchange.damaged(chunking):
            seen += differences(exchange.raw, record)
        row = rows[exchange.label]
        row["exchanges"] += 1
        row["bytes only"] += exchange.damaged(chunking)
        row["disagree" if any(not d.more for d in seen) else "more" if seen else "agree"] += 1
        found += [{"id": exchange.raw["id"], "row": exchange.label, **asdict(d)} for d in seen]
    return {"chunking": chunking, "rows": {k: dict(v) for k, v in sorted(rows.items())}, "differences": found}


def _wire_differences(exchange: Exchange, answer: Answer, chunking: str) -> Iterator[Difference]:
    """Compare what the client received: an answer, its status, its bytes."""
    want, got = exchange.response_body(chunking), answer.decoded()
    if answer.problem:
        yield Difference("answer", "an answer", answer.problem)
    elif answer.status != exchange.raw["status"]:
        yield Difference("status", exchange.raw["status"], f"{answer.status} {answer.body[:200]!r}")
    elif want != got:
        at = next((i for i, (x, y) in enumerate(zip(want, got, strict=False)) if x != y), min(len(want), len(got)))
        yield Difference("body", f"{len(want)} bytes", f"{len(got)} bytes, differs at {at}: {got[max(0, at - 20) : at + 40]!r}")


def compare_paths(chosen: list[Exchange], log: Path) -> dict[str, Any]:
    """Compare the paths in the upstream's log with the recorded ones."""
    received = {entry["id"]: entry["path"] for entry in map(json.loads, log.read_text().splitlines()) if entry.get("id")}
    pairs = [(e, expected_path(e.raw), forwarded_path(received.get(e.raw["id"], ""))) for e in chosen]
    others = Counter((e.raw["provider"], want.partition("?")[0], got) for e, want, got in pairs if want != got)
    return {"same": sum(want == got for _, want, got in pairs), "other": sorted((*key, n) for key, n in others.items())}


def verdict(sums: Counter[str]) -> str:
    """Word the three counts."""
    only = f" ({sums['bytes only']} of them compared in bytes only)" if sums["bytes only"] else ""
    return f"of {sums['exchanges']} exchanges {sums['agree']} agree{only}, {sums['more']} read more, {sums['disagree']} disagree"


def text_report(result: dict[str, Any], *, shown: int) -> str:
    """Render one chunking's result."""
    rows, found = result["rows"], result["differences"]
    sums: Counter[str] = sum((Counter(row) for row in rows.values()), Counter())
    lines = [
        f"## {result['chunking']}{' gzip' if result['gzip'] else ''}: {verdict(sums)} ({result['seconds']:.0f} s)",
        "",
        "| provider, api | exchanges | agree | reads more | disagree | in |",
        "|---|---|---|---|---|---|",
    ]
    for label, row in rows.items():
        fields = ", ".join(sorted({d["field"] for d in found if d["row"] == label}))
        lines.append(
            f"| {label} | {row['exchanges']} | {row.get('agree', 0)} | {row.get('more', 0)} | {row.get('disagree', 0)} | {fields} |"
        )
    found = sorted(found, key=lambda d: d["more"])
    lines += [""] + [
        f"- {'reads more' if d['more'] else 'DISAGREES'} `{d['id']}` {d['row']}: {d['field']}: "
        f"expected {d['expected']!r}, got {d['recorded']!r}"
        for d in found[:shown]
    ]
    if len(found) > shown:
        lines.append(f"- … and {len(found) - shown} more (`--json` has all)")
    return "\n".join(lines) + "\n"


def matches(chosen: list[Exchange], answers: dict[str, Answer]) -> dict[str, Any]:
    """Tell by what the upstream knew the requests that did not name their recording: method, path and body, or less."""
    rows = [(answers[e.raw["id"]].headers.get("x-replay-match", "no answer"), e.raw) for e in chosen]
    others = sorted((match, raw["provider"], raw["api"], raw["id"]) for match, raw in rows if match != "exact")
    return {"exact": len(rows) - len(others), "other": others}


def paths_report(paths: dict[str, Any]) -> str:
    """Render the comparison of paths."""
    known = paths["matches"]
    lines = [f"## Requests known by method, path and body alone: {known['exact']}, otherwise {len(known['other'])}", ""]
    lines += [f"- {match}: `{key}` {provider} {api}" for match, provider, api, key in known["other"][:20]]
    lines += ["", f"## Paths forwarded: {paths['same']} as recorded, {sum(row[3] for row in paths['other'])} otherwise"]
    lines += [f"- {provider}: recorded `{want}`, forwarded `{got}` ({n})" for provider, want, got, n in paths["other"]]
    return "\n".join(lines) + "\n"


def run(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Replay everything under each chunking that was asked for."""
    chosen = [e for e in exchanges(args.data) if not args.provider or e.raw["provider"] == args.provider]
    chosen = [e for e in chosen if not args.id or e.raw["id"] in args.id][: args.limit or None]
    modes = CHUNKINGS if args.chunking == "all" else (args.chunking,)
    results = []
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="llmcp-traffic-"))
        home, policies, log = Path(scratch) / "home", Path(scratch) / "policies", Path(scratch) / "upstream.jsonl"
        port = stack.enter_context(replay(args.tool, args.data, log))
        policies.mkdir()
        (policies / "watch-only.yaml").write_text(_ALLOW_ALL)
        settings = provider_settings(home, chosen, f"http://127.0.0.1:{port}")
        with gateway(home, settings, policies=policies) as running:
            for mode in modes:
                began = time.monotonic()
                sent = asyncio.run(_send_all(chosen, running.port, chunking=mode, zipped=args.gzip))
                ids = {a.headers["x-llmcp-decision-id"] for a in sent.values() if "x-llmcp-decision-id" in a.headers}
                result = judge(chosen, sent, read_records(running, ids), mode)
                result |= {"seconds": round(time.monotonic() - began, 1), "gzip": args.gzip}
                results.append(result)
                if not args.json:
                    print(text_report(result, shown=args.show), flush=True)
            paths = compare_paths(chosen, log)
            unnamed = asyncio.run(_send_all(chosen, running.port, chunking="whole", named=False))
            results[-1]["paths"] = paths | {"matches": matches(chosen, unnamed)}
            if not args.json:
                print(paths_report(results[-1]["paths"]), flush=True)
            if running.process.poll() is not None:
                msg = "the gateway ended during the run"
                raise RuntimeError(msg)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_DATA)
    parser.add_argument("--tool", type=Path, default=_TOOL, help="replay_upstream.py")
    parser.add_argument("--chunking", choices=["all", *CHUNKINGS], default="random")
    parser.add_argument("--gzip", action="store_true", help="let the upstream compress its answers")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--provider", default="")
    parser.add_argument("--id", action="append", default=[])
    parser.add_argument("--show", type=int, default=60, help="how many differences to print")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--required", action="store_true", help="missing recordings are a failure")
    args = parser.parse_args()
    if not args.data.exists() or not args.tool.exists():
        print(f"SKIPPED: no recordings: {args.data} or {args.tool} is missing", file=sys.stderr)
        sys.exit(1 if args.required else 0)
    results = run(args)
    if args.json:
        print(json.dumps(results, indent=1))
    wrong = [d for r in results for d in r["differences"] if not d["more"]]
    paths = results[-1]["paths"]
    sys.exit(1 if wrong or paths["other"] or paths["matches"]["other"] else 0)


if __name__ == "__main__":
    main()
