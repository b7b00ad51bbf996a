"""Disks that are really full or read-only: refused or served as the setting says, and back to normal without a restart."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contract.audit_log import record
from e2e.daemon import Daemon
from fakes.provider_server import ProviderServer
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import parse
from llmcp.errors import LlmcpError, UnreachableError
from llmcp.runtime.recorder import Recorder
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.keeper import SqliteKeeper

CHAT = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
KEY = {"authorization": "Bearer sk-" + "x" * 20}


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another thread or process is about to do; the test's own timeout is the bound."""
    while not condition():
        time.sleep(0.05)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 4 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("only root may mount a disk of its own")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def ids(log: SqliteAuditLog) -> list[str]:
    """Return the stored ids."""
    return [parse(data).id for data in log.query(RecordFilter())]


def append_until_refused(log: SqliteAuditLog) -> tuple[list[str], LlmcpError]:
    """Write until the disk takes no more; return what was acknowledged and what was said."""
    written: list[str] = []
    while True:
        batch = [record(session="x" * 2000) for _ in range(20)]
        try:
            log.append(batch)
        except UnreachableError as error:
            return written, error
        written += [item.id for item in batch]


def test_a_full_disk_loses_nothing_acknowledged_and_is_left_behind_when_there_is_room(disk: Path) -> None:
    """Reading goes on meanwhile; what was refused left nothing behind."""
    log = SqliteAuditLog(disk / "llmcp.db")
    log.append([record()])
    filler = fill(disk)
    written, error = append_until_refused(log)
    assert error.code == "store-full"
    assert ids(log)[1:] == written
    filler.unlink()
    log.append([record()])
    assert len(ids(log)) == len(written) + 2
    log.close()
    assert SqliteKeeper(log.path).check(quick=False)[1] == []


def test_a_disk_that_becomes_read_only_is_refused_and_comes_back(disk: Path) -> None:
    """As the kernel does it after errors of the disk."""
    log = SqliteAuditLog(disk / "llmcp.db")
    first = record()
    log.append([first])
    log.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(UnreachableError) as caught:
        log.append([record()])
    assert caught.value.code == "store-readonly"
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    log.append([record()])
    assert len(ids(log)) == 2


def test_a_file_that_may_not_grow_is_a_store_that_refuses(tmp_path: Path) -> None:
    """A quota: the recorder keeps what it has, and writes it when the limit is gone."""
    log = SqliteAuditLog(tmp_path / "llmcp.db")
    log.append([record()])
    recorder = Recorder(log, time.monotonic, grace_s=0.05)
    recorder.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    grown = max(part.stat().st_size for part in tmp_path.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (grown + 8192, hard))
    try:
        batch = [record(session="x" * 2000) for _ in range(50)]
        for item in batch:
            recorder.submit(item)
        until(lambda: not recorder.accepting())
        assert recorder.state().pending
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert recorder.flush(20)
    assert recorder.accepting()
    recorder.stop(5)
    assert ids(log)[1:] == [item.id for item in batch]


def test_a_backup_that_does_not_fit_is_refused_and_leaves_nothing(disk: Path, tmp_path: Path) -> None:
    """On the full disk itself and on another one."""
    log = SqliteAuditLog(disk / "llmcp.db")
    log.append([record(session="x" * 2000) for _ in range(300)])
    log.close()
    (disk / "filler").write_bytes(b"x" * (shutil.disk_usage(disk).free - 500_000))
    keeper = SqliteKeeper(log.path)
    with pytest.raises(UnreachableError) as caught:
        keeper.backup(disk / "one.bak")
    assert caught.value.code == "store-full"
    assert not list(disk.glob("*one*")) + list(disk.glob(".*"))
    assert keeper.backup(tmp_path / "one.bak").records == 300


@pytest.fixture
def serve(disk: Path) -> Iterator[Callable[..., Daemon]]:
    """Start daemons whose home is on the small disk."""
    made: list[Daemon] = []
    with ProviderServer() as provider:

        def start(**settings: str) -> Daemon:
            daemon = Daemon(disk / "home", provider.url, settings=settings)
            made.append(daemon)
            daemon.home.mkdir(mode=0o700)
            daemon.start()
            return daemon

        yield start
        for daemon in made:
            daemon.stop()


def ask(daemon: Daemon) -> int:
    """Ask once; return the status."""
    return daemon.call("POST", "/v1/chat/completions", CHAT, KEY).status


def test_a_daemon_on_a_full_disk_refuses_in_the_callers_dialect_and_recovers(disk: Path, serve: Callable[..., Daemon]) -> None:
    """`record.when_full: refuse`: 503 soon, every request before it recorded, 200 again when there is room."""
    daemon = serve()
    assert ask(daemon) == 200
    daemon.records(1)
    filler = fill(disk)
    until(lambda: ask(daemon) == 503)
    refused = daemon.call("POST", "/v1/chat/completions", CHAT, KEY)
    assert refused.json()["error"]["code"] == "llmcp_unavailable"
    problems = json.loads(daemon.cli("status", "--json").stdout)["problems"]
    assert "the store takes no records" in problems[0]["message"]
    filler.unlink()
    until(lambda: ask(daemon) == 200)
    until(lambda: json.loads(daemon.cli("status", "--json").stdout)["problems"] == [])
    assert daemon.stop() == 0
    log = SqliteAuditLog(daemon.home / "llmcp.db")
    outcomes = [(item.outcome, item.error_type) for item in map(parse, log.query(RecordFilter()))]
    assert outcomes[0] == outcomes[-1] == ("allowed", "")
    assert ("error", "llmcp_unavailable") in outcomes


def test_a_daemon_may_serve_without_records_and_the_ledger_says_so(disk: Path, serve: Callable[..., Daemon]) -> None:
    """`record.when_full: serve`: everybody is answered; what was lost is counted, in status and in a control record."""
    daemon = serve(RECORD__WHEN_FULL="serve", RECORD__QUEUE="64")
    filler = fill(disk)
    asked = 0

    def losing() -> bool:
        nonlocal asked
        asked += 1
        assert ask(daemon) == 200
        return "are lost" in daemon.cli("status", "--json").stdout if asked > 64 and asked % 10 == 0 else False

    while not losing():
        pass
    filler.unlink()
    until(lambda: json.loads(daemon.cli("status", "--json").stdout)["problems"] == [])
    asked += ask(daemon) == 200
    assert daemon.stop() == 0
    with SqliteAuditLog(daemon.home / "llmcp.db")._reading() as connection:
        (stored,) = connection.execute("SELECT count(*) FROM records").fetchone()
        told = [
            json.loads(row[0])
            for row in connection.execute("SELECT record FROM control_records WHERE action = 'store.records_lost'")
        ]
    assert sum(int(item["detail"]["count"]) for item in told) == asked - stored > 0
    assert all(item["detail"]["first"] <= item["detail"]["last"] for item in told)


def test_what_was_lost_at_the_end_of_a_daemon_is_told_by_the_next_one(tmp_path: Path, disk: Path) -> None:
    """A store that refuses to the very end cannot take the note; the home can, where it is on another disk."""
    with ProviderServer() as provider:
        settings = {"STORE": f"sqlite:///{disk}/llmcp.db"}
        daemon = Daemon(tmp_path / "home", provider.url, settings=settings)
        daemon.home.mkdir(mode=0o700)
        daemon.start()
        filler = fill(disk)
        until(lambda: ask(daemon) == 503)
        daemon.stop()
        assert (daemon.home / "run" / "lost.json").exists()
        filler.unlink()
        daemon.start()
        daemon.stop()
        assert not (daemon.home / "run" / "lost.json").exists()
        with SqliteAuditLog(disk / "llmcp.db")._reading() as connection:
            (told,) = connection.execute("SELECT count(*) FROM control_records WHERE action = 'store.records_lost'").fetchone()
        assert told == 1
        assert (daemon.home / "run").stat().st_mode & 0o077 == 0
