"""Virtual keys through the real daemon and the real SDKs: who asks, with whose key, and for how long."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from fakes.provider_server import REPLY, Fault, ProviderServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.daemon import Daemon

OPENAI_KEY = "sk-" + "proj-" + "stored" * 6
CLAUDE_KEY = "sk-ant-" + "api03-" + "stored" * 6
GEMINI_KEY = "AIza" + "S" * 35
STORED = (OPENAI_KEY, CLAUDE_KEY, GEMINI_KEY)
HELLO: Any = [{"role": "user", "content": "Hello"}]
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}'
CLAUDE = b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
GEMINI = b'{"contents":[{"parts":[{"text":"x"}]}]}'
POLICY = """apiVersion: llmcp.dev/v1
kind: Policy
metadata: {name: acme-only}
spec:
  scope: {orgs: [acme]}
  rules:
    - {id: no-forbidden, match: {models: ["forbidden-*"]}, deny: {message: Not for acme}}
    - {id: no-eve, when: 'subject.user == "eve"', deny: {message: Not for Eve}}
"""


def token(daemon: Daemon, *args: str) -> dict[str, Any]:
    """Make a token; return its document with the key."""
    found: dict[str, Any] = json.loads(daemon.cli("token", "create", *args, "--json").stdout)
    return found


@pytest.fixture(scope="module")
def keyed(module_provider: ProviderServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Run a daemon with three stored credentials, an org and its app."""
    from e2e.daemon import Daemon

    running = Daemon(tmp_path_factory.mktemp("keyed") / "home", module_provider.url, {"CREDENTIALS__BACKEND": "file"})
    running.home.mkdir(mode=0o700)
    running.policy("acme-only", POLICY)
    for provider, key in zip(("openai", "anthropic", "gemini"), STORED, strict=True):
        running.cli("key", "set", provider, "--stdin", stdin=key + "\n")
    running.cli("org", "create", "acme")
    running.cli("app", "create", "bot", "--org", "acme")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def key(keyed: Daemon) -> str:
    """Return the key of a valid token."""
    args = ("--org", "acme", "--app", "bot", "--user", "ann", "--groups", "eng,oncall", "--labels", "team=core")
    made = str(token(keyed, *args)["token"])
    wait_for(keyed, made, 200)
    return made


def status(daemon: Daemon, key: str) -> int:
    """Ask with a key; return the status."""
    return daemon.call("POST", "/v1/chat/completions", CHAT, {"authorization": f"Bearer {key}"}).status


def wait_for(daemon: Daemon, key: str, wanted: int, *, timeout_s: float = 10) -> float:
    """Ask until the answer has the status `wanted`; return how long that took."""
    began = time.monotonic()
    while status(daemon, key) != wanted:
        if time.monotonic() - began > timeout_s:
            raise AssertionError(f"no {wanted} within {timeout_s} s")
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("base", ["/v1", "/openai/v1"])
def test_the_openai_client_works_with_a_virtual_key(keyed: Daemon, key: str, provider: ProviderServer, base: str) -> None:
    """The provider sees the stored credential and nothing of the virtual key; the record says who asked."""
    with openai.OpenAI(base_url=keyed.url + base, api_key=key, default_headers={"x-llmcp-labels": "team=x,job=7"}) as client:
        got = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    assert got.parse().choices[0].message.content == REPLY
    assert provider.received[0].headers["authorization"] == f"Bearer {OPENAI_KEY}"
    assert b"llmcp_" not in provider.received[0].head
    record = keyed.record(got.headers["x-llmcp-decision-id"])
    assert (record["org"], record["app"], record["groups"]) == ("acme", "bot", ["eng", "oncall"])
    assert record["key_id"].startswith("tok_")
    assert record["labels"] == {"team": "core", "job": "7"}


@pytest.mark.parametrize("auth", ["api_key", "auth_token"])
def test_the_anthropic_client_works_with_a_virtual_key(keyed: Daemon, key: str, provider: ProviderServer, auth: str) -> None:
    """In `x-api-key` or as Bearer; Anthropic's own form goes upstream, whole and streamed."""
    with anthropic.Anthropic(base_url=keyed.url, **{auth: key}) as client:  # type: ignore[arg-type]
        got: Any = client.messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=HELLO)
        assert got.content[0].text == REPLY
        with client.messages.stream(model="claude-sonnet-4-5", max_tokens=9, messages=HELLO) as stream:
            assert "".join(stream.text_stream) == REPLY
    for seen in provider.received:
        assert seen.headers["x-api-key"] == CLAUDE_KEY
        assert "authorization" not in seen.headers


def test_the_gemini_client_works_with_a_virtual_key(keyed: Daemon, key: str, provider: ProviderServer) -> None:
    """In `x-goog-api-key`."""
    options = types.HttpOptions(base_url=f"{keyed.url}/gemini")
    client = genai.Client(api_key=key, http_options=options)
    assert client.models.generate_content(model="gemini-2.5-flash", contents="x").text == REPLY
    assert provider.received[0].headers["x-goog-api-key"] == GEMINI_KEY


@pytest.mark.parametrize(
    ("target", "body", "headers"),
    [
        ("/v1/chat/completions", CHAT, {"authorization": "Bearer {key}"}),
        ("/v1/chat/completions", CHAT, {"x-api-key": "{key}"}),
        ("/v1/chat/completions", CHAT, {"api-key": "{key}"}),
        ("/openai/v1/chat/completions", CHAT, {"x-goog-api-key": "{key}"}),
        ("/v1/messages", CLAUDE, {"authorization": "Bearer {key}", "x-api-key": "{key}"}),
        ("/gemini/v1beta/models/gemini-2.5-flash:generateContent?key={key}", GEMINI, {}),
        ("/openai/v1/chat/completions", CHAT, {"proxy-authorization": "Bearer {key}"}),
    ],
)
def test_a_key_is_accepted_wherever_an_sdk_puts_it(
    keyed: Daemon, key: str, provider: ProviderServer, target: str, body: bytes, headers: dict[str, str]
) -> None:
    """And stands in nothing that goes upstream."""
    given = {name: value.replace("{key}", key) for name, value in headers.items()}
    assert keyed.call("POST", target.replace("{key}", key), body, given).status == 200
    sent = provider.received[0].head
    assert key.encode() not in sent
    assert sum(stored.encode() in sent for stored in STORED) == 1


@pytest.mark.usefixtures("provider")
def test_policies_know_who_asks(keyed: Daemon, key: str) -> None:
    """An org's scope binds its own tokens, and nobody else's requests."""
    eve = token(keyed, "--org", "acme", "--user", "eve")["token"]
    other = token(keyed, "--org", "default")["token"]
    wait_for(keyed, other, 200)
    body = CHAT.replace(b"gpt-4o", b"forbidden-1")
    assert keyed.call("POST", "/openai/v1/chat/completions", body, {"authorization": f"Bearer {key}"}).status == 403
    assert keyed.call("POST", "/openai/v1/chat/completions", body, {"authorization": f"Bearer {other}"}).status == 200
    assert status(keyed, eve) == 403


def test_a_token_is_held_to_its_providers_and_models(keyed: Daemon, provider: ProviderServer) -> None:
    """403 in the caller's dialect, naming the token's prefix, and nothing upstream."""
    made = token(keyed, "--org", "acme", "--providers", "openai", "--models", "gpt-4o*")
    wait_for(keyed, made["token"], 200)
    provider.forget()
    with (
        openai.OpenAI(base_url=keyed.url + "/v1", api_key=made["token"]) as client,
        pytest.raises(openai.PermissionDeniedError) as caught,
    ):
        client.chat.completions.create(model="o1", messages=HELLO)
    assert made["prefix"] in str(caught.value)
    with anthropic.Anthropic(base_url=keyed.url, api_key=made["token"]) as claude, pytest.raises(anthropic.PermissionDeniedError):
        claude.messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=HELLO)
    assert provider.received == []


def test_a_revocation_acts_within_a_second_also_under_load(keyed: Daemon, provider: ProviderServer) -> None:
    """Connections that stay open and requests in flight do not keep a revoked key alive; the SDKs raise their own exception."""
    made = token(keyed, "--org", "acme")
    wait_for(keyed, made["token"], 200)
    stop = threading.Event()
    answers: list[tuple[float, int]] = []

    def press() -> None:
        with openai.OpenAI(base_url=keyed.url + "/v1", api_key=made["token"], max_retries=0) as client:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    client.chat.completions.create(model="gpt-4o", messages=HELLO)
                    answers.append((began, 200))
                except openai.AuthenticationError:
                    answers.append((began, 401))

    pressing = [threading.Thread(target=press) for _ in range(4)]
    for thread in pressing:
        thread.start()
    try:
        time.sleep(0.5)
        keyed.cli("token", "revoke", made["id"])
        revoked = time.monotonic()
        time.sleep(2.0)
    finally:
        stop.set()
        for thread in pressing:
            thread.join()
    late = [began - revoked for began, got in answers if got == 200 and began - revoked > 1.0]
    assert late == []
    assert any(got == 200 for _, got in answers)
    assert any(got == 401 for _, got in answers)
    provider.forget()
    with anthropic.Anthropic(base_url=keyed.url, api_key=made["token"]) as claude, pytest.raises(anthropic.AuthenticationError):
        claude.messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=HELLO)
    assert provider.received == []


def test_an_expired_key_is_refused_without_any_change(keyed: Daemon) -> None:
    """The clock alone ends it."""
    made = token(keyed, "--org", "acme", "--expires", "3s")
    wait_for(keyed, made["token"], 200)
    assert wait_for(keyed, made["token"], 401) < 6


@pytest.mark.parametrize("harm", ["cut", "case", "prefix-case", "id", "nothing"])
@pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_a_harmed_key_is_a_401_and_goes_nowhere(keyed: Daemon, key: str, provider: ProviderServer, harm: str, place: str) -> None:
    """In the caller's dialect, and never upstream as somebody's own key."""
    harmed = {
        "cut": key[:-1],
        "case": key[:6] + key[6:].swapcase(),
        "prefix-case": key.replace("llmcp_", "LLMCP_"),
        "id": key[:6] + ("A" if key[6] != "A" else "B") + key[7:],
        "nothing": "llmcp_",
    }[harm]
    value = f"Bearer {harmed}" if place == "authorization" else harmed
    answer = keyed.call("POST", "/openai/v1/chat/completions", CHAT, {place: value})
    assert answer.status == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    claude = keyed.call("POST", "/anthropic/v1/messages", CLAUDE, {place: value})
    assert claude.status == 401
    assert claude.json()["error"]["type"] == "authentication_error"
    assert provider.received == []


def test_a_key_of_another_home_is_foreign(keyed: Daemon, make_daemon: Callable[..., Daemon], provider: ProviderServer) -> None:
    """Its digest is keyed with another pepper."""
    other = make_daemon(start=False, settings={"CREDENTIALS__BACKEND": "file"})
    other.home.mkdir(mode=0o700)
    foreign = token(other, "--org", "default")["token"]
    assert status(keyed, foreign) == 401
    assert provider.received == []


def test_a_disabled_org_is_shut_out_and_let_in_again(keyed: Daemon) -> None:
    """Within a second, without touching its tokens."""
    keyed.cli("org", "create", "paused")
    made = token(keyed, "--org", "paused")["token"]
    wait_for(keyed, made, 200)
    keyed.cli("org", "set", "paused", "--disable")
    assert wait_for(keyed, made, 401) < 1.5
    keyed.cli("org", "set", "paused", "--enable")
    assert wait_for(keyed, made, 200) < 1.5


def test_a_rotated_credential_is_used_without_a_restart(keyed: Daemon, key: str, provider: ProviderServer) -> None:
    """The next request goes up with the new one."""
    newer = "sk-" + "proj-" + "newer" * 8
    keyed.cli("key", "set", "openai", "--stdin", stdin=newer + "\n")
    try:
        time.sleep(1.0)
        provider.forget()
        assert status(keyed, key) == 200
        assert provider.received[0].headers["authorization"] == f"Bearer {newer}"
    finally:
        keyed.cli("key", "set", "openai", "--stdin", stdin=OPENAI_KEY + "\n")
        time.sleep(1.0)


def test_a_provider_without_a_stored_credential_says_what_to_do(keyed: Daemon, key: str, provider: ProviderServer) -> None:
    """401 with the command."""
    answer = keyed.call("POST", "/mistral/v1/chat/completions", CHAT, {"authorization": f"Bearer {key}"})
    assert answer.status == 401
    assert "llmcp key set mistral" in answer.json()["error"]["message"]
    assert provider.received == []


def test_a_refused_stored_credential_is_told_to_the_client_and_named_in_the_record(
    keyed: Daemon, key: str, provider: ProviderServer
) -> None:
    """The provider's own words come back; `error_type` says that the operator has a key to mend."""
    body = (
        b'{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}'
    )
    provider.misbehave(Fault("status", 401, body))
    answer = keyed.call("POST", "/v1/chat/completions", CHAT, {"authorization": f"Bearer {key}"})
    assert (answer.status, answer.body) == (401, body)
    assert keyed.record(answer.headers["x-llmcp-decision-id"])["error_type"] == "credential_refused"


def test_require_virtual_key_forbids_pass_through(make_daemon: Callable[..., Daemon], provider: ProviderServer) -> None:
    """A provider key of the client's own is refused; a virtual key is served."""
    daemon = make_daemon(settings={"AUTH__REQUIRE_VIRTUAL_KEY": "true", "CREDENTIALS__BACKEND": "file"})
    assert status(daemon, OPENAI_KEY) == 401
    assert provider.received == []
    daemon.cli("key", "set", "openai", "--stdin", stdin=OPENAI_KEY + "\n")
    made = token(daemon, "--org", "default")["token"]
    wait_for(daemon, made, 200)


def test_no_secret_is_anywhere_that_is_kept_shown_or_sent_to_another(
    make_daemon: Callable[..., Daemon], provider: ProviderServer
) -> None:
    """Stored credentials and virtual keys: not in the home's files, the log, records, answers, and only at their own provider."""
    daemon = make_daemon(settings={"CREDENTIALS__BACKEND": "file", "LOG_LEVEL": "debug"})
    for name, stored in zip(("openai", "anthropic", "gemini"), STORED, strict=True):
        daemon.cli("key", "set", name, "--stdin", stdin=stored + "\n")
    made = token(daemon, "--org", "default")
    wait_for(daemon, made["token"], 200)
    provider.forget()
    bearer = {"authorization": f"Bearer {made['token']}"}
    said = [
        daemon.call("POST", target, body, headers).body
        for headers in (bearer, {"authorization": "Bearer sk-" + "own" * 10}, {"authorization": f"Bearer {made['token']}x"})
        for target, body in (
            ("/v1/chat/completions", CHAT),
            ("/v1/messages", CLAUDE),
            ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", GEMINI),
            ("/mistral/v1/chat/completions", CHAT),
            ("/azure/evil/openai/v1/responses", CHAT),
            ("/v1/chat/completions", b"{"),
        )
    ]
    for fault in ("reset", "garbage", "close"):
        provider.misbehave(Fault(fault))
        said.append(daemon.call("POST", "/v1/chat/completions", CHAT, bearer).body)
    paths = {OPENAI_KEY: "/v1/chat", CLAUDE_KEY: "/v1/messages", GEMINI_KEY: "/v1beta/"}
    for seen in provider.received:
        assert made["token"].encode() not in seen.head
        for stored, path in paths.items():
            assert stored.encode() not in seen.head or seen.target.startswith(path)
    shown = daemon.cli("audit", "query", "--limit", "1000", "-o", "jsonl").stdout + daemon.cli("key", "list", "--json").stdout
    shown += daemon.cli("token", "list", "--json").stdout + daemon.cli("status", "--json").stdout
    daemon.stop()
    kept = {path: path.read_bytes() for path in daemon.home.rglob("*") if path.is_file()}
    for secret in (*STORED, made["token"], made["token"][20:]):
        assert secret not in shown
        assert secret not in daemon.log()
        assert [str(path) for path, content in kept.items() if secret.encode() in content] == []
        assert not any(secret.encode() in body for body in said)
