"""Rules of `llmcp.runtime.changes`, driven look by look."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event

from llmcp.errors import UnreachableError
from llmcp.runtime.changes import Changes, Fresh


@dataclass
class World:
    """What is looked at and loaded; a test changes it."""

    number: int = 0
    value: str = "a"
    outside: bool = False
    problems: tuple[str, ...] = ()
    clock: float = 0.0
    refresh: float = 300.0
    look_fails: Exception | None = None
    load_fails: Exception | None = None
    loads: list[int] = field(default_factory=list)

    def look(self) -> object:
        """Return the number."""
        if self.look_fails:
            raise self.look_fails
        return self.number

    def load(self) -> Fresh[str]:
        """Return the value."""
        self.loads.append(self.number)
        if self.load_fails:
            raise self.load_fails
        return Fresh(self.value, self.problems, self.outside)


def changes(world: World, *, every_s: float = 0.25) -> Changes[str]:
    """Return a watcher over `world`."""
    return Changes(
        look=world.look, load=world.load, refresh_s=lambda: world.refresh, monotonic=lambda: world.clock, every_s=every_s
    )  # fmt: skip


AWAY = UnreachableError("the store `llmcp.db` cannot be used", why="the disk is gone")


def test_nothing_is_loaded_while_nothing_changed() -> None:
    """A look costs a look."""
    world = World()
    watched = changes(world)
    assert [watched.check() for _ in range(3)] == [True, False, False]
    assert watched.value == "a"
    world.number, world.value = 1, "b"
    assert watched.check()
    assert watched.value == "b"


def test_a_change_during_a_load_is_loaded_at_the_next_look() -> None:
    """The number is read before the rows."""
    world = World()

    def load() -> Fresh[str]:
        found = world.value
        if world.number == 0:
            world.number, world.value = 1, "b"
        return Fresh(found)

    watched = Changes(look=world.look, load=load, refresh_s=lambda: 1.0, monotonic=lambda: 0.0)
    assert watched.check()
    assert watched.value == "a"
    assert watched.check()
    assert watched.value == "b"


def test_until_the_first_load_there_is_no_value_and_a_reason() -> None:
    """Nobody can be told from anybody: closed."""
    world = World(load_fails=AWAY)
    watched = changes(world)
    assert watched.value is None
    assert watched.closed
    watched.check()
    assert watched.value is None
    assert "the disk is gone" in watched.closed
    assert "everybody is refused" in watched.problems[0]
    world.load_fails = None
    assert watched.check()
    assert (watched.value, watched.closed, watched.problems) == ("a", "", ())


def test_a_later_failure_keeps_the_last_good_value_and_is_tried_with_every_look() -> None:
    """The operator sees it; it passes by itself."""
    world = World()
    watched = changes(world)
    watched.check()
    world.number, world.load_fails = 1, AWAY
    assert [watched.check() for _ in range(3)] == [False] * 3
    assert watched.value == "a"
    assert "the disk is gone" in watched.problems[0]
    world.load_fails, world.value = None, "b"
    assert watched.check()
    assert (watched.value, watched.problems) == ("b", ())


def test_a_look_that_fails_keeps_the_value_and_loads_anew_when_it_works_again() -> None:
    """Nobody knows what was missed meanwhile."""
    world = World()
    watched = changes(world)
    watched.check()
    world.look_fails = AWAY
    watched.check()
    assert watched.value == "a"
    assert watched.problems
    world.look_fails, world.value = None, "b"
    assert watched.check()
    assert watched.value == "b"


def test_a_bug_in_a_load_ends_nothing() -> None:
    """Any exception keeps the value; its text, which may hold a secret, is not repeated."""
    world = World()
    watched = changes(world)
    watched.check()
    world.number, world.load_fails = 1, RuntimeError("a secret")
    watched.check()
    assert watched.value == "a"
    assert "RuntimeError" in watched.problems[0]
    assert "secret" not in watched.problems[0]


def test_sources_outside_are_asked_again_after_a_while() -> None:
    """They change without our number; what lies in the store alone is not read again."""
    world = World(outside=True, refresh=60)
    watched = changes(world)
    watched.check()
    world.clock = 59
    assert not watched.check()
    world.clock, world.outside = 60, False
    assert watched.check()
    world.clock = 500
    assert not watched.check()


def test_problems_of_single_credentials_are_told_beside_a_good_value() -> None:
    """One that cannot be read takes nothing with it."""
    watched = changes(World(problems=("one cannot be read",)))
    watched.check()
    assert watched.value == "a"
    assert watched.problems == ("one cannot be read",)


def test_the_thread_swaps_by_itself_and_a_load_that_hangs_holds_up_no_start() -> None:
    """A keychain may ask somebody who is not there."""
    world = World()
    swapped, release = Event(), Event()

    def load() -> Fresh[str]:
        release.wait(10)
        if world.number:
            swapped.set()
        return Fresh(world.value)

    watched = Changes(look=world.look, load=load, refresh_s=lambda: 1.0, monotonic=lambda: 0.0, every_s=0.01)
    watched.start(wait_s=0.01)
    assert watched.value is None
    release.set()
    world.number, world.value = 1, "b"
    assert swapped.wait(10)
    watched.stop()
    assert watched.value == "b"
