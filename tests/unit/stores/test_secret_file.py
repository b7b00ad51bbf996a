"""The encrypted file: what stands in it, who opens it, two writers at once, and the rotation of its master key."""

from __future__ import annotations

import base64
import json
import os
import secrets as random_source
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.secret_store import SecretStoreContract
from llmcp.errors import LlmcpError, NotPermittedError, UnreachableError, UsageError
from llmcp.stores.secrets.envelope import parse, render, sealed
from llmcp.stores.secrets.file import FileSecretStore
from llmcp.stores.secrets.master import GivenKey

MARKER = "sk-" + "marker" * 5
PASSPHRASE = "correct horse battery " + "staple"


def opened(home: Path, given_key: str = "", notices: list[str] | None = None) -> FileSecretStore:
    """Return the store of `home`."""
    return FileSecretStore(home, given_key, (notices if notices is not None else []).append)


def random_key() -> str:
    """Return 32 bytes in base64."""
    return base64.b64encode(random_source.token_bytes(32)).decode()


class TestFileSecretStore(SecretStoreContract):
    """The file with a key file."""

    @pytest.fixture
    def secret_store(self, tmp_path: Path) -> FileSecretStore:
        """Open a fresh one."""
        return opened(tmp_path)


class TestFileSecretStoreUnderAPassphrase(SecretStoreContract):
    """The file with a passphrase from outside."""

    @pytest.fixture
    def secret_store(self, tmp_path: Path) -> FileSecretStore:
        """Open a fresh one."""
        return opened(tmp_path, PASSPHRASE)


def test_nothing_is_made_before_the_first_secret(tmp_path: Path) -> None:
    """Looking leaves no key behind (a lock file at most)."""
    opened(tmp_path).get("a")
    assert {path.name for path in tmp_path.iterdir()} <= {"credentials.lock"}


def test_files_are_private_and_hold_no_secret_in_clear(tmp_path: Path) -> None:
    """0600 each, neither the secret nor its base64 or hex in any of them."""
    previous = os.umask(0)
    try:
        opened(tmp_path).set("credential/a", MARKER.encode())
    finally:
        os.umask(previous)
    forms = (MARKER.encode(), base64.b64encode(MARKER.encode()).rstrip(b"="), MARKER.encode().hex().encode())
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
        assert not any(form in path.read_bytes() for form in forms), path.name


@pytest.mark.parametrize("spell", [lambda k: k.hex(), lambda k: k.hex().upper(), lambda k: base64.b64encode(k).decode(),
                                   lambda k: base64.urlsafe_b64encode(k).decode().rstrip("=")])  # fmt: skip
def test_a_raw_key_may_be_spelt_in_hex_or_base64(tmp_path: Path, spell) -> None:
    """All spellings of the same 32 bytes open the same file, and none of them is stretched."""
    key = random_source.token_bytes(32)
    opened(tmp_path, key.hex()).set("a", b"secret")
    assert opened(tmp_path, spell(key)).get("a") == b"secret"
    assert json.loads((tmp_path / "credentials.enc").read_bytes())["key"] == {"kind": "raw"}
    assert not (tmp_path / "master.key").exists()


def test_a_short_passphrase_is_refused_without_being_quoted(tmp_path: Path) -> None:
    """It could be guessed from a stolen file."""
    with pytest.raises(UsageError) as told:
        opened(tmp_path, "hunter" + "2").set("a", b"x")
    assert "hunter" not in f"{told.value}{told.value.why}{told.value.fix}"


@pytest.mark.parametrize("wrong", [PASSPHRASE + "!", "", random_key()], ids=["another passphrase", "none", "a key"])
def test_a_wrong_master_key_is_said_and_changes_nothing(tmp_path: Path, wrong: str) -> None:
    """Reading, writing and deleting are refused alike."""
    opened(tmp_path, PASSPHRASE).set("a", MARKER.encode())
    before = (tmp_path / "credentials.enc").read_bytes()
    store = opened(tmp_path, wrong)
    for act in (
        lambda: store.get("a"),
        lambda: store.set("b", b"x"),
        lambda: store.delete("a"),
        lambda: store.rotate_master(random_key()),
    ):
        with pytest.raises(NotPermittedError) as told:
            act()
        assert told.value.code == "master-key-wrong"
        assert MARKER not in str(told.value.__dict__)
    assert (tmp_path / "credentials.enc").read_bytes() == before
    assert opened(tmp_path, PASSPHRASE).get("a") == MARKER.encode()


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Whoever could read it may have it: tightening it in silence would hide that."""
    opened(tmp_path).set("a", b"x")
    (tmp_path / "master.key").chmod(0o640)
    with pytest.raises(NotPermittedError, match="0640"):
        opened(tmp_path).get("a")


def test_an_open_file_is_tightened_and_that_is_said(tmp_path: Path) -> None:
    """The file itself is encrypted: enough to close it."""
    opened(tmp_path).set("a", b"x")
    (tmp_path / "credentials.enc").chmod(0o644)
    notices: list[str] = []
    assert opened(tmp_path, notices=notices).get("a") == b"x"
    assert stat.S_IMODE((tmp_path / "credentials.enc").stat().st_mode) == 0o600
    assert "0644" in notices[0]


def test_an_entry_does_not_open_under_another_name(tmp_path: Path) -> None:
    """Somebody who can write the file cannot hand one provider's key to another."""
    store = opened(tmp_path)
    store.set("a", b"first")
    store.set("b", b"second")
    path = tmp_path / "credentials.enc"
    document = json.loads(path.read_bytes())
    document["entries"]["a"], document["entries"]["b"] = document["entries"]["b"], document["entries"]["a"]
    path.write_text(json.dumps(document))
    with pytest.raises(UnreachableError, match="does not open"):
        store.get("a")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"format":"llmcp-secrets","version":2}',
        b'{"format":"llmcp-secrets","version":1}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_or_newer_file_is_left_alone(tmp_path: Path, text: bytes) -> None:
    """A write over it would lose what may still be saved."""
    path = tmp_path / "credentials.enc"
    path.write_bytes(text)
    path.chmod(0o600)
    for act in (lambda: opened(tmp_path).get("a"), lambda: opened(tmp_path).set("a", b"x")):
        with pytest.raises(UnreachableError, match="damaged"):
            act()
    assert path.read_bytes() == text


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9_./-]{0,20}", fullmatch=True), st.binary(max_size=80), max_size=5), st.data()
)
def test_any_altered_byte_of_an_envelope_is_noticed(held: dict[str, bytes], data) -> None:
    """It parses and opens to the same secrets, or something is refused; never to other secrets."""
    key = GivenKey("00" * 32)
    envelope, _ = sealed(key, held)
    text = render(envelope)
    at = data.draw(st.integers(0, len(text) - 1))
    altered = text[:at] + bytes([text[at] ^ data.draw(st.integers(1, 255))]) + text[at + 1 :]
    try:
        found = parse(altered, Path("x"))
        master = found.master(key)
        secrets = None if master is None else {name: found.opened(master, name) for name in found.entries}
    except LlmcpError:
        secrets = None
    assert secrets is None or set(secrets.items()) <= set(held.items())


def test_the_costs_of_a_hostile_file_are_bounded(tmp_path: Path) -> None:
    """A file must not make us take a terabyte of memory."""
    opened(tmp_path, PASSPHRASE).set("a", b"x")
    path = tmp_path / "credentials.enc"
    document = json.loads(path.read_bytes())
    for cost in ([2**40, 8, 1], [2**15, 2**30, 1], [2**15, 8, 2**40], [3, 8, 1], [0, 0, 0]):
        document["key"]["cost"] = cost
        path.write_text(json.dumps(document))
        with pytest.raises(NotPermittedError):
            opened(tmp_path, PASSPHRASE).get("a")


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    """Threads with stores of their own, as processes have."""

    def write(number: int) -> None:
        store = opened(tmp_path)
        for count in range(5):
            store.set(f"n{number}/{count}", b"x")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened(tmp_path).names()) == 20


def test_processes_that_make_the_file_at_once_agree_on_one_key(tmp_path: Path) -> None:
    """The key file too is made under the lock."""
    script = (
        "import sys; from pathlib import Path; from llmcp.stores.secrets.file import FileSecretStore;"
        "FileSecretStore(Path(sys.argv[1]), '', print).set(sys.argv[2], b'x')"
    )
    started = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), f"p{number}"]) for number in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    store = opened(tmp_path)
    assert [store.get(name) for name in store.names()] == [b"x"] * 4


class CutOffError(Exception):
    """Stands for the end of the process at that point: nothing of the rotation runs after it."""


STEPS = ("next key written", "new file written", "new file in place", "old key gone")


@pytest.mark.parametrize("last", STEPS)
def test_a_rotation_cut_off_after_any_step_leaves_a_readable_store(tmp_path: Path, last: str) -> None:
    """Read, write and rotate again work, whichever key survived."""
    store = opened(tmp_path)
    held = {f"credential/{n}": random_source.token_bytes(40) for n in range(3)}
    for name, secret in held.items():
        store.set(name, secret)

    def die(step: str) -> None:
        if step == last:
            raise CutOffError

    with pytest.raises(CutOffError):
        store.rotate_master(step=die)
    again = opened(tmp_path)
    assert {name: again.get(name) for name in again.names()} == held
    again.set("late", b"x")
    assert {name: opened(tmp_path).get(name) for name in held} == held
    assert again.rotate_master() == 4
    assert {name: opened(tmp_path).get(name) for name in held} == held
    assert not (tmp_path / "master.key.next").exists()


@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("second", STEPS)
def test_two_rotations_cut_off_one_after_the_other_lose_nothing(tmp_path: Path, first: str, second: str) -> None:
    """The second begins by settling the first: else it would overwrite the only key that opens the file."""
    opened(tmp_path).set("a", b"secret")
    for last in (first, second):

        def die(step: str, last: str = last) -> None:
            if step == last:
                raise CutOffError

        with pytest.raises(CutOffError):
            opened(tmp_path).rotate_master(step=die)
    assert opened(tmp_path).get("a") == b"secret"


@pytest.mark.parametrize("last", STEPS)
def test_a_rotation_killed_by_the_system_leaves_a_readable_store(tmp_path: Path, last: str) -> None:
    """The same with `kill -9`: no `finally` runs, the lock goes with the process."""
    opened(tmp_path).set("a", b"secret")
    script = (
        "import os, signal, sys; from pathlib import Path; from llmcp.stores.secrets.file import FileSecretStore;"
        "FileSecretStore(Path(sys.argv[1]), '', print).rotate_master("
        "step=lambda s: os.kill(os.getpid(), signal.SIGKILL) if s == sys.argv[2] else None)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path), last], check=False, timeout=60).returncode == -9
    assert opened(tmp_path).get("a") == b"secret"
    opened(tmp_path).set("b", b"x")
    assert opened(tmp_path).get("a") == b"secret"


def test_after_a_rotation_the_old_key_opens_nothing(tmp_path: Path) -> None:
    """A key that leaked is worthless then."""
    opened(tmp_path).set("a", b"secret")
    old = (tmp_path / "master.key").read_text()
    opened(tmp_path).rotate_master()
    with pytest.raises(NotPermittedError):
        opened(tmp_path, old.strip()).get("a")


def test_a_given_key_is_replaced_by_a_given_key(tmp_path: Path) -> None:
    """The one who keeps the key chooses the next; the store at hand goes on with it."""
    store = opened(tmp_path, PASSPHRASE)
    store.set("a", b"secret")
    with pytest.raises(UsageError, match="new master key"):
        store.rotate_master()
    new = random_key()
    assert store.rotate_master(new) == 1
    assert store.get("a") == opened(tmp_path, new).get("a") == b"secret"
    with pytest.raises(NotPermittedError):
        opened(tmp_path, PASSPHRASE).get("a")


def test_a_key_file_may_give_way_to_a_given_key(tmp_path: Path) -> None:
    """The old key file goes: nothing on the disk opens the file any more."""
    opened(tmp_path).set("a", b"secret")
    new = random_key()
    opened(tmp_path).rotate_master(new)
    assert not (tmp_path / "master.key").exists()
    assert opened(tmp_path, new).get("a") == b"secret"


def test_a_new_file_that_does_not_open_to_the_same_is_thrown_away(tmp_path: Path) -> None:
    """The proof reads from disk: a file that was damaged on its way costs nothing."""
    store = opened(tmp_path)
    store.set("a", b"secret")
    before = (tmp_path / "credentials.enc").read_bytes(), (tmp_path / "master.key").read_bytes()

    def damage(step: str) -> None:
        if step == "new file written":
            other, _ = sealed(GivenKey((tmp_path / "master.key.next").read_text().strip()), {"a": b"other"})
            (tmp_path / "credentials.enc.next").write_bytes(render(other))

    with pytest.raises(UnreachableError, match="could not be sealed"):
        store.rotate_master(step=damage)
    assert ((tmp_path / "credentials.enc").read_bytes(), (tmp_path / "master.key").read_bytes()) == before
    assert opened(tmp_path).get("a") == b"secret"


def test_where_no_lock_can_be_made_it_can_still_be_read(tmp_path: Path) -> None:
    """A home mounted read-only serves; a write is refused with the path. A directory in the place of the lock stops root too."""
    opened(tmp_path).set("a", b"x")
    (tmp_path / "credentials.lock").unlink()
    (tmp_path / "credentials.lock").mkdir()
    assert opened(tmp_path).get("a") == b"x"
    for act in (
        lambda: opened(tmp_path).set("b", b"x"),
        lambda: opened(tmp_path).delete("a"),
        lambda: opened(tmp_path).rotate_master(),
    ):
        with pytest.raises(UnreachableError, match="cannot write"):
            act()
    assert opened(tmp_path).names() == ("a",)
