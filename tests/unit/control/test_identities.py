"""Rules of `llmcp.control.orgs`, `apps` and `tokens`, over a real store."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.secret_store import MemorySecretStore
from llmcp.control import apps, orgs, pepper, tokens
from llmcp.control.change import Change
from llmcp.control.tokens import TokenWish
from llmcp.core import virtual_keys
from llmcp.core.identity import TokenState, state_of
from llmcp.core.records import timestamp
from llmcp.errors import ConflictError, NotFoundError, UsageError
from llmcp.stores.sqlite.identities import SqliteIdentities

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PEPPER = b"p" * 32
_NUMBERS = count(1)


@pytest.fixture
def store(tmp_path: Path) -> SqliteIdentities:
    """A fresh store."""
    return SqliteIdentities(tmp_path / "llmcp.db")


def change(now: datetime = NOW) -> Change:
    """Return the circumstances of one change."""
    return Change("local:test", now, f"c-{next(_NUMBERS):08d}")


def issue(store: SqliteIdentities, **wish: Any) -> tokens.Issued:
    """Make a token."""
    random_bytes = hashlib.sha512(next(_NUMBERS).to_bytes(8)).digest()
    return tokens.create_token(store, change(), TokenWish(**wish), pepper=PEPPER, random_bytes=random_bytes[:34])


def rotate(store: SqliteIdentities, spelt: str, *, now: datetime = NOW, **how: Any) -> Any:
    """Rotate a token."""
    random_bytes = hashlib.sha512(next(_NUMBERS).to_bytes(8)).digest()
    how.setdefault("ends", timestamp(now))
    return tokens.rotate_token(store, change(now), spelt, pepper=PEPPER, random_bytes=random_bytes[:34], **how)


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "é", "a" * 65, "a/b", "a\n", "\u0661"])
def test_a_name_that_could_not_stand_in_a_glob_or_a_url_is_refused(store: SqliteIdentities, name: str) -> None:
    """For orgs and for apps, and nothing is written."""
    with pytest.raises(UsageError, match="cannot be the name"):
        orgs.create_org(store, change(), name)
    with pytest.raises(UsageError, match="cannot be the name"):
        apps.create_app(store, change(), "default", name)
    assert (len(store.orgs()), store.apps()) == (1, ())


@pytest.mark.parametrize("zone", ["Europe/Berlim", "", "Europe", "../UTC", "/etc/passwd", "utc "])
def test_a_time_zone_must_be_one(store: SqliteIdentities, zone: str) -> None:
    """Rule 4 of orgs; a near one is named."""
    with pytest.raises(UsageError) as raised:
        orgs.create_org(store, change(), "a", time_zone=zone)
    if zone == "Europe/Berlim":
        assert raised.value.fix == "did you mean `Europe/Berlin`?"


def test_setting_changes_what_was_said_and_nothing_else(store: SqliteIdentities) -> None:
    """What is not said stays; saying what is already so writes nothing."""
    orgs.create_org(store, change(), "a", title="A", time_zone="Europe/Berlin")
    apps.create_app(store, change(), "a", "x", title="X")
    before, after = orgs.set_org(store, change(), "a", enabled=False)
    assert after == msgspec.structs.replace(before, enabled=False) == store.orgs("a")[0]
    assert orgs.differences(before, after) == {"enabled": "true -> false"}
    _, app = apps.set_app(store, change(), "a", "x", title="")
    assert (app.title, app.enabled, store.apps("a")) == ("", True, (app,))
    orgs.set_org(store, change(), "default", enabled=True)
    with pytest.raises(ConflictError, match="default"):
        orgs.set_org(store, change(), "default", enabled=False)


def test_what_is_not_there_is_answered_with_a_near_name(store: SqliteIdentities) -> None:
    """A slip of a letter is the commonest cause."""
    orgs.create_org(store, change(), "research")
    apps.create_app(store, change(), "research", "notebook")
    with pytest.raises(NotFoundError) as raised:
        orgs.find_org(store, "reserch")
    assert "did you mean `research`?" in raised.value.fix
    with pytest.raises(NotFoundError) as raised:
        issue(store, org="research", app="notebok")
    assert "did you mean `notebook`?" in raised.value.fix


def test_a_token_is_for_an_app_of_its_own_org(store: SqliteIdentities) -> None:
    """An app of the same name elsewhere is another app."""
    orgs.create_org(store, change(), "a")
    apps.create_app(store, change(), "a", "x")
    assert issue(store, org="a", app="x").token.app == "x"
    with pytest.raises(NotFoundError):
        issue(store, app="x")
    with pytest.raises(NotFoundError):
        issue(store, org="b")


def test_the_key_is_returned_once_and_shown_nowhere(store: SqliteIdentities) -> None:
    """Rule 1: not by a document, not by a repr."""
    issued = issue(store, user="u@example.com", groups=("g",), labels={"team": "t"}, providers=("openai",), models=("gpt-*",))
    assert virtual_keys.parse(issued.key) == issued.token.id
    assert issued.token.digest == virtual_keys.digest(PEPPER, issued.key)
    assert issued.document()["token"] == issued.key
    (document,) = tokens.list_tokens(store, timestamp(NOW))
    assert document == {key: value for key, value in issued.document().items() if key != "token"}
    secret = issued.key.removeprefix(issued.token.prefix)[1:]
    shown = repr(issued) + repr(issued.token) + repr(document)
    assert secret[:6] not in shown
    assert "digest" not in shown


def test_a_rotated_token_hands_on_what_it_was_and_ends_at_once(store: SqliteIdentities) -> None:
    """Rule 3."""
    old = issue(store, user="u", labels={"k": "v"}, models=("gpt-*",), expires=timestamp(NOW + timedelta(days=10))).token
    later = NOW + timedelta(days=4)
    left, issued = rotate(store, old.prefix, now=later)
    new = issued.token
    same = ("org", "app", "user", "groups", "labels", "providers", "models")
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    assert (new.created, new.expires) == (timestamp(later), timestamp(NOW + timedelta(days=14)))
    assert (left.revoked, left.replaced_by) == (timestamp(later), new.id)
    assert sorted(store.tokens(), key=lambda token: token.created) == [left, new]
    assert new.digest != old.digest


def test_a_grace_lets_the_old_token_live_on_but_never_longer_than_it_would_have(store: SqliteIdentities) -> None:
    """Rule 3."""
    soon, late = timestamp(NOW + timedelta(hours=1)), timestamp(NOW + timedelta(days=30))
    for expires, expected in (("", soon), (late, soon), (soon, soon)):
        old = issue(store, expires=expires).token
        left, _ = rotate(store, old.id, ends=soon)
        assert (left.expires, left.revoked) == (expected, "")
        assert state_of(left, timestamp(NOW)) is TokenState.VALID
        assert state_of(left, soon) is TokenState.EXPIRED
    left, _ = rotate(store, issue(store, expires=soon).token.id, ends=late)
    assert left.expires == soon


def test_only_a_token_that_has_not_ended_is_rotated_and_only_once(store: SqliteIdentities) -> None:
    """Rule 4: a second successor would leave the first one forgotten and valid."""
    ended = issue(store, expires=timestamp(NOW + timedelta(seconds=1))).token
    revoked = issue(store).token
    tokens.revoke_token(store, change(), revoked.id)
    rotated = issue(store).token
    _, successor = rotate(store, rotated.id, ends=timestamp(NOW + timedelta(days=1)))
    for token, why in ((ended, "ended at"), (revoked, "revoked at"), (rotated, successor.token.id)):
        with pytest.raises(ConflictError) as raised:
            rotate(store, token.id, now=NOW + timedelta(hours=1), ends=timestamp(NOW + timedelta(days=2)))
        assert why in raised.value.why


def test_revoking_twice_is_revoking_once(store: SqliteIdentities) -> None:
    """The first moment stays; a key that leaked can be pasted whole."""
    issued = issue(store)
    revoked, first = tokens.revoke_token(store, change(), issued.key)
    again, second = tokens.revoke_token(store, change(NOW + timedelta(days=1)), issued.token.prefix)
    assert (first, second, revoked) == (True, False, again)
    assert revoked.revoked == timestamp(NOW)


def test_a_token_that_is_not_found_is_not_repeated(store: SqliteIdentities) -> None:
    """What was typed may be a secret."""
    key = issue(store).key
    for spelt in (key[:-1], key.swapcase(), "sk-" + "s" * 40, key + "x"):
        with pytest.raises(NotFoundError) as raised:
            tokens.find_token(store, spelt)
        assert key[20:28] not in f"{raised.value.what} {raised.value.why}"
        assert "s" * 30 not in raised.value.what


def test_a_list_says_what_each_token_is_good_for_now(store: SqliteIdentities) -> None:
    """Valid, expired, revoked, and disabled with its org or app."""
    orgs.create_org(store, change(), "off")
    apps.create_app(store, change(), "default", "x")
    expected = {
        issue(store).token.id: "valid",
        issue(store, expires=timestamp(NOW)).token.id: "expired",
        issue(store, app="x").token.id: "disabled",
        issue(store, org="off").token.id: "disabled",
    }
    revoked = issue(store, org="off").token.id
    tokens.revoke_token(store, change(), revoked)
    apps.set_app(store, change(), "default", "x", enabled=False)
    orgs.set_org(store, change(), "off", enabled=False)
    listed = tokens.list_tokens(store, timestamp(NOW))
    assert {row["id"]: row["state"] for row in listed} == expected | {revoked: "revoked"}
    assert [row["id"] for row in tokens.list_tokens(store, timestamp(NOW), org="off", state="revoked")] == [revoked]
    assert tokens.list_tokens(store, timestamp(NOW), app="none") == []
    assert issue(store, org="off").document()["state"] == "disabled"


def test_every_change_leaves_who_what_and_when(store: SqliteIdentities) -> None:
    """A person stands in the record's `user` alone, where the store can put a reference in its place."""
    wish = TokenWish(user="u@example.com", expires=timestamp(NOW + timedelta(days=1)), models=("gpt-*",))
    seen: list[Any] = []

    class Watched(SqliteIdentities):
        def add_token(self, token: Any, record: Any) -> None:
            seen.append(msgspec.structs.replace(record))
            super().add_token(token, record)

    issued = tokens.create_token(Watched(store.path), change(), wish, pepper=PEPPER, random_bytes=b"r" * 34)
    (record,) = seen
    assert (record.action, record.actor, record.target, record.user) == (
        "token.create", "local:test", issued.token.id, "u@example.com",
    )  # fmt: skip
    assert record.detail == {"expires": wish.expires, "models": "gpt-*"}


def test_the_pepper_is_made_once_and_kept(store: SqliteIdentities) -> None:
    """Rule 1 of the pepper."""
    secrets = MemorySecretStore()
    assert pepper.read_pepper(secrets) == b""
    made = pepper.ensure_pepper(store, secrets, lambda size: b"r" * size, timestamp(NOW))
    assert pepper.ensure_pepper(store, secrets, lambda size: b"s" * size, timestamp(NOW)) == made == b"r" * 32
    secrets.set(virtual_keys.PEPPER_NAME, b"short")
    with pytest.raises(ConflictError, match="not what llmcp put there"):
        pepper.read_pepper(secrets)


def test_a_lost_pepper_is_said_and_not_replaced_while_tokens_hang_on_it(store: SqliteIdentities) -> None:
    """Rule 2 of the pepper: they are all worthless without it, and a new one would hide that."""
    waiting = issue(store).token
    issue(store, expires=timestamp(NOW))
    secrets = MemorySecretStore()
    with pytest.raises(ConflictError) as raised:
        pepper.ensure_pepper(store, secrets, bytes, timestamp(NOW))
    assert raised.value.code == "pepper-lost"
    assert raised.value.why.startswith("1 token in use")
    assert secrets.names() == ()
    found = pepper.pepper_problem(store, secrets, timestamp(NOW))
    assert found is not None
    assert (found.code, found.what) == (raised.value.code, raised.value.what)
    tokens.revoke_token(store, change(), waiting.id)
    assert pepper.pepper_problem(store, secrets, timestamp(NOW)) is None
    assert len(pepper.ensure_pepper(store, secrets, bytes, timestamp(NOW))) == 32


def test_a_directory_has_everything_and_shows_no_secret(store: SqliteIdentities) -> None:
    """What a daemon takes its snapshot from."""
    apps.create_app(store, change(), "default", "x")
    issued = issue(store, app="x")
    data = tokens.load_directory(store, PEPPER)
    assert (data.tokens, data.apps, data.orgs, data.pepper) == ((issued.token,), store.apps(), store.orgs(), PEPPER)
    assert "ppp" not in repr(data)


def test_a_wish_takes_what_a_token_has() -> None:
    """A field that one of them lacks would be dropped in silence."""
    own = {"id", "prefix", "digest", "created", "revoked", "replaced_by"}
    assert set(TokenWish.__slots__) == set(msgspec.structs.asdict(tokens.Token(id="", prefix="", digest=b""))) - own
    assert replace(TokenWish(), org="x").org == "x"
