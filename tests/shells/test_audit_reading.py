"""`llmcp audit` and `llmcp usage` as processes: following under load, pages, forms of output."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llmcp.core.records import DecisionRecord, Finding, GenAi, Rule
from llmcp.stores.sqlite.audit_log import SqliteAuditLog

BURST = 20_000
_WRITER = """
import sys
from pathlib import Path
from llmcp.core.records import DecisionRecord
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
path, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for part in range(2):
    log = SqliteAuditLog(path)  # the second time as a daemon that was started again
    for start in range(first + part * count // 2, first + (part + 1) * count // 2, 100):
        ids = [f"d_{number:08d}" for number in range(start, start + 100)]
        log.append([DecisionRecord(id=one, decision_id=one, time="2026-01-01T00:00:00.000000Z", org=f"o{start % 7}") for one in ids])
    log.close()
"""


def _environ(home: Path) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}, "LLMCP_HOME": str(home)}


def llmcp(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run one command."""
    command = [sys.executable, "-m", "llmcp", *args]
    return subprocess.run(command, env=_environ(home), capture_output=True, text=True, check=False, timeout=60)


@contextmanager
def following(home: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run `audit tail -f` until the block ends."""
    command = [sys.executable, "-m", "llmcp", "audit", "tail", "-f", *args]
    with subprocess.Popen(command, env=_environ(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a handful of records."""
    home = tmp_path / "home"
    log = SqliteAuditLog(home / "llmcp.db")
    log.append([_record(number) for number in range(1, 11)])
    log.close()
    return home


def _record(number: int, **fields: Any) -> DecisionRecord:
    name = f"d_{number:08d}"
    given: dict[str, Any] = {
        "time": f"2026-01-01T{number:02d}:30:00.000000Z",
        "org": "acme" if number % 2 else "beta",
        "user": "zoë@x",
        "labels": {"team": "red" if number < 4 else "blue"},
        "outcome": "denied" if number == 5 else "allowed",
        "rules": (Rule("deny", "no-shell", "enforce", "agents"),) if number == 5 else (),
        "findings": (Finding("none", 1, "pii.email"),) if number == 6 else (),
        "cost_microusd": 1000 * number,
        "latency_ms": 10 * number,
        "gen_ai": GenAi(provider="openai", request_model="gpt-4o", input_tokens=number, output_tokens=2),
    }
    return DecisionRecord(id=name, decision_id=name, **(given | fields))


def test_a_follower_loses_and_repeats_nothing_of_twenty_thousand_records(home: Path) -> None:
    """Another process appends as fast as it can, and begins anew halfway."""
    with following(home, "-n", "1", "-o", "jsonl") as tail:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["seq"] == 10
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(home / "llmcp.db"), "100", str(BURST)])
        seqs = [json.loads(tail.stdout.readline())["seq"] for _ in range(BURST)]
        assert writer.wait(60) == 0
        assert seqs == list(range(11, BURST + 11))


def test_a_follower_ends_cleanly_when_it_is_interrupted(home: Path) -> None:
    """Ctrl-C is the way to end it, so it is no error."""
    with following(home, "--org", "acme") as tail:
        assert tail.stdout is not None
        for _ in range(5):
            assert tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        assert (tail.wait(20), tail.stderr.read() if tail.stderr else "") == (0, "")


def test_a_follower_ends_quietly_when_nobody_reads_any_more(home: Path) -> None:
    """`llmcp audit tail -f | head -1`."""
    with following(home, "-n", "1", "-o", "jsonl") as tail:
        assert tail.stdout is not None
        assert tail.stdout.readline()
        tail.stdout.close()
        log = SqliteAuditLog(home / "llmcp.db")
        log.append([_record(50, time="2026-01-02T00:00:00.000000Z")])
        log.close()
        assert (tail.wait(20), tail.stderr.read() if tail.stderr else "") == (0, "")


def test_pages_lead_through_all_records_from_either_end(home: Path) -> None:
    """The cursor stands in the document, or on standard error beside other forms."""
    for way, expected in (
        ((), [[8, 9, 10], [5, 6, 7], [2, 3, 4], [1]]),
        (("--oldest",), [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10]]),
    ):
        pages, cursor = [], ""
        while True:
            page = json.loads(llmcp(home, "audit", "query", "--limit", "3", "--json", "--paged", "--cursor", cursor, *way).stdout)
            pages.append([row["seq"] for row in page["records"]])
            cursor = page["next"]
            if not cursor:
                break
        assert pages == expected
    told = llmcp(home, "audit", "query", "--limit", "3", "-o", "jsonl")
    cursor = told.stderr.split("--cursor ")[1].strip("`\n")
    again = llmcp(home, "audit", "query", "--limit", "3", "-o", "jsonl", "--cursor", cursor)
    assert [json.loads(line)["seq"] for line in again.stdout.splitlines()] == [5, 6, 7]
    other = llmcp(home, "audit", "query", "--org", "acme", "--cursor", cursor)
    assert (other.returncode, "error[bad-cursor]" in other.stderr) == (2, True)


@pytest.mark.parametrize(
    ("args", "seqs"),
    [
        (["--org", "acme", "--label", "team=red"], [1, 3]),
        (["--text", "RED"], [1, 2, 3]),
        (["--kind", "pii.*"], [6]),
        (["--rule", "no-shell"], [5]),
        (["--user", "zoë@x", "--outcome", "denied"], [5]),
        (["--decision-id", "d_00000007"], [7]),
        (["--model", "GPT-*", "--since", "2026-01-01T08:00:00Z"], [8, 9, 10]),
    ],
)
def test_filters_narrow_what_is_listed(home: Path, args: list[str], seqs: list[int]) -> None:
    """As the help promises; and plain JSON stays one array of records."""
    assert [row["seq"] for row in json.loads(llmcp(home, "audit", "query", "--json", *args).stdout)] == seqs


def test_every_form_of_output_says_the_same(home: Path) -> None:
    """One array, one record a line, a header and rows, a table."""
    rows = json.loads(llmcp(home, "audit", "query", "-o", "json").stdout)
    lines = [json.loads(line) for line in llmcp(home, "audit", "query", "-o", "jsonl").stdout.splitlines()]
    cells = list(csv.DictReader(io.StringIO(llmcp(home, "audit", "query", "-o", "csv").stdout)))
    assert rows == lines
    assert [int(cell["seq"]) for cell in cells] == [row["seq"] for row in rows]
    assert len(llmcp(home, "audit", "query", "-o", "table").stdout.splitlines()) == 11
    assert json.loads(llmcp(home, "audit", "query", "--org", "none", "--json").stdout) == []


def test_usage_has_the_contracts_rows(home: Path) -> None:
    """Exact integers under the contract's names, whatever the grouping."""
    rows = json.loads(llmcp(home, "usage", "--by", "model,org", "--since", "2026-01-01", "--json").stdout)
    assert [{key: row[key] for key in list(row)[:7]} for row in rows] == [
        {
            "model": "gpt-4o", "org": "beta", "requests": 5, "input_tokens": 30, "output_tokens": 10, "cached_tokens": 0,
            "cost_microusd": 30000,
        },
        {
            "model": "gpt-4o", "org": "acme", "requests": 5, "input_tokens": 25, "output_tokens": 10, "cached_tokens": 0,
            "cost_microusd": 25000,
        },
    ]  # fmt: skip
    users = json.loads(llmcp(home, "usage", "--by", "user", "--since", "2026-01-01", "--json").stdout)
    assert [row["user"] for row in users] == ["zoë@x"]


def test_usage_draws_bars_within_the_terminal(home: Path) -> None:
    """A series of time has no gaps, and money is dollars."""
    drawn = llmcp(home, "usage", "--by", "hour", "--since", "2026-01-01", "--chart").stdout.splitlines()
    assert drawn[0] == "cost by hour"
    assert [line[:13] for line in drawn[1:]] == [f"2026-01-01T{hour:02d}" for hour in range(1, 11)]
    assert all(len(line) <= 80 for line in drawn)
    assert drawn[-1].endswith("$0.010000")


def test_stats_tell_a_span_in_figures(home: Path) -> None:
    """Outcomes, refusing rules, tokens, money and percentiles."""
    found = json.loads(llmcp(home, "audit", "stats", "--since", "2026-01-01", "--json").stdout)
    assert (found["requests"], found["refused"], found["errors"]) == (10, 1, 0)
    assert found["refusals"] == [{"rule": "agents/no-shell", "requests": 1}]
    assert found["cost_microusd"] == 55_000
    assert (found["latency"]["records"], found["latency"]["p50_ms"], found["latency"]["p95_ms"]) == (10, 50, 100)
    assert found["busiest"]["org"] == [{"org": "acme", "requests": 5}, {"org": "beta", "requests": 5}]
    assert "p50 50 ms" in llmcp(home, "audit", "stats", "--since", "2026-01-01").stdout


@pytest.mark.parametrize(
    "args",
    [
        ["usage", "--by", "nonsense"],
        ["usage", "--chart", "--json"],
        ["usage", "--chart", "--measure", "nonsense"],
        ["audit", "query", "--stream", "nonsense"],
        ["audit", "query", "--stream", "control", "--model", "x"],
        ["audit", "query", "--actor", "x"],
        ["audit", "query", "--paged"],
        ["audit", "stats", "--by", ""],
    ],
)
def test_what_makes_no_sense_is_refused(home: Path, args: list[str]) -> None:
    """Exit code 2 with a way out, never an empty answer."""
    refused = llmcp(home, *args)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(("error[", '{"error":'))
