"""The report: what governing a request costs, always beside a bare pass-through measured in the same run.

Rules:
1. The gateway is the real `llmcp serve` in a home of its own with the 50 rules of `benchmarks/policies`; its upstream, the bare
   proxy and the load generator are processes of their own.
2. Bare and governed runs take turns, several rounds; the figure is the median of the rounds, so that a drifting machine spoils
   both alike.
3. CPU time is what the kernel charged the process during the measured part: the figure that noise spoils least.
4. A target that is missed is marked, never left out. Nothing is written but what `--out` names.

Run: `benchmarks/gateway.py [--rounds 3] [--quick] [--json] [--out FILE]`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from processes import HERE, gateway, gateway_environ, helper, llmcp_command, load, resident_mb

_PATH = "/openai/v1/chat/completions"
_FIGURES = {
    "requests": ("latency_ms", "cpu_ms_per_request", "requests_per_s"),
    "streams": ("chunk_delay_ms", "cpu_us_per_chunk", "chunks_per_s"),
}


def scenarios(*, quick: bool) -> list[tuple[str, str, list[object]]]:
    """Return name, kind and load arguments of every scenario."""
    few = 8 if quick else 1
    return [
        ("2 KB, 1 at a time", "requests", ["-c", 1, "-n", 4000 // few]),
        ("2 KB, 16 at a time", "requests", ["-c", 16, "-n", 8000 // few]),
        ("2 KB, 64 at a time", "requests", ["-c", 64, "-n", 8000 // few]),
        ("4 KB, 16 at a time", "requests", ["-c", 16, "-n", 6000 // few, "--prompt-bytes", 4096]),
        ("100 KB, 16 at a time", "requests", ["-c", 16, "-n", 1200 // few, "--prompt-bytes", 100_000, "--warm-up", 50]),
        ("500 streams", "streams", ["-s", 500, "--seconds", 2 if quick else 5, "--chunks", 100]),
    ]


def measure(
    ports: dict[str, int], pids: dict[str, int], *, rounds: int, quick: bool
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Run every scenario against every proxy, in turns. Returns scenario → proxy → one result a round."""
    results: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for turn in range(rounds):
        for name, kind, args in scenarios(quick=quick):
            order = list(ports) if turn % 2 == 0 else list(reversed(ports))
            for proxy in order:
                print(f"round {turn + 1}/{rounds}: {name}: {proxy}", file=sys.stderr, flush=True)
                result = load(kind, ports[proxy], "--path", _PATH, *args, "--watch", f"proxy={pids[proxy]}")
                results[name][proxy].append(result)
    return results


def median_of(results: list[dict[str, Any]], *path: str) -> float:
    """Return the median over the rounds of the value at `path`."""
    values = []
    for result in results:
        value: Any = result
        for key in path:
            value = value[key]
        values.append(float(value))
    return round(statistics.median(values), 4)


def summarise(results: dict[str, dict[str, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Return one row a scenario: bare, governed, the ratio and what was added."""
    rows = []
    for name, by_proxy in results.items():
        kind = by_proxy["bare"][0]["kind"]
        timing, cpu, rate = _FIGURES[kind]
        row: dict[str, Any] = {"scenario": name, "kind": kind}
        for label, runs in by_proxy.items():
            row[f"{label}_cpu"] = median_of(runs, cpu, "proxy")
            row[f"{label}_per_s"] = median_of(runs, rate)
            if kind == "streams":
                row[f"{label}_core_percent"] = median_of(runs, "cpu_percent", "proxy")
            for p in ("p50", "p95", "p99"):
                row[f"{label}_{p}"] = median_of(runs, timing, p)
        row["cpu_ratio"] = round(row["llmcp_cpu"] / row["bare_cpu"], 2) if row["bare_cpu"] else 0.0
        for p in ("p50", "p95", "p99"):
            row[f"added_{p}"] = round(row[f"llmcp_{p}"] - row[f"bare_{p}"], 4)
        rows.append(row)
    return rows


def help_ms(environ: dict[str, str], times: int = 9) -> float:
    """Return the median time of `llmcp --help`, in milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([*llmcp_command(), "--help"], env=environ, capture_output=True, check=True)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def starts(settings: dict[str, str], times: int) -> float:
    """Return the median time from `llmcp serve` to ready with the 50 rules, in seconds."""
    took = []
    for _ in range(times):
        with (
            tempfile.TemporaryDirectory(prefix="llmcp-bench-") as home,
            gateway(Path(home), settings, policies=HERE / "policies") as running,
        ):
            took.append(running.ready_s)
    return statistics.median(took)


def targets(rows: list[dict[str, Any]], facts: dict[str, float]) -> list[dict[str, Any]]:
    """Hold what was measured against the targets. `limit` is inclusive."""
    by_name = {row["scenario"]: row for row in rows}
    one, sixteen, streams = by_name["2 KB, 1 at a time"], by_name["2 KB, 16 at a time"], by_name["500 streams"]
    wanted = [
        ("CPU a request, 2 KB, 1 at a time", one["llmcp_cpu"], 0.18, "ms"),
        ("CPU a request, 2 KB, 16 at a time", sixteen["llmcp_cpu"], 0.18, "ms"),
        ("CPU, 2 KB, 1 at a time", one["cpu_ratio"], 3.8, "x bare"),
        ("CPU, 2 KB, 16 at a time", sixteen["cpu_ratio"], 3.8, "x bare"),
        ("p50 added, 1 at a time", one["added_p50"], 0.35, "ms"),
        ("chunk delay p99, 500 streams", streams["llmcp_p99"], 2.0, "ms"),
        ("resident memory when ready", facts["resident_ready_mb"], 60.0, "MB"),
        ("resident memory after the load", facts["resident_after_mb"], 60.0, "MB"),
        ("start to ready", facts["ready_s"], 0.5, "s"),
        ("`llmcp --help`", facts["help_ms"], 165.0, "ms"),
    ]
    return [{"what": w, "measured": round(m, 3), "limit": limit, "unit": u, "met": m <= limit} for w, m, limit, u in wanted]


def markdown(report: dict[str, Any]) -> str:
    """Render the report."""
    lines = [
        f"Measured on {report['machine']}, Python {report['python']}: the median of {report['rounds']} rounds.",
        "50 rules loaded, no detectors. CPU: ms a request (streams: µs a chunk).",
        "",
        "| scenario | bare CPU | llmcp CPU | x bare | bare /s | llmcp /s | added p50 / p95 / p99 ms | llmcp p50 / p95 / p99 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['scenario']} | {r['bare_cpu']} | {r['llmcp_cpu']} | {r['cpu_ratio']} | {r['bare_per_s']:.0f} | {r['llmcp_per_s']:.0f} "
        f"| {r['added_p50']:.3f} / {r['added_p95']:.3f} / {r['added_p99']:.3f} "
        f"| {r['llmcp_p50']:.3f} / {r['llmcp_p95']:.3f} / {r['llmcp_p99']:.3f} |"
        for r in report["rows"]
    ]
    streams = next(r for r in report["rows"] if r["kind"] == "streams")
    lines += [
        "",
        f"500 streams took {streams['llmcp_core_percent']} % of a core (bare {streams['bare_core_percent']} %).",
        "",
        "| target | measured | limit | |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {t['what']} | {t['measured']} {t['unit']} | ≤ {t['limit']} {t['unit']} | {'✓' if t['met'] else '✗'} |"
        for t in report["targets"]
    ]
    return "\n".join(lines) + "\n"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Start everything, measure, and end everything."""
    with tempfile.TemporaryDirectory(prefix="llmcp-bench-") as scratch, helper("mock_upstream.py") as (_, mock):
        place = f"http://127.0.0.1:{mock}"
        settings = {f"PROVIDERS__{p}__BASE_URL": place for p in ("OPENAI", "ANTHROPIC")}
        facts = {
            "help_ms": help_ms(gateway_environ(Path(scratch), settings)),
            "ready_s": starts(settings, 3 if args.quick else 7),
        }
        with (
            helper("bare_proxy.py", "--upstream", f"127.0.0.1:{mock}", "--strip", "/openai") as (bare, bare_port),
            gateway(Path(scratch) / "home", settings, policies=HERE / "policies") as llmcp,
        ):
            if llmcp.status.get("problems"):
                msg = f"the policies of the benchmark do not load: {llmcp.status['problems']}"
                raise RuntimeError(msg)
            daemon = llmcp.status.get("pid") or llmcp.process.pid
            facts["resident_ready_mb"] = resident_mb(daemon)
            rows = summarise(
                measure(
                    {"bare": bare_port, "llmcp": llmcp.port},
                    {"bare": bare.pid, "llmcp": daemon},
                    rounds=args.rounds,
                    quick=args.quick,
                ),
            )
            facts["resident_after_mb"] = resident_mb(daemon)
            facts["bare_resident_mb"] = resident_mb(bare.pid)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "rounds": args.rounds,
        "facts": {k: round(v, 3) for k, v in facts.items()},
        "rows": rows,
        "targets": targets(rows, facts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="an eighth of the requests: for a look, not for a figure")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the JSON report here")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    args = parser.parse_args()
    report = run(args)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    sys.stdout.write(json.dumps(report, indent=1) + "\n" if args.json else markdown(report))
    sys.exit(1 if args.strict and not all(t["met"] for t in report["targets"]) else 0)


if __name__ == "__main__":
    main()
