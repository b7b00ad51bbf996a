"""What it costs to know who asks: requests with a virtual key beside the same requests with the client's own, in one run.

Rules:
1. `engine`: the exchange alone, from head to record, in this process; CPU time. Both kinds take turns, several rounds; the figure is
   the median, so that a drifting machine spoils both alike.
2. `cold` shows every request a header set that was never seen; `warm` is a client that keeps its connection.
3. `gateway`: a real `llmcp serve` with as many tokens and orgs in its store; CPU time that the kernel charged it.
4. Memory is what Python's allocator gave out for the snapshot, by token.

Run: `benchmarks/authentication.py [--tokens 2000] [--orgs 200] [--rounds 7] [--gateway] [--json]`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load import prompt
from processes import gateway, helper, load

from llmcp.core.credentials import Credential, CredentialEntry
from llmcp.core.estimate import input_tokens
from llmcp.core.http import RequestHead
from llmcp.core.identity import DirectoryData, Org, Token
from llmcp.core.settings import ProviderSettings, Settings
from llmcp.core.virtual_keys import RANDOM_BYTES, digest, make
from llmcp.engine.access import NOBODY, Access
from llmcp.engine.exchange import Exchange
from llmcp.engine.plane import Plane
from llmcp.engine.settlement import settle
from llmcp.plugins import dialect_families
from llmcp.providers.catalog import load_catalog
from llmcp.providers.surface import CatalogSurface
from llmcp.wiring.compiling import compile_policies
from llmcp.wiring.loading import load_prices

if TYPE_CHECKING:
    from llmcp.core.http import Headers

LIMIT_US = 10.0
_PATH = "/openai/v1/chat/completions"
_OWN = "sk-" + "o" * 48


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


def directory(tokens: int, orgs: int) -> tuple[DirectoryData, list[str]]:
    """Return so many tokens in so many orgs, half of them with an expiry, and their keys."""
    pepper = os.urandom(32)
    keys, made = [], []
    for number in range(tokens):
        token_id, prefix, key = make(os.urandom(RANDOM_BYTES))
        keys.append(key)
        made.append(
            Token(
                id=token_id, prefix=prefix, digest=digest(pepper, key), org=f"org-{number % orgs}", user=f"user-{number}",
                groups=("eng", "oncall"), labels={"team": f"t{number % 50}"}, expires="2099-01-01T00:00:00.000000Z" if number % 2 else "",
            )
        )  # fmt: skip
    return DirectoryData(tokens=tuple(made), orgs=tuple(Org(name=f"org-{n}") for n in range(orgs)), pepper=pepper), keys


def credentials(orgs: int) -> list[Credential]:
    """Return a credential for every org and a shared one."""
    names = ["", *(f"org-{n}" for n in range(orgs))]
    return [Credential(CredentialEntry(id=f"c{n}", provider="openai", org=org), f"sk-{n:040}") for n, org in enumerate(names)]


def plane() -> tuple[Plane, Any]:
    """Return a plane with the 50 rules of the benchmark, and its prices."""
    settings = Settings(providers={"openai": ProviderSettings(base_url="http://127.0.0.1:9")})
    compiled = compile_policies([Path(__file__).parent / "policies"], settings, datetime.now(UTC))
    assert compiled.revision is not None, compiled.problems
    prices = load_prices(settings)
    surface = CatalogSurface(load_catalog(), dialect_families(), settings.providers)
    return Plane(compiled.revision, surface, settings, input_tokens, lambda *_: 0), prices


def headers(key: str, body: bytes) -> Headers:
    """Return what an SDK sends, with the key as Bearer."""
    said = {
        "host": "127.0.0.1:8900", "accept": "application/json", "content-type": "application/json", "user-agent": "OpenAI/Python 3.52",
        "x-stainless-lang": "python", "x-stainless-async": "false", "x-stainless-runtime": "CPython", "authorization": f"Bearer {key}",
        "content-length": str(len(body)),
    }  # fmt: skip
    return tuple((name.encode(), value.encode()) for name, value in said.items())


class Engine:
    """Runs whole exchanges without sockets."""

    def __init__(self, on: Plane, prices: Any) -> None:
        self._plane, self._prices, self._clock = on, prices, _Clock()
        self._body = prompt(2048, stream=False)
        answer = {"model": "gpt-4o", "choices": [{"message": {"content": "x" * 400}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 500, "completion_tokens": 100}}  # fmt: skip
        self._answer = json.dumps(answer).encode()

    def heads(self, keys: list[str]) -> list[RequestHead]:
        """Return a head for each key."""
        return [RequestHead("POST", _PATH, headers(key, self._body), "127.0.0.1") for key in keys]

    def run(self, heads: list[RequestHead], access: Access) -> float:
        """Return the CPU time of one exchange a head, in microseconds."""
        settled: list[Any] = []
        plane, prices, clock, body, answer = self._plane, self._prices, self._clock, self._body, self._answer
        said = ((b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode()))

        def emit(exchange: Exchange) -> None:
            settled.append(settle(exchange, prices=prices, now=clock.now(), ended_ns=clock.monotonic_ns()))

        gc.collect()
        began = time.process_time_ns()
        for head in heads:
            exchange = Exchange(plane, decision_id="d_0123456789ab", client_ip="127.0.0.1", clock=clock, emit=emit, access=access)
            exchange.receive_head(head)
            exchange.receive_body(body)
            exchange.receive_response_head(200, said)
            exchange.receive_response_data(answer)
            exchange.receive_response_end()
            exchange.finished()
        took = time.process_time_ns() - began
        assert all(record.outcome in {"allowed", "edited"} for record in settled), settled[0]
        return took / len(heads) / 1000


def engine(tokens: int, orgs: int, rounds: int) -> dict[str, Any]:
    """Measure the engine."""
    data, keys = directory(tokens, orgs)
    stored = credentials(orgs)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    access = Access(data, stored)
    snapshot = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    on, prices = plane()
    machine = Engine(on, prices)
    own = [f"{_OWN}{number}" for number in range(tokens)]
    found: dict[str, list[tuple[float, float]]] = {"warm": [], "cold": []}
    warm_own, warm_key = machine.heads(own[:1]) * 2000, machine.heads(keys[:1]) * 2000
    cold_own, cold_key = machine.heads(own), machine.heads(keys)
    machine.run(warm_own, NOBODY)
    machine.run(warm_key, access)
    for _ in range(rounds):
        found["warm"].append((machine.run(warm_own, NOBODY), machine.run(warm_key, access)))
        found["cold"].append((machine.run(cold_own, NOBODY), machine.run(cold_key, access)))
    result: dict[str, Any] = {"tokens": tokens, "orgs": orgs, "bytes_per_token": round(snapshot / tokens)}
    for name, pairs in found.items():
        result[name] = {
            "own_key_us": round(statistics.median(a for a, _ in pairs), 2),
            "virtual_key_us": round(statistics.median(b for _, b in pairs), 2),
            "added_us": round(statistics.median(b - a for a, b in pairs), 2),
        }
    began = time.process_time_ns()
    Access(data, stored)
    result["build_ms"] = round((time.process_time_ns() - began) / 1e6, 1)
    return result


def through_gateway(tokens: int, orgs: int, rounds: int) -> dict[str, Any]:
    """Measure a daemon whose store has so many tokens; two clients' keys take turns."""
    with tempfile.TemporaryDirectory(prefix="llmcp-bench-") as scratch, helper("mock_upstream.py") as (_, mock):
        home = Path(scratch) / "home"
        settings = {"PROVIDERS__OPENAI__BASE_URL": f"http://127.0.0.1:{mock}", "CREDENTIALS__BACKEND": "file"}
        with gateway(home, settings, policies=Path(__file__).parent / "policies") as daemon:
            key = _fill(daemon, tokens, orgs)
            pid = daemon.status.get("pid") or daemon.process.pid
            pairs = []
            for _ in range(rounds):
                pair = [
                    load(
                        "requests", daemon.port, "--path", _PATH, "-c", 1, "-n", 2000, "--key", bearer, "--watch", f"proxy={pid}"
                    )
                    for bearer in (_OWN, key)
                ]
                pairs.append(tuple(1000 * run["cpu_ms_per_request"]["proxy"] for run in pair))
    return {
        "own_key_us": round(statistics.median(a for a, _ in pairs), 1),
        "virtual_key_us": round(statistics.median(b for _, b in pairs), 1),
        "added_us": round(statistics.median(b - a for a, b in pairs), 1),
    }


def _load(port: int, pid: int, bearer: str) -> dict[str, Any]:
    os.environ["BENCH_KEY"] = bearer
    return load("requests", port, "--path", _PATH, "-c", 1, "-n", 2000, "--key-from-env", "BENCH_KEY", "--watch", f"proxy={pid}")


def _fill(daemon: Any, tokens: int, orgs: int) -> str:
    """Put tokens and orgs into the daemon's store, one of them with a key that is used; return that key."""
    import sqlite3
    import subprocess

    from processes import llmcp_command

    subprocess.run(
        [*llmcp_command(), "key", "set", "openai", "--stdin"], env=daemon.environ, input="sk-" + "s" * 40 + "\n", text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    daemon.cli("token", "create", "--org", "default", "--json")  # makes the pepper; the others only have to be there
    data, _ = directory(tokens, orgs)
    with sqlite3.connect(daemon.home / "llmcp.db") as store:
        store.executemany("INSERT INTO orgs VALUES (?, '', 'UTC', 1, '')", [(org.name,) for org in data.orgs])
        store.executemany(
            "INSERT INTO tokens VALUES (?, ?, ?, ?, '', ?, '[]', '{}', '[]', '[]', '', ?, '', '')",
            [(t.id, t.prefix, t.digest, t.org, t.user, t.expires) for t in data.tokens],
        )
    store.close()
    # The verb goes last: its change number makes the daemon read all of it.
    made = json.loads(daemon.cli("token", "create", "--org", "org-1", "--json"))
    time.sleep(2)
    return str(made["token"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--orgs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--gateway", action="store_true", help="also through a real daemon")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    args = parser.parse_args()
    report = engine(args.tokens, args.orgs, args.rounds)
    if args.gateway:
        report["gateway"] = through_gateway(args.tokens, args.orgs, args.rounds)
    met = report["warm"]["added_us"] <= LIMIT_US
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        print(
            f"{args.tokens} tokens, {args.orgs} orgs: {report['bytes_per_token']} bytes a token, built in {report['build_ms']} ms"
        )
        for name in ("warm", "cold", "gateway"):
            if name in report:
                row = report[name]
                print(
                    f"{name:8} own key {row['own_key_us']:7} µs   virtual key {row['virtual_key_us']:7} µs   added {row['added_us']:6} µs"
                )
        print(f"target: at most {LIMIT_US} µs added (warm): {'met' if met else 'missed'}")
    sys.exit(1 if args.strict and not met else 0)


if __name__ == "__main__":
    main()
