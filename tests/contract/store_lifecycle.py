"""What every `StoreKeeper` must do. A backend's test file subclasses `StoreLifecycleContract` and gives it a `kit` fixture."""

from __future__ import annotations

import random
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from contract.audit_log import record
from llmcp.core.control_records import ControlRecord
from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import parse
from llmcp.errors import ConflictError, LlmcpError, NotFoundError, UsageError

if TYPE_CHECKING:
    from llmcp.ports.stores import AuditLog, StoreKeeper


@dataclass(frozen=True)
class Kit:
    """One backend's parts: a keeper of a store that is not there yet, its log, and how its version is forged."""

    keeper: StoreKeeper
    open_log: Callable[[], AuditLog]
    forge_version: Callable[[Path, int], None]
    forge_owner: Callable[[Path], None]
    directory: Path


def restored(name: str) -> ControlRecord:
    """Return the record that a restore leaves."""
    return ControlRecord(action="store.restore", actor="local:test", id=f"c-{name}", time="2026-01-01T00:00:00.000000Z")


def fill(kit: Kit, count: int) -> list[str]:
    """Write so many records more; return the ids of all there are."""
    log = kit.open_log()
    log.append([record(app="a", session="x" * 200) for _ in range(count)])
    found = ids(log)
    log.close()
    return found


def ids(log: AuditLog) -> list[str]:
    """Return the stored ids in the order of `seq`, having checked that it has no gaps."""
    found = [parse(data) for data in log.query(RecordFilter())]
    assert [item.seq for item in found] == list(range(1, len(found) + 1))
    return [item.id for item in found]


def reread(kit: Kit) -> list[str]:
    """Open the store anew and return its ids."""
    log = kit.open_log()
    found = ids(log)
    log.close()
    return found


def contents(directory: Path) -> dict[str, bytes]:
    """Return every file of a directory."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()}


class StoreLifecycleContract:
    """Opened, migrated, backed up, restored, checked; and refused with nothing touched."""

    def test_looking_at_a_store_that_is_not_there_makes_none(self, kit: Kit) -> None:
        """Only `open` creates."""
        assert kit.keeper.version() == 0
        for act in (lambda: kit.keeper.check(quick=True), lambda: kit.keeper.migrate(kit.keeper.newest, keep=True)):
            with pytest.raises(NotFoundError):
                act()
        assert contents(kit.directory) == {}

    def test_a_new_store_has_the_newest_schema_and_passes_its_check(self, kit: Kit) -> None:
        """Opening twice is opening once, and a new store needs no backup."""
        for _ in range(2):
            kit.keeper.open()
        assert kit.keeper.version() == kit.keeper.newest
        facts, found = kit.keeper.check(quick=False)
        assert (facts.records, facts.schema, found) == (0, kit.keeper.newest, [])
        assert not list(kit.directory.glob("*.bak"))

    def test_down_and_up_again_keeps_every_record(self, kit: Kit) -> None:
        """Each way with a backup of what was there before, and a sentence on what is lost."""
        before = fill(kit, 700)
        down = kit.keeper.migrate(1, keep=True)
        assert (down.before, down.after, bool(down.lost)) == (kit.keeper.newest, 1, True)
        assert kit.keeper.version() == 1
        up = kit.keeper.migrate(kit.keeper.newest, keep=True)
        assert (up.before, up.after, up.lost) == (1, kit.keeper.newest, ())
        assert reread(kit) == before
        assert [kit.keeper.__class__(Path(made.backup)).version() for made in (down, up)] == [kit.keeper.newest, 1]  # type: ignore[call-arg]
        assert kit.keeper.check(quick=False)[1] == []

    def test_opening_an_older_store_upgrades_it_after_a_backup(self, kit: Kit) -> None:
        """Nobody need know that there are schemas."""
        before = fill(kit, 3)
        kit.keeper.migrate(1, keep=False)
        assert reread(kit) == before
        assert kit.keeper.version() == kit.keeper.newest
        (kept,) = kit.directory.glob("*.v1-*.bak")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    def test_a_migration_to_where_it_is_does_nothing(self, kit: Kit) -> None:
        """No backup either."""
        fill(kit, 1)
        assert kit.keeper.migrate(kit.keeper.newest, keep=True).backup == ""
        assert not list(kit.directory.glob("*.bak"))

    def test_a_schema_that_does_not_exist_is_wrong_usage(self, kit: Kit) -> None:
        """Neither 0 nor the one after the newest."""
        fill(kit, 1)
        for to in (0, kit.keeper.newest + 1):
            with pytest.raises(UsageError):
                kit.keeper.migrate(to, keep=True)

    def test_of_many_that_open_an_older_store_one_migrates(self, kit: Kit) -> None:
        """The others wait; there is one backup, and nothing is lost or doubled."""
        before = fill(kit, 50)
        kit.keeper.migrate(1, keep=False)
        failed: list[BaseException] = []

        def open_it() -> None:
            try:
                kit.keeper.open()
            except LlmcpError as error:
                failed.append(error)

        threads = [threading.Thread(target=open_it) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(list(kit.directory.glob("*.bak"))) == 1
        assert reread(kit) == before

    def test_who_has_the_store_open_cannot_write_to_another_schema(self, kit: Kit) -> None:
        """A daemon that runs on while somebody migrates keeps its records; they are taken when the schema fits again."""
        fill(kit, 2)
        running = kit.open_log()
        running.append([record()])
        kit.keeper.migrate(1, keep=False)
        late = record()
        with pytest.raises(LlmcpError):
            running.append([late])
        kit.keeper.migrate(kit.keeper.newest, keep=False)
        running.append([late])
        assert len(ids(running)) == 4
        running.close()

    def test_a_backup_restored_is_the_store_of_that_moment(self, kit: Kit) -> None:
        """What came after is set aside, not lost; the restored store knows that it was restored."""
        then = fill(kit, 5)
        target = kit.directory / "b" / "one.bak"
        target.parent.mkdir()
        made = kit.keeper.backup(target)
        assert (made.records, made.path, stat.S_IMODE(target.stat().st_mode)) == (5, str(target), 0o600)
        assert [path.name for path in target.parent.iterdir()] == ["one.bak"]
        later = fill(kit, 4)
        bytes_of_backup = target.read_bytes()
        result = kit.keeper.restore(target, restored("1"))
        assert (result.facts.records, result.facts.control_records) == (5, made.control_records + 1)
        assert reread(kit) == then
        assert target.read_bytes() == bytes_of_backup
        kit.keeper.restore(Path(result.set_aside), restored("2"))
        assert reread(kit) == later

    def test_a_backup_of_an_older_schema_is_upgraded_when_it_is_restored(self, kit: Kit) -> None:
        """The backup itself stays as it is."""
        then = fill(kit, 5)
        kept = Path(kit.keeper.migrate(1, keep=False).backup or kit.directory / "old.bak")
        kit.keeper.backup(kept)
        bytes_of_backup = kept.read_bytes()
        fill(kit, 2)
        assert kit.keeper.restore(kept, restored("1")).from_schema == 1
        assert reread(kit) == then
        assert kept.read_bytes() == bytes_of_backup

    def test_a_backup_is_taken_while_others_write(self, kit: Kit) -> None:
        """It holds a beginning of what was written, whole batches only, and stops nobody."""
        fill(kit, 10)
        done = threading.Event()
        failed: list[BaseException] = []

        def write() -> None:
            log = kit.open_log()
            try:
                while not done.is_set():
                    log.append([record() for _ in range(10)])
            except LlmcpError as error:
                failed.append(error)
            log.close()

        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        made = [kit.keeper.backup(kit.directory / f"{n}.bak") for n in range(3)]
        done.set()
        for writer in writers:
            writer.join()
        assert failed == []
        assert all(facts.records % 10 == 0 for facts in made)
        all_of_them = reread(kit)
        for n, facts in enumerate(made):
            kit.keeper.restore(kit.directory / f"{n}.bak", restored(str(n)))
            assert reread(kit) == all_of_them[: facts.records]

    def test_a_backup_overwrites_nothing_unasked(self, kit: Kit) -> None:
        """Not even with `replace` the store itself."""
        fill(kit, 1)
        target = kit.directory / "there"
        target.write_text("mine")
        with pytest.raises(ConflictError):
            kit.keeper.backup(target)
        assert target.read_text() == "mine"
        with pytest.raises(ConflictError):
            kit.keeper.backup(kit.keeper.path, replace=True)
        assert kit.keeper.backup(target, replace=True).records == 1

    @pytest.mark.parametrize("what", ["newer", "foreign", "text", "half"])
    def test_what_is_not_a_store_of_ours_is_refused_and_not_touched(self, kit: Kit, what: str) -> None:
        """As the store and as what is to be restored; nothing appears beside it either."""
        fill(kit, 100)
        good = kit.directory / "good.bak"
        kit.keeper.backup(good)
        bad = kit.directory / "bad.bak"
        kit.keeper.backup(bad)
        if what == "newer":
            kit.forge_version(bad, kit.keeper.newest + 1)
        elif what == "foreign":
            kit.forge_owner(bad)
        else:
            bad.write_bytes(b"no database\n" * 100 if what == "text" else good.read_bytes()[: good.stat().st_size // 2])
        before = contents(kit.directory)
        with pytest.raises(LlmcpError) as caught:
            kit.keeper.restore(bad, restored("1"))
        assert caught.value.fix
        assert contents(kit.directory) == before
        kit.keeper.path.write_bytes(bad.read_bytes())
        before = contents(kit.directory)
        acts: list[Callable[[], object]] = [
            lambda: kit.keeper.backup(kit.directory / "new.bak"),
            lambda: kit.keeper.migrate(1, keep=True),
        ]
        for act in acts:
            with pytest.raises(LlmcpError):
                act()
            assert contents(kit.directory) == before
        # A half store may open; then the check says what is wrong with it.
        try:
            found = kit.keeper.check(quick=True)[1]
        except LlmcpError:
            found = ["refused"]
        assert found
        assert contents(kit.directory) == before
        # What is set aside is the bad file, byte for byte.
        aside = kit.keeper.restore(good, restored("2")).set_aside
        assert Path(aside).read_bytes() == bad.read_bytes()
        assert len(reread(kit)) == 100

    @pytest.mark.parametrize("seed", range(60))
    def test_flipped_bytes_never_crash_anything_and_are_never_touched_when_refused(self, kit: Kit, seed: int) -> None:
        """Whatever is done with a damaged store ends in an answer or in one of our errors."""
        fill(kit, 30)
        whole = kit.directory / "whole.bak"
        kit.keeper.backup(whole)
        data = bytearray(whole.read_bytes())
        dice = random.Random(seed)  # noqa: S311 - reproducible damage
        for _ in range(dice.choice([1, 3, 40])):
            # Half of the damage where the structure is: the header and the pages' heads.
            at = dice.randrange(len(data)) if dice.random() < 0.5 else dice.randrange(0, len(data), 4096) + dice.randrange(108)
            data[at % len(data)] = dice.randrange(256)
        kit.keeper.path.write_bytes(data)
        before = contents(kit.directory)
        with suppress(LlmcpError):
            kit.keeper.check(quick=bool(seed % 2))
        assert contents(kit.directory) == before
        bad = kit.directory / "bad.bak"
        bad.write_bytes(data)
        for act in (
            lambda: kit.keeper.backup(kit.directory / "new.bak"),
            lambda: kit.keeper.migrate(1, keep=True),
            lambda: kit.keeper.restore(bad, restored("1")),
        ):
            before = contents(kit.directory)
            try:
                act()
            except LlmcpError:
                assert contents(kit.directory) == before
        assert bad.read_bytes() == bytes(data)
