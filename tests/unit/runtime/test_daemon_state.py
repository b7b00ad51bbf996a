"""Rules of `llmcp.runtime.state` and `.health`, and of an exchange that is closed."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.planes import StillClock, plane
from llmcp.core.http import RequestHead, Respond
from llmcp.engine.exchange import Exchange
from llmcp.engine.plane import Plane
from llmcp.runtime.health import health
from llmcp.runtime.state import DaemonState, Loaded, Problem, Readiness

PROBLEM = (Problem("p.yaml", 3, "no"),)


def serving() -> DaemonState:
    """Return the state of a daemon that has started and loaded nothing."""
    return DaemonState(started=True)


def ready(state: DaemonState, method: str = "GET", target: str = "/readyz") -> tuple[int, bytes]:
    """Ask for health."""
    answer = health(RequestHead(method, target, ()), state)
    assert answer is not None
    return answer.status, answer.body


def test_a_failed_load_keeps_the_last_good_plane() -> None:
    """Rule 1."""
    state, good = serving(), plane()
    assert state.apply(Loaded(good, (), 2)) is True
    assert state.apply(Loaded(None, PROBLEM)) is False
    assert (state.plane, state.policies, state.problems, state.readiness) == (good, 2, PROBLEM, Readiness.DEGRADED)
    assert ready(state) == (200, b"degraded")


def test_a_repaired_file_ends_the_degradation() -> None:
    """The same revision again, and no problem any more."""
    state = serving()
    state.apply(Loaded(plane()))
    state.apply(Loaded(None, PROBLEM))
    assert state.apply(Loaded(plane())) is False
    assert ready(state) == (200, b"ready")


def test_a_persisted_plane_stands_in_at_the_start() -> None:
    """Rule 2: a restart in front of a broken edit."""
    state = serving()
    state.apply(Loaded(plane(), PROBLEM, 1, stale=True))
    assert state.readiness is Readiness.DEGRADED


def test_with_nothing_to_decide_by_it_is_not_ready() -> None:
    """Rule 2."""
    state = serving()
    state.apply(Loaded(None, PROBLEM))
    assert ready(state) == (503, b"unready")


def test_before_the_start_and_while_draining_it_is_not_ready() -> None:
    """A balancer must send no more."""
    state = DaemonState()
    state.apply(Loaded(plane()))
    assert ready(state)[0] == 503
    state.started = state.draining = True
    assert ready(state) == (503, b"draining")


def test_liveness_says_nothing_about_policies() -> None:
    """Rule 1 of health: a broken policy is no reason to restart the process."""
    assert ready(serving(), target="/healthz") == (200, b"ok")
    assert ready(serving(), "HEAD", "/healthz")[0] == 200
    assert ready(serving(), "POST")[0] == 405
    assert health(RequestHead("GET", "/readyz/x", ()), serving()) is None


@given(st.lists(st.sampled_from(["good", "bad", "stale"]), max_size=12))
def test_once_there_is_a_plane_there_always_is_one(loads: list[str]) -> None:
    """No sequence of loads takes the rules away again."""
    state = serving()
    outcomes: dict[str, Loaded] = {"good": Loaded(plane()), "bad": Loaded(None, PROBLEM), "stale": Loaded(plane(), PROBLEM)}
    had: Plane | None = None
    for number, name in zip(itertools.count(1), loads, strict=False):
        state.apply(outcomes[name])
        assert state.loads == number
        assert had is None or state.plane is not None
        had = state.plane
    assert state.load_failures == sum(name != "good" for name in loads)


@pytest.mark.parametrize("target", ["/openai/v1/chat/completions", "/v1/chat/completions", "/nothing/here"])
def test_without_a_plane_everything_is_refused_with_503(target: str) -> None:
    """Nothing goes upstream, not even its body is read."""
    ended: list[Exchange] = []
    run = Exchange(
        plane(), decision_id="d_1", client_ip="", clock=StillClock(), emit=ended.append, closed="there is no revision"
    )  # fmt: skip
    answer = run.receive_head(RequestHead("POST", target, ((b"host", b"localhost"),)))
    assert isinstance(answer, Respond)
    assert answer.status == 503
    assert "llmcp_unavailable" in json.dumps(json.loads(answer.body))
