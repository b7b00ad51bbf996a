"""What it costs to keep a record: row, facet, leaf and usage of a realistic mix, beside a bare batched insert in the same run.

Rules:
1. The mix: 200 orgs, 2,000 tokens with users and addresses, 10 models, labels on a third of the records, rules on a tenth,
   findings on a twentieth, sessions of half a minute. It is the same for every round, and made before the clock starts.
2. Bare is what SQLite can do: the same records' bytes into a table of two columns, same batches, same settings of the file.
3. Bare and whole take turns, each on one file from the first round to the last; figures are the medians of the rounds. CPU time is what the kernel charged the thread that writes.
4. A target that is missed is marked, never left out.

Run: `benchmarks/records.py [--records 50000] [--before 0] [--rounds 3] [--batch 512] [--profile] [--json] [--strict]`.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import json
import pstats
import random
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmcp.core.records import (
    DecisionRecord,
    Facts,
    Finding,
    GenAi,
    Inspected,
    Inspection,
    Rule,
    Upstream,
    WouldBe,
    canonical,
)
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.file import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ORGS, TOKENS = 200, 2000
MODELS = (
    "gpt-4o", "gpt-4o-mini", "gpt-4.1", "o3-mini", "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-pro", "gemini-2.5-flash",
    "mistral-large-latest", "deepseek-chat",
)  # fmt: skip
RULES = tuple(Rule("deny", f"rule-{number}", "enforce", f"policy-{number % 5}") for number in range(20))
CPU_MS_TARGET, PER_SECOND_TARGET = 0.06, 10_000


def mix(count: int, *, first: int, seed: int) -> list[DecisionRecord]:
    """Return so many records; `first` numbers their ids, `seed` chooses what they say."""
    chosen = random.Random(seed)
    return [_record(first + number, chosen) for number in range(count)]


def _record(number: int, chosen: random.Random) -> DecisionRecord:
    token = int(TOKENS * chosen.random() ** 3)  # some ask a lot, many seldom
    model = MODELS[(token + int(chosen.random() ** 2 * 3)) % len(MODELS)]
    ruled, found = chosen.random() < 0.1, chosen.random() < 0.05
    denied = ruled and chosen.random() < 0.5
    second = 1_790_000_000 + number // 2000
    name = f"d_{second:012x}{chosen.getrandbits(80):020x}"
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return DecisionRecord(
        id=name,
        decision_id=name,
        time=f"{moment}.{number % 2000 * 500:06d}Z",
        org=f"org-{token % ORGS:03d}",
        app=f"app-{token % 7}",
        user=f"user-{token}@example.org",
        key_id=f"tok_{token:016x}",
        operation="chat",
        outcome="denied" if denied else "allowed",
        agent="claude-code/2.1",
        session=f"{token * 0x9E3779B97F4A7C15 % 2**64:016x}{number // 50_000:08x}",
        revision="sha256:" + "5e" * 32,
        labels={"team": f"team-{token % 20}", "env": "prod"} if token % 3 == 0 else {},
        rules=(RULES[token % 20],) if denied else (),
        would_be=WouldBe((RULES[token % 20],), "deny") if ruled and not denied else WouldBe(),
        findings=(Finding("none", 1 + token % 3, "pii.email"),) if found else (),
        gen_ai=GenAi(
            provider="anthropic" if model[0] == "c" else "openai",
            request_model=model,
            response_model=f"{model}-2026-05-13",
            input_tokens=chosen.randrange(20_000),
            output_tokens=chosen.randrange(2000),
            cached_tokens=chosen.randrange(100),
            finish_reasons=("stop",),
            streamed=True,
            usage_source="provider",
        ),
        facts=Facts(
            client_ip=f"10.{token % 200}.{token // 200}.7",
            client_user_agent="OpenAI/Python 2.1.0",
            estimated_microusd=chosen.randrange(10_000),
            has_max_tokens=True,
            max_tokens=4096,
            stream=True,
            temperature="0.7",
            text_bytes=2048,
            turns=3,
        ),
        cost_microusd=chosen.randrange(10_000),
        price_source="table",
        latency_ms=chosen.randrange(5000),
        overhead_us=chosen.randrange(300),
        upstream=Upstream(1, 200),
        inspection=Inspection(Inspected(2048, scanned=True), Inspected(900, scanned=True)),
    )


class Bare:
    """A table of two columns, and what it costs to insert into it."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.connection = connect(path)
        self.connection.execute("PRAGMA page_size = 8192")
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("CREATE TABLE bare (seq INTEGER PRIMARY KEY, record BLOB NOT NULL)")
        self.last = 0

    def append(self, rows: Sequence[bytes]) -> None:
        """Insert one batch in a transaction."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO bare VALUES (?, ?)", enumerate(rows, self.last + 1))
        self.connection.execute("COMMIT")
        self.last += len(rows)


def timed[Row](append: Callable[[Sequence[Row]], object], rows: Sequence[Row], batch: int) -> tuple[float, float]:
    """Append in batches; return wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.thread_time()
    for start in range(0, len(rows), batch):
        append(rows[start : start + batch])
    return time.perf_counter() - wall, time.thread_time() - cpu


def measure(count: int, rounds: int, batch: int, before: int, profile: cProfile.Profile | None) -> dict[str, Any]:
    """Take turns; return medians and ratios."""
    spent: dict[str, list[tuple[float, float]]] = {"bare": [], "whole": []}
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as ends:
        path = Path(home) / "whole.db"
        log, table = SqliteAuditLog(path), Bare(Path(home) / "bare.db")
        ends.callback(table.connection.close)
        ends.callback(log.close)
        for start in range(0, before, 10_000):
            records = mix(min(10_000, before - start), first=start, seed=~start)
            timed(log.append, records, batch)
            timed(table.append, [canonical(record) for record in records], batch)
        for turn in range(rounds):
            records = mix(count, first=before + turn * count, seed=turn)
            rows = [canonical(record) for record in records]
            for name in ("bare", "whole") if turn % 2 else ("whole", "bare"):
                if name == "bare":
                    spent[name].append(timed(table.append, rows, batch))
                    continue
                if profile is not None:
                    profile.enable()
                spent[name].append(timed(log.append, records, batch))
                if profile is not None:
                    profile.disable()
        log.close()
        with closing(connect(path, read_only=True)) as connection:
            facets, usage = connection.execute("SELECT (SELECT count(*) FROM facets), (SELECT count(*) FROM usage)").fetchone()
        bytes_a_record = path.stat().st_size / (before + rounds * count)
    figures = {
        name: {
            "per_second": round(count / statistics.median(wall for wall, _ in turns)),
            "cpu_ms": round(1000 * statistics.median(cpu for _, cpu in turns) / count, 4),
        }
        for name, turns in spent.items()
    }
    return {
        **figures,
        "ratio_per_second": round(figures["whole"]["per_second"] / figures["bare"]["per_second"], 2),
        "ratio_cpu": round(figures["whole"]["cpu_ms"] / figures["bare"]["cpu_ms"], 2),
        "facets": facets,
        "usage_rows": usage,
        "bytes_a_record": round(bytes_a_record),
        "canonical_bytes": round(statistics.mean(map(len, rows))),
    }


def text(found: dict[str, Any], batch: int) -> str:
    """Return the report."""
    whole_, bare_ = found["whole"], found["bare"]
    cpu, speed = whole_["cpu_ms"], whole_["per_second"]
    size = f"{found['bytes_a_record']} bytes a record in the file ({found['canonical_bytes']} canonical)"
    return "\n".join(
        (
            f"bare batched insert   {bare_['per_second']:>7} rows/s     {bare_['cpu_ms']:.4f} ms CPU a row",
            f"record, leaf and all  {speed:>7} records/s  {cpu:.4f} ms CPU a record",
            f"ratio                 {found['ratio_per_second']:>7} of bare    x {found['ratio_cpu']} CPU",
            f"batches of {batch}; {found['facets']} facets, {found['usage_rows']} usage rows, {size}",
            f"{'ok    ' if cpu <= CPU_MS_TARGET else 'MISSED'} {cpu} ms CPU a record (target {CPU_MS_TARGET})",
            f"{'ok    ' if speed >= PER_SECOND_TARGET else 'MISSED'} {speed} records a second (target {PER_SECOND_TARGET})",
        )
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=50_000, help="a round")
    parser.add_argument("--before", type=int, default=0, help="records that are in the store already")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument(
        "--profile", action="store_true", help="say on standard error where the time goes (and spoil the figures)"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    asked = parser.parse_args()
    profile = cProfile.Profile() if asked.profile else None
    found = measure(asked.records, asked.rounds, asked.batch, asked.before, profile)
    if profile is not None:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(20)
    print(json.dumps(found, indent=2) if asked.json else text(found, asked.batch))
    missed = found["whole"]["cpu_ms"] > CPU_MS_TARGET or found["whole"]["per_second"] < PER_SECOND_TARGET
    return 1 if asked.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
