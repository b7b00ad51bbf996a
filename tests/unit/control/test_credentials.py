"""The use cases behind `key`: what is written where, in which order, and what a crash or a broken source leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from llmcp.control.change import Change
from llmcp.control.credential_sources import checked_source, resolve, resolve_all
from llmcp.control.credentials import Keys, Wanted, check_wanted, find_key, find_keys, remove_key, rotate_key, set_key, sweep
from llmcp.core.credentials import CredentialEntry, secret_name
from llmcp.errors import LlmcpError, NotFoundError, UnreachableError, UsageError
from llmcp.providers.catalog import load_catalog
from llmcp.stores.sqlite.credentials import SqliteCredentials
from llmcp.stores.sqlite.file import connect

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = "sk-" + "a1b2" * 8
NEWER = "sk-" + "c3d4" * 8


class Secrets:
    """A secret store in memory that can be told to break."""

    kind = "file"

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise UnreachableError("the secret store is away", why="it is a test", fix="mend it")

    def get(self, name: str) -> bytes | None:
        """See the port."""
        self._check()
        return self.held.get(name)

    def set(self, name: str, secret: bytes) -> None:
        """See the port."""
        self._check()
        self.held[name] = secret

    def delete(self, name: str) -> bool:
        """See the port."""
        self._check()
        return self.held.pop(name, None) is not None

    def names(self) -> tuple[str, ...]:
        """See the port."""
        self._check()
        return tuple(sorted(self.held))


@pytest.fixture
def secrets() -> Secrets:
    """Give an empty secret store."""
    return Secrets()


@pytest.fixture
def keys(tmp_path: Path, secrets: Secrets) -> Keys:
    """Give an empty set of keys over a real SQLite file."""
    return Keys(SqliteCredentials(tmp_path / "llmcp.db"), secrets, load_catalog())


def change(minutes: int = 0) -> Change:
    """Return the circumstances of a change, `minutes` after the first."""
    return Change("local:tester", NOW + timedelta(minutes=minutes), f"c_{minutes:04}")


def put(keys: Keys, *, key: str = KEY, minutes: int = 0, new_id: str = "cred_aaaaaaaaaaaa", **wanted) -> CredentialEntry:
    """Set a key and return its entry."""
    return set_key(keys, Wanted(**{"provider": "openai", **wanted}), key, change(minutes), new_id)[0]


def held(keys: Keys, entry: CredentialEntry) -> str:
    """Return the secret that an entry leads to."""
    return resolve(entry, keys.secrets, {}).secret


def test_a_key_that_is_set_can_be_resolved_and_is_in_no_row(keys: Keys, tmp_path: Path) -> None:
    """The store has the entry, its hint and the record; the secret is elsewhere."""
    entry = put(keys, key=KEY + "\n", label="blue", weight=3)
    assert keys.entries.entries() == (entry,)
    assert (held(keys, entry), entry.hint, entry.weight, entry.label) == (KEY, KEY[-4:], 3, "blue")
    for path in tmp_path.iterdir():
        assert KEY.encode() not in path.read_bytes()


def test_every_write_leaves_a_control_record_without_the_secret(keys: Keys, tmp_path: Path) -> None:
    """`key.set`, `key.rotate`, `key.remove`, each with a new change number."""
    entry = put(keys)
    rotate_key(keys, entry, NEWER, change(1))
    remove_key(keys, find_key(keys, "openai"), change(2))
    connection = connect(tmp_path / "llmcp.db")
    rows = connection.execute("SELECT action, record FROM control_records ORDER BY seq").fetchall()
    (number,) = connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone()
    connection.close()
    assert ([action for action, _ in rows], number) == (["key.set", "key.rotate", "key.remove"], 3)
    assert all(KEY[-4:].encode() not in record and NEWER[-4:].encode() not in record for _, record in rows)
    assert b'"target":"cred_aaaaaaaaaaaa"' in rows[0][1]


def test_setting_again_replaces_and_another_label_or_org_adds(keys: Keys, secrets: Secrets, tmp_path: Path) -> None:
    """A script that runs twice must not leave a dead key with half of the traffic."""
    first = put(keys)
    entry, replaced = set_key(keys, Wanted("openai"), NEWER, change(1), "cred_bbbbbbbbbbbb")
    assert (entry.id, replaced, held(keys, entry), entry.rotated != "") == (first.id, True, NEWER, True)
    put(keys, label="second", minutes=2, new_id="cred_cccccccccccc")
    connection = connect(tmp_path / "llmcp.db")
    connection.execute("INSERT INTO orgs VALUES ('red', '', 'UTC', 1, '')")
    connection.close()
    put(keys, org="red", minutes=3, new_id="cred_dddddddddddd")
    assert len(keys.entries.entries()) == len(secrets.held) == 3


def test_an_org_that_is_not_there_gets_no_key(keys: Keys, secrets: Secrets) -> None:
    """And the secret that was kept for it is taken away again."""
    with pytest.raises(NotFoundError, match="ghost"):
        put(keys, org="ghost")
    assert (keys.entries.entries(), secrets.held) == ((), {})


def test_rotation_keeps_the_old_secret_until_the_entry_says_otherwise(keys: Keys, secrets: Secrets) -> None:
    """Cut off between the two, the old one is in force, and a later write sweeps what was left."""
    entry = put(keys)
    left = msgspec.structs.replace(entry, rotated=change(1).time)
    secrets.set(secret_name(left), NEWER.encode())
    assert held(keys, find_key(keys, "openai")) == KEY
    assert sweep(keys, NOW + timedelta(minutes=30)) == 0, "another command may be at work"
    assert sweep(keys, NOW + timedelta(hours=2)) == 1
    assert held(keys, find_key(keys, "openai")) == KEY


def test_a_sweep_touches_nothing_but_credentials(keys: Keys, secrets: Secrets) -> None:
    """The ledger keeps its key in the same store."""
    secrets.set("ledger/signing-key", b"x")
    put(keys)
    assert sweep(keys, NOW + timedelta(days=9)) == 0
    assert "ledger/signing-key" in secrets.held


def test_a_rotation_leaves_one_secret(keys: Keys, secrets: Secrets) -> None:
    """The old one is gone from the store."""
    entry = rotate_key(keys, put(keys), NEWER, change(1))
    assert [secret.decode() for secret in secrets.held.values()] == [NEWER]
    assert (entry.hint, entry.created) == (NEWER[-4:], change().time)


def test_a_clock_that_stands_still_loses_no_secret(keys: Keys, secrets: Secrets) -> None:
    """Two writes at the same moment have the same name: the second must not take its own secret away."""
    put(keys)
    entry, _ = set_key(keys, Wanted("openai"), NEWER, Change("local:t", NOW, "c_x"), "cred_b")
    assert held(keys, entry) == NEWER
    assert len(secrets.held) == 1


def test_removing_takes_the_secret_along(keys: Keys, secrets: Secrets) -> None:
    """Nothing is left of it here."""
    remove_key(keys, put(keys), change(1))
    assert (keys.entries.entries(), secrets.held) == ((), {})


def test_a_name_that_means_several_must_be_an_id(keys: Keys) -> None:
    """The error lists the ids."""
    put(keys)
    put(keys, label="other", new_id="cred_bbbbbbbbbbbb", minutes=1)
    with pytest.raises(UsageError, match="2 credentials") as told:
        find_key(keys, "openai")
    assert "cred_bbbbbbbbbbbb" in told.value.fix
    assert find_key(keys, "cred_bbbbbbbbbbbb").label == "other"
    with pytest.raises(NotFoundError):
        find_keys(keys, "anthropic")


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (Wanted("nobody"), NotFoundError),
        (Wanted("ollama"), UsageError),
        (Wanted("azure"), UsageError),
        (Wanted("azure", resources=("../x",)), UsageError),
        (Wanted("openai", resources=("mine",)), UsageError),
        (Wanted("openai", weight=-1), UsageError),
        (Wanted("openai", weight=1001), UsageError),
        (Wanted("openai", label="x" * 65), UsageError),
        (Wanted("openai", label="a\x1b[2J"), UsageError),
        (Wanted("openai", source="env:A B"), UsageError),
        (Wanted("openai", source=KEY), UsageError),
        (Wanted("openai", source="aws:"), UsageError),
    ],
)
def test_what_cannot_be_kept_is_said_before_anybody_is_asked_for_a_key(
    keys: Keys, wanted: Wanted, error: type[LlmcpError]
) -> None:
    """Also a key given as a source, which is not quoted."""
    with pytest.raises(error) as told:
        check_wanted(keys.catalog, wanted)
    assert KEY not in f"{told.value}{told.value.why}{told.value.fix}"


def test_an_azure_key_names_its_resources_unless_the_host_is_fixed(keys: Keys) -> None:
    """Anybody can own a resource: the key goes only where it was sent."""
    check_wanted(keys.catalog, Wanted("azure", resources=("mine", "other-1")))
    check_wanted(keys.catalog, Wanted("azure", placed=True))


@pytest.mark.parametrize("source", ["stored", "env:OPENAI_API_KEY", "aws:prod/llm", "aws:prod/llm#openai",
                                    "aws:arn:aws:secretsmanager:eu-west-1:123456789012:secret:llm-AbCdEf#key"])  # fmt: skip
def test_sources_have_three_forms(source: str) -> None:
    """Each as it stands in the entry."""
    assert checked_source(source) == source


def test_a_stored_credential_only_is_rotated_here(keys: Keys) -> None:
    """Others change where they are."""
    entry = put(keys, key="", source="env:OPENAI_API_KEY")
    assert entry.hint == ""
    with pytest.raises(UsageError, match="not in the secret store"):
        rotate_key(keys, entry, NEWER, change(1))


def test_one_source_that_fails_takes_no_other_with_it(keys: Keys) -> None:
    """It is a problem in words, naming the credential and not the secret."""
    put(keys)
    put(keys, key="", source="env:MISSING", label="b", new_id="cred_bbbbbbbbbbbb", minutes=1)
    put(keys, key="", source="env:SPACED", label="c", new_id="cred_cccccccccccc", minutes=2)

    def variable(name: str) -> str:
        if name == "MISSING":
            raise NotFoundError(f"the variable `{name}` is not set", fix="set it")
        return "two words"

    found = resolve_all(keys.entries.entries(), keys.secrets, {"env": variable})
    assert [each.secret for each in found.credentials] == [KEY]
    assert len(found.problems) == 2
    assert "cred_bbbbbbbbbbbb" in found.problems[0]
    assert "two words" not in str(found.problems)
    assert found.outside


def test_a_source_that_fails_later_keeps_the_last_good_value_and_is_tried_again(keys: Keys, secrets: Secrets) -> None:
    """A store that is away for a minute must not stop the traffic; that it is away is said, until it is back."""
    first = resolve_all((put(keys),), keys.secrets, {})
    rotate_key(keys, find_key(keys, "openai"), NEWER, change(1))
    entries = keys.entries.entries()
    secrets.broken = True
    second = resolve_all(entries, keys.secrets, {}, first.credentials)
    third = resolve_all(entries, keys.secrets, {}, second.credentials)
    for found in (second, third):
        assert [each.secret for each in found.credentials] == [KEY]
        assert "the last good value is used" in found.problems[0]
    assert (first.outside, second.outside) == (False, True)
    secrets.broken = False
    fourth = resolve_all(entries, keys.secrets, {}, third.credentials)
    assert ([each.secret for each in fourth.credentials], fourth.problems) == ([NEWER], ())
    assert fourth.credentials[0].entry == entries[0]


def test_a_stored_secret_that_is_known_is_not_read_again(keys: Keys, secrets: Secrets) -> None:
    """It never changes under its name: a change of weight or of another thing costs no look into a keychain."""
    entry = put(keys)
    before = resolve_all((entry,), keys.secrets, {})
    secrets.broken = True
    heavier = msgspec.structs.replace(entry, weight=9)
    after = resolve_all((heavier,), keys.secrets, {}, before.credentials)
    assert (after.credentials[0].entry, after.credentials[0].secret, after.problems) == (heavier, KEY, ())


def test_the_last_good_value_is_not_kept_for_another_provider_or_source(keys: Keys, secrets: Secrets) -> None:
    """An entry that was changed is another credential."""
    entry = put(keys)
    before = resolve_all((entry,), keys.secrets, {}).credentials
    secrets.broken = True
    for other in (msgspec.structs.replace(entry, provider="groq"), msgspec.structs.replace(entry, source="env:X")):
        assert resolve_all((other,), keys.secrets, {}, before).credentials == ()


def test_a_credential_without_weight_is_not_read(keys: Keys) -> None:
    """Weight 0 keeps it for later."""
    put(keys, weight=0)
    assert resolve_all(keys.entries.entries(), keys.secrets, {}).credentials == ()


def test_no_repr_shows_a_secret(keys: Keys) -> None:
    """Snapshots and credentials are printed by debuggers and logs."""
    put(keys)
    found = resolve_all(keys.entries.entries(), keys.secrets, {})
    assert KEY not in repr(found)
    assert KEY not in str(found)
    assert KEY not in repr(found.credentials[0])
