"""What every `IdentityStore` must do. A backend's test file subclasses `IdentityStoreContract` and gives it three fixtures.

`store`, a fresh one; `reopened`, a function that opens the same one anew; `changes`, a function that returns its change number and
the canonical control records so far.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from llmcp.core.control_records import ControlRecord, parse
from llmcp.core.identity import App, Org, Token
from llmcp.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from llmcp.ports.stores import IdentityStore

_NUMBERS = count(1)
NOW = "2026-06-01T00:00:00.000000Z"
EARLIER = "2026-05-01T00:00:00.000000Z"
LATER = "2026-07-01T00:00:00.000000Z"

Changes = Callable[[], tuple[int, list[bytes]]]


def because(action: str = "test.change", time: str = NOW) -> ControlRecord:
    """Return a record for one change."""
    return ControlRecord(action=action, actor="local:test", id=f"c-{next(_NUMBERS):08d}", time=time)


def token(**fields: Any) -> Token:
    """Return a token with an id of its own."""
    number = next(_NUMBERS)
    fields.setdefault("id", f"tok_{number:011d}")
    fields.setdefault("prefix", f"llmcp_{number:011d}")
    fields.setdefault("digest", number.to_bytes(32))
    fields.setdefault("created", NOW)
    return Token(**fields)


class IdentityStoreContract:
    """The behaviour that the control plane and the daemon rely on."""

    def test_the_default_org_is_there_and_stays(self, store: IdentityStore) -> None:
        """It owns what names no other: it can be changed, but not removed and not disabled."""
        assert store.orgs() == (Org(name="default"),)
        store.set_org(Org(name="default", title="Us", time_zone="Europe/Berlin"), because())
        with pytest.raises(ConflictError):
            store.remove_org("default", because())
        with pytest.raises(ConflictError):
            store.set_org(Org(name="default", enabled=False), because())
        assert store.orgs("default") == (Org(name="default", title="Us", time_zone="Europe/Berlin"),)

    def test_what_was_written_is_read_by_whoever_opens_the_store_next(
        self, store: IdentityStore, reopened: Callable[[], IdentityStore]
    ) -> None:
        """Every field, in the order that the port promises."""
        orgs = [Org(name="b", title="B ü", enabled=False, created=NOW), Org(name="a", time_zone="Asia/Tokyo", created=NOW)]
        apps = [App(org="b", name="x"), App(org="a", name="y", title="t", enabled=False, created=NOW), App(org="a", name="x")]
        tokens = [
            token(org="b", created=LATER),
            token(
                org="a", app="y", user='Ü, "quoted"', groups=("g,1", "ü"), labels={"z": "1", "a": "2"}, providers=("openai", "a*"),
                models=("gpt-4o*",), expires=LATER, created=NOW,
            ),
            token(created=EARLIER),
        ]  # fmt: skip
        for org in orgs:
            store.add_org(org, because())
        for app in apps:
            store.add_app(app, because())
        for item in tokens:
            store.add_token(item, because())
        for seen in (store, reopened()):
            assert seen.orgs() == (orgs[1], orgs[0], Org(name="default"))
            assert seen.apps() == (apps[2], apps[1], apps[0])
            assert seen.tokens() == (tokens[2], tokens[1], tokens[0])

    def test_a_read_for_one_org_has_no_row_of_another(self, store: IdentityStore) -> None:
        """Also where the names are parts of each other, and where there is no such org."""
        for name in ("a", "aa", "a.b"):
            store.add_org(Org(name=name), because())
            store.add_app(App(org=name, name="x"), because())
            store.add_token(token(org=name), because())
        for name in ("a", "aa", "a.b", "default", "none", "", "%", "a%", "A"):
            assert {org.name for org in store.orgs(name)} <= {name}
            assert {app.org for app in store.apps(name)} <= {name}
            assert {item.org for item in store.tokens(name)} <= {name}
        assert len(store.apps("a")) == len(store.tokens("a.b")) == 1

    def test_a_change_leaves_its_record_and_a_new_number(self, store: IdentityStore, changes: Changes) -> None:
        """One each, in order, whatever was changed."""
        first, second = token(org="a", app="x"), token(org="a", app="x")
        ended = msgspec.structs.replace(first, revoked=NOW, replaced_by=second.id)
        steps: list[tuple[str, Callable[[ControlRecord], None]]] = [
            ("org.create", lambda r: store.add_org(Org(name="a"), r)),
            ("org.set", lambda r: store.set_org(Org(name="a", title="t"), r)),
            ("app.create", lambda r: store.add_app(App(org="a", name="x"), r)),
            ("app.set", lambda r: store.set_app(App(org="a", name="x", title="t"), r)),
            ("token.create", lambda r: store.add_token(first, r)),
            ("token.rotate", lambda r: store.set_tokens((ended,), r, added=second)),
            ("token.revoke", lambda r: store.set_tokens((msgspec.structs.replace(second, revoked=NOW),), r)),
            ("app.remove", lambda r: store.remove_app("a", "x", r)),
            ("org.remove", lambda r: store.remove_org("a", r)),
        ]
        number, written = changes()
        for done, (action, step) in enumerate(steps, 1):
            record = because(action)
            step(record)
            new, rows = changes()
            assert (new, len(rows)) == (number + done, len(written) + done), action
            # Persons stand in the stored form by reference.
            assert msgspec.structs.replace(parse(rows[-1]), actor=record.actor, user=record.user) == record
            assert record.seq == len(written) + done

    def test_a_change_that_is_refused_leaves_nothing(self, store: IdentityStore, changes: Changes) -> None:
        """No row, no record, no new number."""
        store.add_org(Org(name="a", title="first"), because())
        store.add_app(App(org="a", name="x", title="first"), because())
        kept = token(org="a", app="x")
        store.add_token(kept, because())
        before = (changes(), store.orgs(), store.apps(), store.tokens())
        refused: list[tuple[type[Exception], Callable[[], None]]] = [
            (ConflictError, lambda: store.add_org(Org(name="a", title="second"), because())),
            (ConflictError, lambda: store.add_app(App(org="a", name="x", title="second"), because())),
            (ConflictError, lambda: store.add_token(token(id=kept.id), because())),
            (ConflictError, lambda: store.remove_org("a", because())),
            (ConflictError, lambda: store.remove_app("a", "x", because())),
            (NotFoundError, lambda: store.set_org(Org(name="b"), because())),
            (NotFoundError, lambda: store.remove_org("b", because())),
            (NotFoundError, lambda: store.add_app(App(org="b", name="x"), because())),
            (NotFoundError, lambda: store.set_app(App(org="a", name="y"), because())),
            (NotFoundError, lambda: store.set_app(App(org="default", name="x"), because())),
            (NotFoundError, lambda: store.remove_app("default", "x", because())),
            (NotFoundError, lambda: store.add_token(token(org="b"), because())),
            (NotFoundError, lambda: store.add_token(token(org="a", app="y"), because())),
            (NotFoundError, lambda: store.add_token(token(app="x"), because())),
            (NotFoundError, lambda: store.set_tokens((token(),), because())),
            (NotFoundError, lambda: store.set_tokens((msgspec.structs.replace(kept, revoked=NOW), token()), because())),
            (ConflictError, lambda: store.set_tokens((msgspec.structs.replace(kept, revoked=NOW),), because(), added=kept)),
        ]
        for number, (kind, step) in enumerate(refused):
            with pytest.raises(kind):
                step()
            assert (changes(), store.orgs(), store.apps(), store.tokens()) == before, number

    def test_an_org_or_app_goes_once_nothing_valid_hangs_on_it(self, store: IdentityStore) -> None:
        """Valid as of the record's time; the ended tokens of an org go with it, others stay."""
        store.add_org(Org(name="a"), because())
        store.add_app(App(org="a", name="x"), because())
        ends, other = token(org="a", app="x", expires=LATER), token()
        for item in (ends, other, token(org="a", revoked=NOW), token(org="a", app="x", expires=NOW)):
            store.add_token(item, because())
        for remove in (
            lambda time: store.remove_app("a", "x", because(time=time)),
            lambda time: store.remove_org("a", because(time=time)),
        ):
            with pytest.raises(ConflictError):
                remove(NOW)
            remove(LATER)
        assert (store.apps(), store.tokens()) == ((), (other,))
        store.add_org(Org(name="a"), because())
        assert store.tokens("a") == ()

    def test_of_a_token_only_its_end_changes(self, store: IdentityStore) -> None:
        """Whom it is for and what it may do was promised when it was made."""
        made = token(user="u", models=("gpt-4o",))
        store.add_token(made, because())
        store.set_tokens(
            (msgspec.structs.replace(made, user="v", models=(), digest=b"x" * 32, org="other", expires=LATER),), because()
        )
        assert store.tokens() == (msgspec.structs.replace(made, expires=LATER),)

    def test_a_revoked_or_replaced_token_is_never_brought_back(self, store: IdentityStore) -> None:
        """Two operators who looked at the same token and change it one after the other."""
        one, two = token(), token()
        for item in (one, two):
            store.add_token(item, because())
        store.set_tokens((msgspec.structs.replace(one, revoked=NOW),), because())
        with pytest.raises(ConflictError):
            store.set_tokens((msgspec.structs.replace(one, expires=LATER, replaced_by=two.id),), because(), added=token())
        store.set_tokens((msgspec.structs.replace(two, expires=LATER, replaced_by=one.id),), because())
        with pytest.raises(ConflictError):
            store.set_tokens((msgspec.structs.replace(two, replaced_by="tok_other"),), because(), added=token())
        store.set_tokens((msgspec.structs.replace(two, replaced_by=one.id, revoked=NOW),), because())
        assert len(store.tokens()) == 2

    def test_two_who_create_at_once_do_not_overwrite_each_other(
        self, store: IdentityStore, reopened: Callable[[], IdentityStore], changes: Changes
    ) -> None:
        """One of them is told that the name is taken; every other change of both is there."""
        number, _ = changes()
        taken: list[str] = []

        def create(mine: IdentityStore) -> None:
            for at in range(10):
                try:
                    mine.add_org(Org(name=f"o{at}"), because())
                except ConflictError:
                    taken.append(f"o{at}")
                mine.add_token(token(), because())

        threads = [threading.Thread(target=create, args=(mine,)) for mine in (store, reopened())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [f"o{at}" for at in range(10)]
        assert (len(store.orgs()), len(store.tokens()), changes()[0]) == (11, 20, number + 30)
        assert [parse(row).seq for row in changes()[1]] == list(range(1, 31))
