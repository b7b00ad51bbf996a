"""Rules of `llmcp.runtime.daemon`, with parts that only note what happens to them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable

import pytest

from fakes.planes import plane
from llmcp.errors import ConflictError
from llmcp.runtime.daemon import Daemon
from llmcp.runtime.state import DaemonState, Loaded, Problem, Readiness

BROKEN = Loaded(None, (Problem("p.yaml", 1, "no"),))


class Noting:
    """A part that writes down what is done to it."""

    def __init__(
        self, name: str, log: list[str], *, start_error: Exception | None = None, stop_error: Exception | None = None
    ) -> None:
        self._name = name
        self._log = log
        self._start_error = start_error
        self._stop_error = stop_error

    async def start(self) -> None:
        """Begin."""
        self._log.append(f"start {self._name}")
        if self._start_error:
            raise self._start_error

    async def stop(self, cut: asyncio.Event) -> None:
        """End."""
        self._log.append(f"stop {self._name}{' cut' if cut.is_set() else ''}")
        if self._stop_error:
            raise self._stop_error


class StubbornPart(Noting):
    """A part that ends only when it is cut."""

    async def stop(self, cut: asyncio.Event) -> None:
        """Wait for the cut."""
        await asyncio.wait_for(cut.wait(), 10)
        await super().stop(cut)


class NoWatcher:
    """A watcher that sees nothing."""

    def prime(self) -> None:
        """Nothing to know."""

    async def run(self) -> None:
        """Sleep until cancelled."""
        await asyncio.Event().wait()


def live(
    load: Callable[[], Loaded],
    scene: Callable[[Daemon], Awaitable[None]],
    *parts: Noting,
) -> DaemonState:
    """Run a daemon with `parts`, and `scene` once it is ready; then stop it."""

    async def run() -> DaemonState:
        state = DaemonState()
        daemon = Daemon(state, load=load, swapped=lambda: None)
        ready = asyncio.Event()

        async def play() -> None:
            await ready.wait()
            try:
                await scene(daemon)
            finally:
                daemon.request_stop()

        playing = asyncio.create_task(play())
        try:
            await daemon.run(parts, NoWatcher(), ready.set)
            await playing
        finally:
            playing.cancel()
        return state

    return asyncio.run(run())


async def loaded(daemon: Daemon, times: int) -> None:
    """Wait until the daemon has loaded so often."""
    while daemon.state.loads < times:  # noqa: ASYNC110 - a counter, not an event
        await asyncio.sleep(0.01)


async def nothing(_daemon: Daemon) -> None:
    """A scene without action."""


def test_parts_start_after_the_load_and_stop_in_order() -> None:
    """Rules 1 and 3."""
    log: list[str] = []

    def load() -> Loaded:
        log.append("load")
        return Loaded(plane())

    state = live(load, nothing, Noting("gateway", log), Noting("recorder", log), Noting("admin", log))
    assert log == ["load", "start gateway", "start recorder", "start admin", "stop gateway", "stop recorder", "stop admin"]
    assert state.readiness is Readiness.DRAINING


def test_it_listens_with_nothing_to_decide_by() -> None:
    """Rule 1."""
    seen: list[Readiness] = []

    async def scene(daemon: Daemon) -> None:
        seen.append(daemon.state.readiness)

    live(lambda: BROKEN, scene, Noting("gateway", []))
    assert seen == [Readiness.UNREADY]


def test_loads_run_in_a_thread_one_at_a_time() -> None:
    """Rule 2: the loop serves on while files are read; every request to load is told when it will be done."""
    running, most, threads = 0, 0, set()
    lock = threading.Lock()

    def load() -> Loaded:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threads.add(threading.get_ident())
        with lock:
            running -= 1
        return Loaded(plane())

    async def scene(daemon: Daemon) -> None:
        assert [daemon.request_reload() for _ in range(3)] == [2, 3, 4]
        await loaded(daemon, 4)

    live(load, scene)
    assert most == 1
    assert threading.get_ident() not in threads


def test_a_broken_edit_keeps_the_revision_in_force() -> None:
    """The state says `degraded`, the plane is the former one."""
    good = plane()
    outcomes = iter([Loaded(good), BROKEN])

    async def scene(daemon: Daemon) -> None:
        await daemon.reload()
        assert daemon.state.plane is good
        assert daemon.state.readiness is Readiness.DEGRADED

    live(lambda: next(outcomes), scene)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(number: signal.Signals) -> None:
    """Rule 3."""
    log: list[str] = []

    async def scene(_daemon: Daemon) -> None:
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.1)
        assert log == ["start gateway", "stop gateway"]  # before the scene's own stop

    live(lambda: Loaded(plane()), scene, Noting("gateway", log))


def test_sighup_loads_again() -> None:
    """As every daemon does."""

    async def scene(daemon: Daemon) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await loaded(daemon, 2)

    live(lambda: Loaded(plane()), scene)


def test_a_second_stop_cuts_what_is_open() -> None:
    """Rule 3."""
    log: list[str] = []

    async def scene(daemon: Daemon) -> None:
        daemon.request_stop()
        await asyncio.sleep(0.05)

    live(lambda: Loaded(plane()), scene, StubbornPart("gateway", log))
    assert log[-1] == "stop gateway cut"


def test_a_part_that_fails_to_stop_does_not_keep_the_rest_from_stopping() -> None:
    """Rule 4."""
    log: list[str] = []
    live(lambda: Loaded(plane()), nothing, Noting("gateway", log, stop_error=OSError("x")), Noting("recorder", log))
    assert log[-1] == "stop recorder"


def test_a_part_that_cannot_start_ends_the_start_and_stops_what_had_begun() -> None:
    """The second listener's port is taken: the first is closed again, and the error is the caller's."""
    log: list[str] = []
    with pytest.raises(ConflictError):
        live(lambda: Loaded(plane()), nothing, Noting("gateway", log), Noting("admin", log, start_error=ConflictError("taken")))
    assert log == ["start gateway", "start admin", "stop gateway", "stop admin"]
