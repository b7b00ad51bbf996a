"""Rules of `llmcp.runtime.watcher`, on real directories."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from llmcp.runtime.watcher import Watcher, fingerprint

SOON_S = 10.0


class Seen:
    """Counts what a watcher reports."""

    def __init__(self) -> None:
        self.calls = 0
        self._event = asyncio.Event()

    async def __call__(self) -> None:
        """Hear of a change."""
        self.calls += 1
        self._event.set()

    async def another(self) -> None:
        """Wait for the next report."""
        await asyncio.wait_for(self._event.wait(), SOON_S)
        self._event.clear()


def listing(directory: Path) -> list[Path]:
    """List what counts, as the policy reader would."""
    return [path for path in directory.rglob("*.yaml") if not path.name.startswith(".")]


def watch(
    directory: Path,
    scene: Callable[[Watcher, Seen], Awaitable[None]],
    *,
    poll_s: float = 3600.0,
    files: tuple[Path, ...] = (),
) -> None:
    """Run `scene` beside a watcher of `directory`."""

    async def run() -> None:
        seen = Seen()
        watcher = Watcher(
            directories=lambda: (directory,), files=lambda: [*listing(directory), *files], poll_s=lambda: poll_s, changed=seen
        )
        watcher.prime()
        task = asyncio.create_task(watcher.run())
        await asyncio.sleep(0.5)  # the kernel's watch stands
        try:
            await scene(watcher, seen)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_an_edit_is_reported_without_polling(tmp_path: Path) -> None:
    """The kernel's word suffices: the poll is an hour away."""

    async def scene(_watcher: Watcher, seen: Seen) -> None:
        (tmp_path / "a.yaml").write_text("a")
        await seen.another()
        (tmp_path / "a.yaml").write_text("b")
        await seen.another()

    watch(tmp_path, scene)


def test_an_editors_rename_and_a_new_folder_are_reported(tmp_path: Path) -> None:
    """Rule 3."""

    async def scene(_watcher: Watcher, seen: Seen) -> None:
        (tmp_path / ".a.yaml.swp").write_text("a")
        (tmp_path / ".a.yaml.swp").rename(tmp_path / "a.yaml")
        await seen.another()
        (tmp_path / "team").mkdir()
        (tmp_path / "team" / "b.yaml").write_text("b")
        await seen.another()

    watch(tmp_path, scene)


def test_polling_sees_what_the_kernel_does_not_tell(tmp_path: Path) -> None:
    """Rule 4: a directory that comes later, and a single file."""
    late, file = tmp_path / "late", tmp_path / "llmcp.yaml"

    async def scene(_watcher: Watcher, seen: Seen) -> None:
        file.write_text("listen: {}")
        await seen.another()
        late.mkdir()
        (late / "a.yaml").write_text("a")
        await seen.another()

    watch(late, scene, poll_s=0.1, files=(file,))


def test_one_edit_is_one_call(tmp_path: Path) -> None:
    """Rule 1: the poll does not report again what the kernel reported, nor what was there at the start."""
    (tmp_path / "a.yaml").write_text("a")

    async def scene(watcher: Watcher, seen: Seen) -> None:
        await asyncio.gather(*(watcher.check() for _ in range(5)))
        assert seen.calls == 0
        (tmp_path / "a.yaml").write_text("b")
        await asyncio.gather(*(watcher.check() for _ in range(5)))
        assert seen.calls == 1

    watch(tmp_path, scene)


def test_content_counts_and_time_does_not(tmp_path: Path) -> None:
    """Rule 1: a touched file is the same file; a moved one is not."""
    path = tmp_path / "a.yaml"
    path.write_text("a")
    before = fingerprint((tmp_path,), listing(tmp_path))
    path.touch()
    assert fingerprint((tmp_path,), listing(tmp_path)) == before
    path.rename(tmp_path / "b.yaml")
    assert fingerprint((tmp_path,), listing(tmp_path)) != before


def test_a_directory_that_is_gone_differs_from_an_empty_one(tmp_path: Path) -> None:
    """An unmounted volume must be noticed."""
    directory = tmp_path / "policies"
    gone = fingerprint((directory,), ())
    directory.mkdir()
    assert fingerprint((directory,), ()) != gone
