"""Rules of `llmcp.runtime.jwks`, `jwks_client` and `llmcp.wiring.jwt`, against a real issuer on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.oidc_issuer import AUDIENCE, NOW, OidcIssuer, claims_of, public_jwk, signed
from llmcp.core.identity import Identity, NotProven
from llmcp.core.settings import AuthSettings, JwtSettings, Settings
from llmcp.engine.jwt_keys import NO_KEYS, KeySet
from llmcp.errors import UnreachableError
from llmcp.runtime.jwks import Jwks
from llmcp.runtime.jwks_client import JwksClient
from llmcp.runtime.upstream import default_tls_context
from llmcp.wiring import jwt as wiring_jwt

TLS = default_tls_context()


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    """Yield an issuer that listens."""
    with OidcIssuer() as listening:
        yield listening


def settings_of(issuer: OidcIssuer, **changed: Any) -> JwtSettings:
    """Return settings for an issuer."""
    return JwtSettings(issuer=issuer.url, audience=(AUDIENCE,), **changed)


def client_of(issuer: OidcIssuer, **changed: Any) -> JwksClient:
    """Return who asks it, impatiently."""
    return JwksClient(settings_of(issuer, **changed), TLS, timeout_s=1.0)


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


def kept(issuer: OidcIssuer, clock: Clock, **changed: Any) -> Jwks:
    """Return keys that are refreshed when the test says so."""
    return Jwks(settings_of(issuer, **changed), client_of(issuer, **changed).fetch, monotonic=clock)


def until(true: Callable[[], object]) -> None:
    """Wait for what a thread is about to do."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_the_keys_are_where_the_discovery_document_says(issuer: OidcIssuer) -> None:
    """One document leads to the other."""
    assert [key.kid for key in client_of(issuer).fetch().keys] == ["k1"]
    assert list(issuer.asked.values()) == [1, 1]


def test_a_jwks_uri_in_the_settings_is_asked_directly(issuer: OidcIssuer) -> None:
    """Without the discovery document."""
    assert client_of(issuer, jwks_uri=issuer.jwks_uri).fetch().keys
    assert list(issuer.asked) == ["/realms/test/certs"]


@pytest.mark.parametrize("mood", ["down", "garbage", "redirect", "huge", "error", "drip", "gzip"])
@pytest.mark.parametrize("discovered", [True, False])
def test_an_issuer_on_a_bad_day_gives_an_error_that_can_be_said(issuer: OidcIssuer, mood: str, discovered: bool) -> None:
    """No redirect, no compressed or endless answer, nothing that is no JWKS; and no waiting for ever."""
    issuer.mood = mood
    with pytest.raises(UnreachableError) as caught:
        client_of(issuer, jwks_uri="" if discovered else issuer.jwks_uri).fetch()
    assert caught.value.why
    assert caught.value.fix


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example"},
        {"issuer": ...},
        {"issuer": 7},
        {"jwks_uri": "http://keys.example/certs"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user:pass@keys.example/"},
        {"jwks_uri": "https://[::1"},
        {"jwks_uri": ""},
        {"jwks_uri": ["a"]},
    ],
)
def test_a_discovery_document_of_another_issuer_or_place_is_refused(issuer: OidcIssuer, discovery: dict[str, Any]) -> None:
    """Its issuer is the configured one, letter by letter; keys come over https."""
    issuer.discovery = {name: (None if value is ... else value) for name, value in discovery.items()}
    with pytest.raises(UnreachableError):
        client_of(issuer).fetch()
    assert issuer.asked["/realms/test/certs"] == 0


def test_no_proxy_of_the_environment_is_used(issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be llmcp itself."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert client_of(issuer).fetch().keys


def test_a_new_key_is_taken_after_one_refresh_and_a_removed_one_refused(issuer: OidcIssuer) -> None:
    """Rotation: what the issuer publishes is what counts, from the refresh on."""
    jwks = kept(issuer, Clock())
    jwks.refresh()
    old, new = issuer.token(), signed(claims_of(issuer.url), number=1, kid="k2")
    assert isinstance(jwks.verifier.verify(old, NOW), Identity)
    issuer.keys.append(public_jwk("RSA", 1, kid="k2"))
    assert isinstance(jwks.verifier.verify(new, NOW), NotProven)
    jwks.refresh()
    assert isinstance(jwks.verifier.verify(old, NOW), Identity)
    assert isinstance(jwks.verifier.verify(new, NOW), Identity)
    issuer.rotate("k2", 1)
    assert isinstance(jwks.verifier.verify(old, NOW), Identity)
    jwks.refresh()
    assert isinstance(jwks.verifier.verify(old, NOW), NotProven), "though it was remembered"
    assert isinstance(jwks.verifier.verify(new, NOW), Identity)


def test_equal_keys_keep_the_memory(issuer: OidcIssuer) -> None:
    """A refresh that brings nothing new does not make everybody prove themselves again."""
    jwks = kept(issuer, Clock())
    jwks.refresh()
    before = jwks.verifier
    jwks.refresh()
    assert jwks.verifier is before


def test_keys_outlive_a_failing_issuer_for_a_while_and_are_let_go_then(issuer: OidcIssuer) -> None:
    """And the operator is told all the while."""
    clock = Clock()
    jwks = kept(issuer, clock)
    jwks.refresh()
    assert not jwks.problems()
    issuer.mood = "error"
    clock.at += 3600
    jwks.refresh()
    assert isinstance(jwks.verifier.verify(issuer.token(), NOW), Identity)
    (said,) = jwks.problems()
    assert "HTTP 500" in said
    assert "60 minutes" in said
    clock.at += 3 * 3600
    jwks.refresh()
    assert jwks.verifier.verify(issuer.token(), NOW) == NotProven("the issuer's keys are not known yet", again=True)
    assert "refused" in jwks.problems()[0]
    issuer.mood = "well"
    jwks.refresh()
    assert isinstance(jwks.verifier.verify(issuer.token(), NOW), Identity)
    assert not jwks.problems()


def test_garbage_in_the_place_of_keys_changes_nothing(issuer: OidcIssuer) -> None:
    """A sign-in page of a proxy on the way does not lock everybody out."""
    jwks = kept(issuer, Clock())
    jwks.refresh()
    issuer.mood = "garbage"
    jwks.refresh()
    assert isinstance(jwks.verifier.verify(issuer.token(), NOW), Identity)
    assert jwks.problems()


def test_a_faulty_key_is_said_and_one_for_encryption_is_not(issuer: OidcIssuer) -> None:
    """Keycloak always publishes one for encryption; a short one is a fault."""
    jwks = kept(issuer, Clock())
    issuer.keys += [public_jwk("RSA", 2, kid="enc", use="enc"), public_jwk("RSA-1024", kid="short")]
    jwks.refresh()
    (said,) = jwks.problems()
    assert "`short`: it has 1024 bits" in said


def test_no_usable_key_and_no_audience_are_said(issuer: OidcIssuer) -> None:
    """Both mean that nobody gets in."""
    issuer.keys = []
    jwks = Jwks(JwtSettings(issuer=issuer.url), client_of(issuer).fetch, monotonic=Clock())
    jwks.refresh()
    assert ["audience" in said for said in jwks.problems()] == [True, False]
    assert "no key" in jwks.problems()[1]


def test_unknown_keys_have_the_issuer_asked_at_most_every_ten_seconds(issuer: OidcIssuer) -> None:
    """However many tokens of whatever keys come."""
    clock = Clock()
    jwks = kept(issuer, clock)
    jwks.refresh()
    token = signed(claims_of(issuer.url), kid="k2")
    assert not [True for _ in range(50) if jwks.verifier.verify(token, NOW).again]
    clock.at += 10
    proven = [jwks.verifier.verify(token, NOW) for _ in range(50)]
    assert all(isinstance(one, NotProven) and one.again for one in proven), "while it is under way, coming again helps"


def test_a_bug_in_the_fetch_does_not_end_the_keys() -> None:
    """The thread lives on, and says the kind of the error only."""

    def fetch() -> KeySet:
        raise RuntimeError("with a value in it")

    jwks = Jwks(JwtSettings(issuer="https://x.example", audience=("a",)), fetch, monotonic=Clock())
    jwks.refresh()
    assert jwks.problems() == ("the issuer's keys cannot be fetched (RuntimeError): its tokens are refused",)


def test_the_thread_fetches_at_once_and_when_asked_and_ends(issuer: OidcIssuer) -> None:
    """From the daemon's start to its stop; a rotation is noticed by the first token of the new key."""
    jwks = Jwks(settings_of(issuer), client_of(issuer).fetch, ask_every_s=0.0)
    jwks.start()
    until(lambda: jwks.verifier.keys.keys)
    assert isinstance(jwks.verifier.verify(issuer.token(), NOW), Identity)
    issuer.rotate("k2", 1)
    new = signed(claims_of(issuer.url), number=1, kid="k2")
    until(lambda: isinstance(jwks.verifier.verify(new, NOW), Identity))
    assert isinstance(jwks.verifier.verify(issuer.token(), NOW), NotProven)
    jwks.stop()
    until(lambda: "llmcp-jwks" not in [thread.name for thread in threading.enumerate()])
    assert not jwks.ask()


def test_rotation_while_many_verify(issuer: OidcIssuer) -> None:
    """Every answer is right by the old keys or by the new: no request sees half a key set."""
    jwks = kept(issuer, Clock())
    jwks.refresh()
    tokens = {"k1": issuer.token(), "k2": signed(claims_of(issuer.url), number=1, kid="k2")}
    wrong: list[object] = []
    done = threading.Event()

    def verify() -> None:
        while not done.is_set():
            verifier = jwks.verifier
            kids = {key.kid for key in verifier.keys.keys}
            for kid, token in tokens.items():
                proven = verifier.verify(token, NOW)
                if isinstance(proven, Identity) is not (kid in kids):
                    wrong.append((kid, kids, proven))
            time.sleep(0.001)

    threads = [threading.Thread(target=verify) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        issuer.rotate(*(("k2", 1) if turn % 2 else ("k1", 0)))
        jwks.refresh()
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_issuer_that_is_down_at_the_start_is_asked_until_it_is_up(issuer: OidcIssuer) -> None:
    """The daemon starts without it; its tokens are refused meanwhile, and never taken for somebody's own key."""
    issuer.mood = "down"
    service = wiring_jwt.start(whole(issuer))
    try:
        verifier = service.verifier()
        assert verifier is not None
        assert verifier.recognises(issuer.token())
        assert verifier.verify(issuer.token(), NOW) == NotProven("the issuer's keys are not known yet", again=True)
        until(service.problems)
        assert service.problems()[0].file == "auth.jwt"
        issuer.mood = "well"
        until(lambda: not service.problems())
        verifier = service.verifier()
        assert verifier is not None
        assert isinstance(verifier.verify(issuer.token(exp=4_000_000_000), datetime.now(UTC)), Identity)
    finally:
        service.stop()


def whole(issuer: OidcIssuer | None, **changed: Any) -> Settings:
    """Return a home's settings."""
    return Settings(auth=AuthSettings(jwt=settings_of(issuer, **changed) if issuer else JwtSettings()))


def test_new_settings_exchange_the_issuer_and_equal_ones_do_not(issuer: OidcIssuer) -> None:
    """A reload that changes something else keeps the keys; taking the issuer out takes the verifier out."""
    service = wiring_jwt.start(whole(None))
    assert service.verifier() is None
    service.apply(whole(issuer))
    until(lambda: getattr(service.verifier(), "keys", NO_KEYS).keys)
    before = service.verifier()
    service.apply(whole(issuer))
    assert service.verifier() is before
    service.apply(whole(issuer, leeway_s=0))
    assert service.verifier() is not before
    service.apply(whole(None))
    assert service.verifier() is None
    service.stop()
