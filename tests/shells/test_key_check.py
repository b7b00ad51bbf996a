"""`key test` against a server at the configured address: which call is made, with what on it, and where it never goes."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes.key_desk import LIST, KeyDesk, knows
from llmcp.config.home import Home
from llmcp.control.change import Change
from llmcp.control.credentials import Wanted, set_key
from llmcp.control.key_check import Answer
from llmcp.core.http import Forward
from llmcp.core.settings import ProviderSettings, Settings
from llmcp.wiring.credentials import check_keys, fresh_id, open_keys, wants
from llmcp.wiring.key_check import Checker

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = "sk-" + "desk" * 8


class Bench:
    """A home with one key of one provider, whose address is `url`."""

    def __init__(self, root: Path, provider: str, url: str, key: str = KEY, **wanted: Any) -> None:
        dialect = "openai" if provider == "own" else ""
        self.settings = Settings(
            providers={provider: ProviderSettings(base_url=url, dialect=dialect)},  # type: ignore[arg-type]
            credentials={"backend": "file"},  # type: ignore[arg-type]
        )
        self.keys = open_keys(Home(root, root, root), self.settings, print)
        change = Change("local:tester", NOW, "c_1")
        set_key(self.keys, wants(self.settings, Wanted(provider, force=True, **wanted)), key, change, fresh_id())

    def test(self, timeout_s: float = 5.0) -> dict[str, Any]:
        """Return the one row."""
        entries = self.keys.entries.entries()
        (row,) = check_keys(self.settings, self.keys, entries, NOW, timeout_s=timeout_s)
        return row


@pytest.mark.parametrize(
    ("provider", "path", "header", "scheme"),
    [
        ("openai", "/v1/models", "authorization", "Bearer "),
        ("anthropic", "/v1/models?limit=1", "x-api-key", ""),
        ("gemini", "/v1beta/models?pageSize=1", "x-goog-api-key", ""),
        ("azure", "/openai/v1/models", "api-key", ""),
        ("groq", "/openai/v1/models", "authorization", "Bearer "),
        ("openrouter", "/api/v1/key", "authorization", "Bearer "),
        ("deepinfra", "/v1/openai/models", "authorization", "Bearer "),
        ("bedrock", "/async-invoke?maxResults=1", "authorization", "Bearer "),
        ("own", "/v1/models", "authorization", "Bearer "),
    ],
)
def test_a_good_key_is_valid_and_travels_in_the_providers_form(
    tmp_path: Path, provider: str, path: str, header: str, scheme: str
) -> None:
    """And without it the same call is refused: so the key is what opened it."""
    with KeyDesk(knows(KEY, header, scheme)) as desk:
        row = Bench(tmp_path, provider, desk.url).test()
        assert (row["state"], row["usable"], row["place"]) == ("valid", True, desk.url.removeprefix("http://"))
        assert [seen for seen, _ in desk.seen] == [path, path]
        assert KEY not in str(desk.seen[1])
        if provider == "anthropic":
            assert desk.seen[0][1]["anthropic-version"]


def test_a_wrong_key_is_refused(tmp_path: Path) -> None:
    """One call is enough."""
    with KeyDesk(knows("another")) as desk:
        row = Bench(tmp_path, "openai", desk.url).test()
        assert (row["state"], row["usable"], len(desk.seen)) == ("refused", False, 1)
        assert "401" in row["said"]


def test_a_path_in_the_base_url_is_kept(tmp_path: Path) -> None:
    """A provider behind somebody's own gateway."""
    with KeyDesk(knows(KEY)) as desk:
        assert Bench(tmp_path, "openai", desk.url + "/behind/it").test()["state"] == "valid"
        assert desk.seen[0][0] == "/behind/it/v1/models"


def test_a_provider_that_answers_anybody_proves_nothing(tmp_path: Path) -> None:
    """It is said, and is no failure."""
    with KeyDesk(lambda *_: LIST) as desk:
        row = Bench(tmp_path, "nvidia", desk.url).test()
        assert (row["state"], row["usable"]) == ("unproven", True)


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """The key would follow it to a stranger."""
    with KeyDesk(lambda *_: LIST) as stranger, KeyDesk(lambda *_: (307, {"location": stranger.url + "/v1/models"}, b"")) as desk:
        row = Bench(tmp_path, "openai", desk.url).test()
        assert (row["state"], row["usable"], stranger.seen) == ("odd", False, [])


def test_a_proxy_of_the_environment_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon does not ask one either."""
    with KeyDesk(lambda *_: LIST) as proxy, KeyDesk(knows(KEY)) as desk:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert Bench(tmp_path, "openai", desk.url).test()["state"] == "valid"
        assert proxy.seen == []


def test_nobody_at_the_address_is_unreachable(tmp_path: Path) -> None:
    """With the system's words."""
    row = Bench(tmp_path, "openai", "http://127.0.0.1:9").test()
    assert (row["state"], row["usable"]) == ("unreachable", False)
    assert "refused" in row["said"]


def _listening(answer: bytes | None) -> tuple[socket.socket, str]:
    """Accept connections and say `answer`, or nothing."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        held = []
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.recv(65536)
                connection.sendall(answer)
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    return server, f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    """Within the time that was asked for."""
    server, url = _listening(None)
    with server:
        row = Bench(tmp_path, "openai", url).test(timeout_s=0.3)
    assert (row["state"], "0.3 seconds" in row["said"]) == ("unreachable", True)


def test_something_that_is_not_http_is_odd(tmp_path: Path) -> None:
    """Its bytes are not repeated."""
    server, url = _listening(b"SSH-2.0-marker\r\n")
    with server:
        row = Bench(tmp_path, "openai", url).test()
    assert (row["state"], "marker" in row["said"]) == ("odd", False)


def test_an_endless_answer_is_cut(tmp_path: Path) -> None:
    """64 KB are enough to know JSON from a web page."""
    body = b'{"data":[' + b'"x",' * 500_000
    with KeyDesk(
        lambda _, h: (200, {"content-type": "application/json"}, body) if "authorization" in h else (401, {}, b"")
    ) as desk:
        assert Bench(tmp_path, "openai", desk.url).test()["state"] == "valid"


def test_an_aws_key_pair_signs_the_call(tmp_path: Path) -> None:
    """The secret half stays here; the signature names host and moment."""
    pair = "AKIA" + "ABCDEFGHIJKLMNOP" + ":" + "s3cr3t" * 6
    with KeyDesk(lambda _, h: LIST if "AWS4-HMAC-SHA256" in h.get("authorization", "") else (403, {}, b"")) as desk:
        row = Bench(tmp_path, "bedrock", desk.url, pair).test()
        assert row["state"] == "valid"
        assert "s3cr3t" not in str(desk.seen)
        assert desk.seen[0][1]["x-amz-date"] == "20260501T000000Z"


def test_a_secret_that_is_not_there_is_said(tmp_path: Path) -> None:
    """No call is made."""
    with KeyDesk(lambda *_: LIST) as desk:
        bench = Bench(tmp_path, "openai", desk.url, source="env:LLMCP_TEST_NOT_SET")
        row = bench.test()
        assert (row["state"], row["usable"], desk.seen) == ("source_failed", False, [])
        assert "LLMCP_TEST_NOT_SET" in row["said"]


def test_an_azure_key_is_tried_at_each_of_its_resources(tmp_path: Path) -> None:
    """No resource's own host is asked here: without a name to resolve it is unreachable, and the place is told."""
    settings = Settings(credentials={"backend": "file"})  # type: ignore[arg-type]
    keys = open_keys(Home(tmp_path, tmp_path, tmp_path), settings, print)
    wanted = Wanted("azure", resources=("no-such-one-9f3b", "no-such-two-9f3b"))
    set_key(keys, wanted, "k" * 32, Change("local:tester", NOW, "c_1"), fresh_id())

    class Quiet(Checker):
        def _ask(self, request: Forward) -> Answer:
            asked.append((request.origin.host, any(name == b"api-key" for name, _ in request.headers)))
            return Answer(401)

    asked: list[tuple[str, bool]] = []
    rows = list(Quiet(settings, keys.catalog, keys.secrets, {}, NOW, 1.0).check(keys.entries.entries()))
    assert asked == [("no-such-one-9f3b.openai.azure.com", True), ("no-such-two-9f3b.openai.azure.com", True)]
    assert [row["place"] for row in rows] == ["no-such-one-9f3b.openai.azure.com", "no-such-two-9f3b.openai.azure.com"]
