"""Safe by default, seen from outside: who may talk to the listeners, which key goes where, what is never passed on or kept."""

from __future__ import annotations

import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fakes.provider_server import ProviderServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.daemon import Daemon

OPENAI_KEY = "sk-" + "k" * 40
CLAUDE_KEY = "sk-ant-" + "k" * 40
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}'
CLAUDE = b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
BEARER = {"authorization": "Bearer " + OPENAI_KEY}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8900", "127.0.0.1.evil.example", "localhost.evil.example", "169.254.169.254"]
)
def test_a_rebound_host_name_is_misdirected(daemon: Daemon, provider: ProviderServer, host: str) -> None:
    """A web page that lets its own name point at loopback gets 421, on every path."""
    assert daemon.call("POST", "/v1/chat/completions", CHAT, {**BEARER, "host": host}).status == 421
    assert daemon.call("GET", "/v1/models", None, {**BEARER, "host": host}).status == 421
    assert provider.received == []


def test_the_admin_listener_checks_the_host_too(daemon: Daemon) -> None:
    """The same rule holds on every listener."""
    port = int(daemon.admin.rsplit(":", 1)[1])
    assert daemon.call("GET", "/healthz", None, {"host": "evil.example"}, port=port).status == 421
    assert daemon.call("GET", "/healthz", port=port).status == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:8900"])
@pytest.mark.usefixtures("provider")
def test_loopback_names_are_served(daemon: Daemon, host: str) -> None:
    """Whatever port the client believes it speaks to."""
    assert daemon.call("POST", "/v1/chat/completions", CHAT, {**BEARER, "host": host}).status == 200


@pytest.mark.parametrize(
    "header",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9"}, {"sec-fetch-site": "cross-site"}],
)
def test_a_browser_page_of_another_origin_is_refused(daemon: Daemon, provider: ProviderServer, header: dict[str, str]) -> None:
    """No CORS headers either, so that no page reads an answer."""
    answer = daemon.call("POST", "/v1/chat/completions", CHAT, {**BEARER, **header})
    assert answer.status == 403
    assert not [h for h in answer.headers if h.startswith("access-control-")]
    assert provider.received == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp"]
)
@pytest.mark.parametrize("target", ["/v1/chat/completions", "/openai/v1/responses", "/v1/messages"])
def test_a_json_operation_takes_only_json(daemon: Daemon, provider: ProviderServer, kind: str, target: str) -> None:
    """What a form of a web page can send is 415."""
    assert daemon.call("POST", target, CHAT, {**BEARER, "content-type": kind}).status == 415
    assert provider.received == []


@pytest.mark.parametrize(
    ("target", "body", "headers"),
    [
        ("/v1/chat/completions", CHAT, {"authorization": "Bearer " + CLAUDE_KEY}),
        ("/v1/chat/completions", CHAT.replace(b"gpt-4o", b"mistral-large-latest"), BEARER),
        ("/v1/chat/completions", CHAT.replace(b"gpt-4o", b"groq/llama-3.3-70b"), BEARER),
        ("/v1/messages", CLAUDE, {"x-api-key": OPENAI_KEY, "anthropic-version": "2023-06-01"}),
    ],
)
def test_a_key_never_goes_to_a_provider_whose_form_it_has_not(
    daemon: Daemon,
    provider: ProviderServer,
    target: str,
    body: bytes,
    headers: dict[str, str],
) -> None:
    """On a unified path the model chooses the provider; a key of another form needs a stored credential instead."""
    assert daemon.call("POST", target, body, headers).status == 401
    assert provider.received == []


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization"])
def test_an_unknown_virtual_key_is_refused_and_never_forwarded(daemon: Daemon, provider: ProviderServer, name: str) -> None:
    """Wherever an SDK puts it."""
    key = "llmcp_" + "q" * 40
    value = f"Bearer {key}" if name.endswith("authorization") else key
    answer = daemon.call("POST", "/openai/v1/chat/completions", CHAT, {name: value})
    assert answer.status == 401
    assert provider.received == []
    assert key.encode() not in answer.body


def test_what_belongs_to_llmcp_or_to_the_connection_is_not_passed_on(daemon: Daemon, provider: ProviderServer) -> None:
    """Our own headers, proxy credentials, hop-by-hop headers and those that `Connection` names stop here."""
    dropped = {
        "x-llmcp-labels": "team=a",
        "x-llmcp-anything": "b",
        "proxy-authorization": "Basic Zm9vOmJhcg==",
        "proxy-connection": "keep-alive",
        "keep-alive": "timeout=5",
        "te": "trailers",
        "x-named": "by connection",
        "x-stray": "prefix llmcp_" + "z" * 30,
    }
    got = daemon.call(
        "POST", "/openai/v1/chat/completions", CHAT, {**BEARER, **dropped, "connection": "keep-alive, x-named", "x-kept": "1"}
    )
    assert got.status == 200
    head = provider.received[0]
    assert not set(dropped) & set(head.headers)
    assert b"llmcp_" not in head.head
    assert head.headers["x-kept"] == "1"
    assert head.headers["host"] == provider.url.removeprefix("http://")


def test_a_key_in_the_query_works_for_gemini_and_is_kept_nowhere(
    make_daemon: Callable[..., Daemon], provider: ProviderServer
) -> None:
    """It is taken from the URL, sent as a header, and stands in no file of the home."""
    daemon = make_daemon()
    key = "AIza" + "S" * 35
    target = f"/gemini/v1beta/models/gemini-2.5-flash:generateContent?alt=json&key={key}"
    answer = daemon.call("POST", target, b'{"contents":[{"parts":[{"text":"x"}]}]}')
    assert answer.status == 200
    assert key not in provider.received[0].target
    assert provider.received[0].headers["x-goog-api-key"] == key
    daemon.record(answer.headers["x-llmcp-decision-id"])
    daemon.stop()
    kept = [p for p in daemon.home.rglob("*") if p.is_file() and key.encode() in p.read_bytes()]
    assert kept == []
    assert key not in daemon.log()


def test_neither_bodies_nor_keys_are_kept(make_daemon: Callable[..., Daemon]) -> None:
    """Without a `record` rule no text of a prompt or an answer stands in any file."""
    daemon = make_daemon()
    marker = "a-sentence-that-must-not-be-kept"
    body = CHAT.replace(b'"x"', f'"{marker}"'.encode())
    answer = daemon.call("POST", "/v1/chat/completions", body, BEARER)
    daemon.record(answer.headers["x-llmcp-decision-id"])
    daemon.stop()
    for path in (p for p in daemon.home.rglob("*") if p.is_file()):
        content = path.read_bytes()
        assert marker.encode() not in content, path
        assert OPENAI_KEY.encode() not in content, path
    assert marker not in daemon.log()


def test_files_are_the_owners_alone(make_daemon: Callable[..., Daemon]) -> None:
    """0600 for files and 0700 for directories that llmcp makes."""
    daemon = make_daemon()
    made = [p for p in daemon.home.rglob("*") if "policies" not in p.parts]
    assert made
    assert [str(p) for p in made if stat.S_IMODE(p.lstat().st_mode) & 0o077] == []


def test_one_home_has_one_daemon(daemon: Daemon) -> None:
    """A second one ends with 6 and says who has it."""
    second = daemon.cli("serve", "--port", "0", "--admin-port", "0", check=False)
    assert second.returncode == 6
    assert "error[" in second.stderr
    assert str(daemon.pid) in second.stderr


def test_a_public_address_needs_virtual_keys(make_daemon: Callable[..., Daemon]) -> None:
    """`--host 0.0.0.0` alone is refused as an invalid setting."""
    daemon = make_daemon(start=False)
    daemon.home.mkdir()
    command = [sys.executable, "-m", "llmcp", "serve", "--host", "0.0.0.0", "--port", "0", "--admin-port", "0"]  # noqa: S104  it must be refused
    done = subprocess.run(command, env=daemon.environ(), capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "require_virtual_key" in done.stderr


def test_without_a_credential_the_answer_is_401_in_the_callers_dialect(daemon: Daemon, provider: ProviderServer) -> None:
    """No key at all, no stored credential: nothing goes upstream."""
    assert daemon.call("POST", "/v1/chat/completions", CHAT).json()["error"]["message"]
    answer = daemon.call("POST", "/v1/messages", CLAUDE, {"anthropic-version": "2023-06-01"})
    assert answer.status == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert provider.received == []
