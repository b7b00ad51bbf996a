"""The access snapshot of a real home: what is read, what is kept where something cannot be read, what the operator hears."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from llmcp import wiring
from llmcp.control.tokens import RANDOM_BYTES, TokenWish, create_token, revoke_token
from llmcp.core.settings import AuthSettings, CredentialSettings, ListenSettings, Settings
from llmcp.engine.access import Caller, Rejected
from llmcp.engine.credentials import Claim
from llmcp.errors import UsageError
from llmcp.wiring.access import AccessLoader, CurrentIssuer
from llmcp.wiring.changes import change
from llmcp.wiring.identities import identities, pepper_for_new, random_bytes
from llmcp.wiring.serving import check_exposure

if TYPE_CHECKING:
    from pathlib import Path

    from llmcp.config.home import Home

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SETTINGS = Settings(credentials=CredentialSettings(backend="file"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a home of the test's own, with its secrets in a file."""
    monkeypatch.setenv("LLMCP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLMCP_CREDENTIALS__BACKEND", "file")
    found = wiring.home()
    found.create()
    return found


def loader(home: Home) -> AccessLoader:
    """Return a loader over the home."""
    return AccessLoader(home, lambda: SETTINGS, CurrentIssuer(lambda: None))


def new_token(home: Home) -> Any:
    """Make a token as `token create` does."""
    store, at = identities(home, SETTINGS), change()
    pepper = pepper_for_new(store, at.time)
    return create_token(store, at, TokenWish(), pepper=pepper, random_bytes=random_bytes(RANDOM_BYTES))


def ask(of: AccessLoader, key: str) -> Any:
    """Load, and identify the bearer of a key."""
    return of.load().value.identify((Claim(key.encode(), virtual=True),), NOW)


def test_an_empty_home_asks_for_no_secret(home: Home) -> None:
    """Nothing is made, nothing is wrong."""
    fresh = loader(home).load()
    assert fresh.problems == ()
    assert not fresh.outside
    assert {path.name for path in home.config.iterdir() if not path.name.startswith("llmcp.db")} == {"run"}


def test_what_an_operator_does_is_seen_and_loaded(home: Home) -> None:
    """A token made and revoked elsewhere changes what is looked at, and what is loaded."""
    of = loader(home)
    first = of.look()
    made = new_token(home)
    assert of.look() != first
    assert isinstance(ask(of, made.key), Caller)
    second = of.look()
    revoke_token(identities(home, SETTINGS), change(), made.token.id)
    assert of.look() != second
    assert ask(of, made.key).error_type == "virtual_key_revoked"


def test_a_passphrase_is_stretched_once_for_all_loads(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a quarter of a second, and several on a busy machine: a revocation must act within one."""
    monkeypatch.setenv("LLMCP_MASTER_KEY", "correct horse " * 3)
    made, other = new_token(home), new_token(home)
    running = loader(home)
    assert isinstance(ask(running, made.key), Caller)
    stretched = []
    scrypt = hashlib.scrypt
    monkeypatch.setattr(hashlib, "scrypt", lambda *args, **more: stretched.append(1) or scrypt(*args, **more))
    revoke_token(identities(home, SETTINGS), change(), made.token.id)
    assert isinstance(ask(running, made.key), Rejected)
    assert isinstance(ask(running, other.key), Caller)
    assert not stretched


def test_a_lost_pepper_is_a_problem_and_no_key_is_good(home: Home) -> None:
    """A daemon that starts without it refuses; one that runs keeps what it has, so that revocations act."""
    made = new_token(home)
    running = loader(home)
    assert isinstance(ask(running, made.key), Caller)
    for name in ("credentials.enc", "master.key"):
        (home.config / name).unlink()
    assert isinstance(ask(running, made.key), Caller)
    revoke_token(identities(home, SETTINGS), change(), made.token.id)
    assert isinstance(ask(running, made.key), Rejected)
    assert "the one read before is used" in running.load().problems[0]
    newer = new_token(home)  # nothing valid is left, so a new pepper is made: the running daemon goes by it
    assert isinstance(ask(running, newer.key), Caller)
    (home.config / "credentials.enc").unlink()
    started = loader(home)
    assert isinstance(ask(started, made.key), Rejected)
    fresh = started.load()
    assert "all get 401" in fresh.problems[0]
    assert fresh.outside
    assert started.refresh_s() < SETTINGS.credentials.refresh_s


@pytest.mark.parametrize("strict", [False, True])
def test_beyond_loopback_a_listener_needs_keys_and_tls(strict) -> None:
    """What is missing is named; `--insecure` takes the blame."""
    settings = Settings(listen=ListenSettings(host="0.0.0.0"), auth=AuthSettings(require_virtual_key=strict))  # noqa: S104 - it is to be refused
    with pytest.raises(UsageError) as caught:
        check_exposure(settings, insecure=False)
    assert "TLS" in caught.value.why
    assert ("there is no `auth.require_virtual_key`" in caught.value.why) is not strict
    check_exposure(settings, insecure=True)
    check_exposure(Settings(), insecure=False)
