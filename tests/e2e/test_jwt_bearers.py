"""Tokens of an OIDC issuer through the real daemon: a real issuer, a real provider, and what reaches either."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import openai
import pytest

from fakes.oidc_issuer import AUDIENCE, OidcIssuer, claims_of, public_jwk, signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.daemon import Daemon
    from fakes.provider_server import ProviderServer

STORED = "sk-" + "proj-" + "stored" * 6
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}'
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    """Yield an issuer that listens."""
    with OidcIssuer() as listening:
        yield listening


@pytest.fixture(scope="module")
def trusting(issuer: OidcIssuer, module_provider: ProviderServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Run a daemon that takes the issuer's tokens, with a stored credential and the org `acme`."""
    from e2e.daemon import Daemon

    settings = {
        "CREDENTIALS__BACKEND": "file",
        "AUTH__JWT__ISSUER": issuer.url,
        "AUTH__JWT__AUDIENCE": f'["{AUDIENCE}"]',
        "AUTH__JWT__REFRESH_S": "10",
    }
    running = Daemon(tmp_path_factory.mktemp("trusting") / "home", module_provider.url, settings)
    running.home.mkdir(mode=0o700)
    running.cli("key", "set", "openai", "--stdin", stdin=STORED + "\n")
    running.cli("org", "create", "acme")
    try:
        running.start()
        wait_for(running, bearer(issuer), 200)
        yield running
    finally:
        running.stop()


def bearer(issuer: OidcIssuer, *, number: int = 0, kid: str = "k1", **claims: Any) -> str:
    """Return a token that is good now."""
    at = time.time_ns() // 10**9
    return signed(claims_of(issuer.url, **{"iat": at - 5, "exp": at + 600, **claims}), number=number, kid=kid)


def ask(daemon: Daemon, token: str) -> int:
    """Ask with a token; return the status."""
    return daemon.call("POST", "/v1/chat/completions", CHAT, {"authorization": f"Bearer {token}"}).status


def wait_for(daemon: Daemon, token: str, wanted: int) -> None:
    """Ask until the answer has the status `wanted`."""
    until = time.monotonic() + 30
    while (got := ask(daemon, token)) != wanted:
        assert time.monotonic() < until, f"{got} in the place of {wanted}"
        time.sleep(0.1)


def test_a_token_of_the_issuer_is_served_and_recorded_as_its_bearer(
    trusting: Daemon, issuer: OidcIssuer, provider: ProviderServer
) -> None:
    """With the stored credential; the token itself never goes upstream."""
    token = bearer(issuer)
    client = openai.OpenAI(base_url=f"{trusting.url}/v1", api_key=token, max_retries=0)
    answer = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    record = trusting.record(answer.headers["x-llmcp-decision-id"])
    found = [record[name] for name in ("org", "app", "user", "groups", "key_id")]
    assert found == ["acme", "billing", "u-1", ["eng", "ops"], "jwt:k1"]
    head = provider.received[-1].head
    assert STORED.encode() in head
    assert token.encode() not in head


@pytest.mark.parametrize(
    "claims", [{"exp": 1_700_000_000, "iat": ...}, {"aud": "other"}, {"org": ...}, {"org": "nobody"}, {"nbf": 4_000_000_000}]
)
def test_what_a_token_does_not_prove_is_401_and_reaches_nobody(
    trusting: Daemon, issuer: OidcIssuer, provider: ProviderServer, claims: dict[str, Any]
) -> None:
    """In the caller's own dialect; an org that does not exist is as good as none."""
    before = len(provider.received)
    client = openai.OpenAI(base_url=f"{trusting.url}/v1", api_key=bearer(issuer, **claims), max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    forged = bearer(issuer, number=1)
    assert ask(trusting, forged) == 401
    assert len(provider.received) == before


def test_a_jwt_of_somebody_else_is_its_bearers_own_key(trusting: Daemon, provider: ProviderServer) -> None:
    """Coding agents sign in with their provider's: it goes to the provider, and proves nothing here."""
    other = signed(claims_of("https://auth.provider.example", exp=4_000_000_000))
    answer = trusting.call("POST", "/openai/v1/chat/completions", CHAT, {"authorization": f"Bearer {other}"})
    assert answer.status == 200
    assert other.encode() in provider.received[-1].head
    assert trusting.record(answer.headers["x-llmcp-decision-id"])["org"] == "default"


def test_a_rotation_of_keys_is_followed_while_serving(trusting: Daemon, issuer: OidcIssuer) -> None:
    """The new key is taken and the old one refused, without a restart."""
    old, new = bearer(issuer), bearer(issuer, number=1, kid="k2")
    assert ask(trusting, old) == 200
    issuer.keys = [public_jwk("RSA", 1, kid="k2", alg="RS256")]
    try:
        wait_for(trusting, new, 200)
        wait_for(trusting, old, 401)
    finally:
        issuer.rotate("k1", 0)
        wait_for(trusting, old, 200)
