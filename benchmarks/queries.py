"""How long a filtered page takes in a store of ten million records.

    python benchmarks/queries.py --rows 10000000 [--keep DIR]

The store is built straight in the writer's tables (200 orgs, 2,000 tokens, 12 models, some 30,000 facets, 30 days), in a temporary
directory that is removed at the end. Every record has the same bytes, padded to `--bytes`: what is measured is the finding. Each
query is a whole page of 100 records, read, on a connection of its own; the pages of the file are warm.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

import msgspec

from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import DecisionRecord, canonical, timestamp
from llmcp.core.usage import UsageQuery
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.file import connect, prepare
from llmcp.stores.sqlite.spans import note_spans
from llmcp.stores.sqlite.usage import SqliteUsage

DAYS = 30
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = [f"{family}-{size}" for family in ("gpt-4o", "claude-sonnet", "gemini-pro", "llama") for size in ("mini", "large", "x")]
BATCH = 20_000


def facets(rng: random.Random) -> Iterator[tuple[float, tuple[str, ...]]]:
    """Yield each facet with its weight: an ordinary request of every token and model, and what happens now and then."""
    for token in range(2_000):
        org = f"org-{token % 200:03d}"
        weight = 1 / (1 + token % 97)
        for model in rng.sample(MODELS, 3):
            provider = {"g": "openai", "c": "anthropic", "l": "groq"}[model[0]]
            base = (org, f"app-{token % 5}", f"person:{token:032x}", f"tok_{token:04d}", provider, "chat", model, f"{model}-1")
            label = f"\nproject=p{token % 300}\nteam=t{token % 40}\n"
            yield weight, (*base, "allowed", "", "", label)
            yield weight / 30, (*base, "denied", f"\nagents/rule-{token % 20}\n", "", label)
            yield weight / 50, (*base, "redacted", "\nprivacy/hide\n", "\npii.email\n", label)
            yield weight / 90, (*base, "error", "", "", label)
            yield weight / 5_000, (*base, "allowed", "\nrare/seldom\n", "\nsecret.aws_access_key\n", label)


def build(path: Path, rows: int, record_bytes: int) -> None:
    """Write the store."""
    rng = random.Random(7)
    prepare(path)
    connection = connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    for index in ("idx_records_time", "idx_records_facet"):
        connection.execute(f"DROP INDEX {index}")
    weights, values = zip(*facets(rng), strict=True)
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO facets VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        ((number, number.to_bytes(8), *value) for number, value in enumerate(values, 1)),
    )
    persons = (
        (f"person:{token:032x}", f"org-{token % 200:03d}", "user", f"user-{token}@example", b"s") for token in range(2_000)
    )
    connection.executemany("INSERT INTO persons VALUES (?,?,?,?,?)", persons)
    connection.execute("COMMIT")
    cumulative, numbers = list(accumulate(weights)), range(1, len(values) + 1)
    blob = canonical(DecisionRecord(id="d_" + "0" * 32, time=timestamp(BEGIN)))
    blob = (
        blob.ljust(record_bytes)
        if record_bytes >= len(blob)
        else msgspec.json.encode(
            {
                "id": "d_" + "0" * 32,
                "time": timestamp(BEGIN),
                "user": "",
                "facts": {"client_ip": ""},
                "gen_ai": {"input_tokens": 900},
            }
        ).ljust(record_bytes)
    )
    step = timedelta(days=DAYS) / rows
    for first in range(1, rows + 1, BATCH):
        seqs = range(first, min(first + BATCH, rows + 1))
        # Nearly in the order of time: a long stream is recorded when it ends.
        times = [timestamp(BEGIN + step * seq - timedelta(seconds=rng.choice((0, 0, 0, 2)))) for seq in seqs]
        chosen = rng.choices(numbers, cum_weights=cumulative, k=len(seqs))
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO records VALUES (?,?,?,?,?)",
            ((seq, f"d_{seq:032x}", at, facet, blob) for seq, at, facet in zip(seqs, times, chosen, strict=True)),
        )
        note_spans(connection, first, times)
        connection.executemany(
            "INSERT INTO record_sessions VALUES (?,?,?)", ((seq >> 16, f"s-{seq // 4000:05d}", seq) for seq in seqs[::20])
        )
        connection.execute("COMMIT")
    connection.execute("CREATE INDEX idx_records_time ON records (time)")
    connection.execute("CREATE INDEX idx_records_facet ON records (facet)")
    connection.execute(
        "INSERT INTO usage SELECT unixepoch(time) / 3600, facet, count(*), count(*) * 900, count(*) * 90, 0, 0, 0, count(*) * 700"
        " FROM records GROUP BY 1, 2"
    )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def kinds(rows: int) -> dict[str, Callable[[random.Random], RecordFilter]]:
    """Return the queries by name."""

    def at(share: float) -> str:
        return timestamp(BEGIN + timedelta(days=DAYS) * share)

    def made(**fields: object) -> Callable[[random.Random], RecordFilter]:
        return lambda rng: RecordFilter(limit=100, **{k: v(rng) if callable(v) else v for k, v in fields.items()})  # type: ignore[arg-type]

    def org(rng: random.Random) -> str:
        return f"org-{rng.randrange(200):03d}"

    return {
        "newest": made(),
        "org": made(org=org),
        "app": made(app="app-2"),
        "user": made(user=lambda rng: f"user-{rng.randrange(2_000)}@example"),
        "token": made(key_id=lambda rng: f"tok_{rng.randrange(2_000):04d}"),
        "model glob": made(model="GPT-4o*"),
        "model of one org": made(model="*-mini", org=org),
        "provider": made(provider="groq"),
        "outcome denied": made(outcome="denied"),
        "outcome allowed (common)": made(outcome="allowed"),
        "rule": made(rule="agents/rule-7"),
        "rare rule": made(rule="seldom"),
        "kind pii.*": made(kind="pii.*"),
        "rare kind and common outcome": made(kind="secret.*", outcome="allowed"),
        "rare kind of one org": made(kind="secret.*", org=org),
        "label": made(labels=lambda rng: (f"project=p{rng.randrange(300)}",)),
        "text over labels": made(text=lambda rng: f"T{rng.randrange(40)}"),
        "session": made(session=lambda rng: f"s-{rng.randrange(rows // 4000 or 1):05d}"),
        "decision id": made(decision_id=lambda rng: f"d_{rng.randrange(1, rows):032x}"),
        "last hour": made(since=at(1 - 1 / 24 / DAYS)),
        "a day in the middle, denied": made(since=at(0.5), until=at(0.5 + 1 / DAYS), outcome="denied"),
        "first half, rare rule": made(until=at(0.5), rule="seldom"),
        "a minute, one org": made(since=at(0.3), until=at(0.3 + 1 / 1440 / DAYS), org=org),
        "page in the middle, denied": made(outcome="denied", before_seq=lambda rng: rng.randrange(1, rows)),
        "oldest first, org": made(org=org, after_seq=0),
        "nothing: unknown model": made(model="nothing-*"),
        "nothing: two that exclude each other": made(outcome="denied", kind="secret.*"),
        "nothing: before the first": made(until=at(-0.1), outcome="allowed"),
        "nothing: many facets, empty time": made(since=at(1.5), outcome="allowed"),
        "nothing: unknown session": made(session="none"),
    }


def measure(path: Path, rows: int, repeats: int) -> None:
    """Print p50 and p99 of each query."""
    log, rng = SqliteAuditLog(path), random.Random(3)
    print(f"{'query':40}{'rows':>6}{'first ms':>10}{'p50 ms':>10}{'p99 ms':>10}{'p50 CPU':>10}")
    for name, made in kinds(rows).items():
        took, cpu, found = [], [], 0
        for _ in range(repeats):
            wanted = made(rng)
            begin, spent = time.perf_counter(), time.process_time()
            found = len(list(log.page(wanted).records))
            cpu.append((time.process_time() - spent) * 1e3)
            took.append((time.perf_counter() - begin) * 1e3)
        last = sorted(took)[int(len(took) * 0.99)]
        figures = (took[0], statistics.median(took), last, statistics.median(cpu))
        print(f"{name:40}{found:6}" + "".join(f"{figure:10.1f}" for figure in figures), flush=True)
    for by in (("model",), ("org", "outcome"), ("day",)):
        begin, spent = time.perf_counter(), time.process_time()
        count = len(list(SqliteUsage(path).rows(UsageQuery(by, RecordFilter(since=timestamp(BEGIN + timedelta(hours=7.5)))))))
        figures = ((time.perf_counter() - begin) * 1e3, (time.process_time() - spent) * 1e3)
        print(f"{f'usage by {",".join(by)}, 30 days':40}{count:6}{figures[0]:10.1f}{figures[1]:30.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--bytes", type=int, default=480)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="build here (or use what is here), and do not remove it")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = (asked.keep or Path(temporary)) / "llmcp.db"
        if not path.exists():
            begin = time.perf_counter()
            build(path, asked.rows, asked.bytes)
            size = path.stat().st_size / 1e9
            print(
                f"built {asked.rows:,} records in {time.perf_counter() - begin:.0f} s, {size:.1f} GB, SQLite {sqlite3.sqlite_version}"
            )
        measure(path, asked.rows, asked.repeats)


if __name__ == "__main__":
    main()
