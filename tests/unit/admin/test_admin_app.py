"""Rules of `llmcp.admin.app`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcp.admin.app import AdminApp, status_document
from llmcp.core.http import RequestHead, Respond, header
from llmcp.core.settings import ListenSettings
from llmcp.runtime.state import DaemonState, Problem
from llmcp.telemetry.metrics import Registry

TOKEN = "t" * 20
HOST = (b"host", b"127.0.0.1:8902")
BEARER = (b"authorization", b"Bearer " + TOKEN.encode())


class Calls(list[str]):
    """What the app was told to begin."""

    def reload(self) -> int:
        """Begin a load."""
        self.append("reload")
        return 4

    def stop(self) -> None:
        """Begin to drain."""
        self.append("stop")


def ask(method: str, target: str, *headers: tuple[bytes, bytes], body: bytes = b"", calls: Calls | None = None) -> Respond:
    """Send one request to an app whose daemon has one problem."""
    state = DaemonState(started=True, problems=(Problem("p.yaml", 3, "unknown effect"),), loads=3)
    state.urls = {"gateway": "http://127.0.0.1:1", "proxy": None, "admin": "http://127.0.0.1:2"}
    begun = Calls() if calls is None else calls
    app = AdminApp(
        state=state,
        registry=Registry(),
        listen=ListenSettings(),
        token=TOKEN,
        status=lambda: status_document(state, pid=7, version="1"),
        reload=begun.reload,
        stop=begun.stop,
    )
    return app(RequestHead(method, target, headers), body)


def document(answer: Respond) -> dict[str, Any]:
    """Read a JSON answer."""
    read: dict[str, Any] = json.loads(answer.body)
    return read


def test_status_has_the_contracts_fields() -> None:
    """`{"pid","gateway","proxy","admin","revision","version","state","problems"}`."""
    told = document(ask("GET", "/v1/status", HOST, BEARER))
    del told["loads"]
    assert told == {
        "pid": 7, "gateway": "http://127.0.0.1:1", "proxy": None, "admin": "http://127.0.0.1:2", "revision": "", "version": "1",
        "state": "unready", "problems": [{"file": "p.yaml", "line": 3, "message": "unknown effect"}],
    }  # fmt: skip


@pytest.mark.parametrize("shown", [b"", b"Bearer", b"Bearer ", b"Bearer x", b"Basic " + TOKEN.encode(), TOKEN.encode()])
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/status"), ("POST", "/v1/reload"), ("POST", "/v1/stop")])
def test_without_the_token_nothing_is_told_or_begun(shown: bytes, method: str, path: str) -> None:
    """Rule 1."""
    calls = Calls()
    answer = ask(method, path, HOST, (b"authorization", shown), calls=calls)
    assert (answer.status, calls) == (401, [])
    assert header(answer.headers, b"www-authenticate") == b"Bearer"


def test_health_and_metrics_need_no_token() -> None:
    """Rule 1: probes and scrapers have none."""
    assert ask("GET", "/healthz", HOST).status == 200
    assert ask("GET", "/readyz", HOST).status == 503
    assert header(ask("GET", "/metrics", HOST).headers, b"content-type").startswith(b"text/plain; version=0.0.4")


def test_reload_and_stop_are_begun_and_answered_at_once() -> None:
    """Rule 3."""
    calls = Calls()
    answer = ask("POST", "/v1/reload", HOST, BEARER, calls=calls)
    assert (answer.status, document(answer)) == (202, {"loads": 4})
    assert ask("POST", "/v1/stop", HOST, BEARER, calls=calls).status == 202
    assert calls == ["reload", "stop"]


def test_a_web_page_or_a_foreign_name_is_turned_away_first() -> None:
    """Rule 2: before the token is looked at."""
    assert ask("POST", "/v1/stop", (b"host", b"evil.example"), BEARER).status == 421
    assert ask("POST", "/v1/stop", HOST, BEARER, (b"origin", b"http://localhost")).status == 403


def test_methods_paths_and_content_types_are_strict() -> None:
    """405 names the method, 404 and 415 say what they are."""
    answer = ask("GET", "/v1/stop", HOST, BEARER)
    assert (answer.status, header(answer.headers, b"allow")) == (405, b"POST")
    assert ask("GET", "/v1/nothing", HOST, BEARER).status == 404
    assert ask("POST", "/v1/reload", HOST, BEARER, body=b"a=b").status == 415
    assert ask("HEAD", "/v1/status?x=1", HOST, BEARER).status == 200
