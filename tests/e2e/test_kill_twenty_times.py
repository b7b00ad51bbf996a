"""Twenty lives on one store, each ended by `kill -9` at a random moment under load; after every one the whole store is looked at."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from e2e.load import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.daemon import Daemon

LIVES = 20
COUNTED = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


def _committed(path: Path) -> dict[str, int]:
    """Return decision id → seq of what a reader sees now."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT id, seq FROM records").fetchall())


def _look(path: Path) -> dict[str, int]:
    """Hold rows, records, usage and leaves against each other; return decision id → seq."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        rows = connection.execute("SELECT seq, id, time, facet, record FROM records ORDER BY seq").fetchall()
        usage = connection.execute(f"SELECT hour, facet, requests, {', '.join(COUNTED)}, cost_microusd FROM usage").fetchall()  # noqa: S608
        tiles = connection.execute("SELECT hashes FROM tiles WHERE stream = 'decision' AND level = 0 ORDER BY number").fetchall()
    sums: Counter[tuple[str, int, str]] = Counter()
    ids: dict[str, int] = {}
    for (seq, name, moment, facet, data), expected in zip(rows, count(1)):
        record: dict[str, Any] = msgspec.json.decode(data)
        assert (seq, record["seq"], record["id"], record["time"]) == (expected, expected, name, moment)
        sums[moment[:13], facet, "requests"] += 1
        sums[moment[:13], facet, "cost_microusd"] += record["cost_microusd"]
        for counted in COUNTED:
            sums[moment[:13], facet, counted] += record["gen_ai"][counted]
        ids[name] = seq
    assert len(ids) == len(rows)
    rolled: Counter[tuple[str, int, str]] = Counter()
    for hour, facet, *numbers in usage:
        moment = time.strftime("%Y-%m-%dT%H", time.gmtime(hour * 3600))
        for counted, number in zip(("requests", *COUNTED, "cost_microusd"), numbers, strict=True):
            rolled[moment, facet, counted] += number
    assert rolled == sums
    leaves = b"".join(hashes for (hashes,) in tiles)
    assert leaves == b"".join(hashlib.sha256(b"\0" + data).digest() for *_, data in rows)
    return ids


@pytest.mark.timeout(240)
def test_twenty_kills_lose_nothing_double_nothing_and_miscount_nothing(make_daemon: Callable[..., Daemon]) -> None:
    """What a reader saw just before a kill stays; numbers have no gaps; usage and leaves are the records', after every life.

    Checkpoints are signed every few records and every second, so kills meet them too; what verifies in the end includes each.
    """
    moments = random.Random(9)  # noqa: S311 - reproducible moments, no secrets
    daemon = make_daemon(settings={"LEDGER__CHECKPOINT_RECORDS": "20", "LEDGER__CHECKPOINT_S": "1"})
    path = daemon.home / "llmcp.db"
    before: dict[str, int] = {}
    for life in range(LIVES):
        with load(daemon.port, threads=3):
            time.sleep(moments.uniform(0.02, 0.5))
            seen = _committed(path)
            time.sleep(moments.uniform(0.0, 0.1))
            daemon.kill()
        after = _look(path)
        assert before.items() <= after.items()
        assert seen.items() <= after.items()
        before = after
        if life < LIVES - 1:
            daemon.start()
    assert len(before) > LIVES
    verified = json.loads(daemon.cli("audit", "verify", "--json").stdout)
    assert verified["ok"], verified["damages"]
    decisions = next(stream for stream in verified["streams"] if stream["stream"] == "decision")
    assert decisions["records"] == len(before)
    assert decisions["checkpoints"] >= 1
