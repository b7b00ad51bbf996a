"""Chores run in their thread, come back, survive bugs, and end in order."""

from __future__ import annotations

import logging
import threading
import time

from llmcp.runtime.chores import Chore, Chores


def test_chores_come_back_and_the_end_calls_what_belongs_there():
    """Each runs again; `at_end` runs once, after the last turn."""
    seen: list[str] = []
    often = threading.Event()

    def work(_: float) -> None:
        seen.append("work")
        if len(seen) > 2:
            often.set()

    chores = Chores([Chore("a", 0.001, work, at_end=lambda _: seen.append("end"))], time.monotonic)
    chores.start()
    assert often.wait(30)
    assert chores.stop(30)
    assert seen[-1] == "end"
    assert seen.count("end") == 1


def test_a_bug_in_a_chore_is_logged_and_ends_nothing(caplog):
    """The other chores and the end still come."""
    done = threading.Event()

    def broken(_: float) -> None:
        raise ZeroDivisionError

    chores = Chores(
        [Chore("broken", 0.001, broken, at_end=lambda _: done.set()), Chore("b", 0.001, lambda _: None)], time.monotonic
    )
    with caplog.at_level(logging.ERROR, "llmcp.chores"):
        chores.start()
        while not chores.faults:
            time.sleep(0.001)
        assert chores.stop(30)
    assert done.is_set()
    assert caplog.records[0].message == "chore_failed"


def test_a_late_first_turn_does_not_hold_up_the_end():
    """What is due in an hour is not waited for."""
    chores = Chores([Chore("a", 3600.0, lambda _: None, first_s=3600.0)], time.monotonic)
    chores.start()
    assert chores.stop(30)


def test_chores_that_never_began_end_at_once():
    """A daemon that could not start stops its parts too."""
    assert Chores([], time.monotonic).stop(0.0)
