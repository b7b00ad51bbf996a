"""JWTs of an OIDC issuer through the real daemon: taken for virtual keys, proved or refused, never passed on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import openai
import pytest

from fakes.oidc_issuer import OidcIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.daemon import Daemon
    from fakes.provider_server import ProviderServer

STORED = "sk-" + "proj-" + "stored" * 6
HELLO: Any = [{"role": "user", "content": "Hello"}]
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}'


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    """Run an issuer."""
    with OidcIssuer() as running:
        yield running


@pytest.fixture
def daemon_of(issuer: OidcIssuer, make_daemon: Callable[..., Daemon]) -> Daemon:
    """Run a daemon that takes the issuer's tokens and has a credential to give."""
    settings = {"AUTH__JWT__ISSUER": issuer.url, "AUTH__JWT__AUDIENCE": "llmcp", "CREDENTIALS__BACKEND": "file"}
    made = make_daemon(start=False, settings=settings)
    made.home.mkdir(mode=0o700)
    made.cli("key", "set", "openai", "--stdin", stdin=STORED + "\n")
    made.cli("org", "create", "acme")
    made.start()
    return made


def token(issuer: OidcIssuer, **claims: Any) -> str:
    """Return a token that is good now."""
    now = int(time.time())  # noqa: TID251 - the daemon's clock is the real one
    return issuer.token(**{"iat": now - 5, "exp": now + 600, **claims})


def ask(daemon: Daemon, bearer: str, name: str = "authorization") -> Any:
    """Ask once."""
    return daemon.call(
        "POST", "/openai/v1/chat/completions", CHAT, {name: f"Bearer {bearer}" if name == "authorization" else bearer}
    )


def test_a_token_of_the_issuer_is_served_with_the_stored_credential(
    daemon_of: Daemon, issuer: OidcIssuer, provider: ProviderServer
) -> None:
    """The SDK knows nothing of it; the record says who it was."""
    with openai.OpenAI(base_url=daemon_of.url + "/v1", api_key=token(issuer), max_retries=5) as client:
        got = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    assert provider.received[-1].headers["authorization"] == f"Bearer {STORED}"
    record = daemon_of.record(got.headers["x-llmcp-decision-id"])
    assert (record["org"], record["app"], record["key_id"]) == ("acme", "billing", "jwt:k1")
    assert record["groups"] == ["eng", "ops"]


def test_a_token_that_does_not_prove_itself_goes_nowhere(daemon_of: Daemon, issuer: OidcIssuer, provider: ProviderServer) -> None:
    """Expired, for another audience, of an org that is not there, with another signature: 401 in whatever header it stands."""
    good = token(issuer)
    harmed = good[:-8] + ("A" * 8 if not good.endswith("A" * 8) else "B" * 8)
    bad = [token(issuer, exp=int(time.time()) - 600), token(issuer, aud="other"), token(issuer, org="nowhere"), harmed]  # noqa: TID251 - as above
    until = time.monotonic() + 10
    while ask(daemon_of, good).status != 200 and time.monotonic() < until:
        time.sleep(0.05)
    provider.forget()
    for bearer in bad:
        for name in ("authorization", "x-api-key", "api-key"):
            assert ask(daemon_of, bearer, name).status == 401
    assert provider.received == []
