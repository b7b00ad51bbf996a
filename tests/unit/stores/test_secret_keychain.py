"""The keychain behind `keyring`, and which store a home gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from keyring.backends.chainer import ChainerBackend
from keyring.backends.fail import Keyring as FailKeyring
from keyring.backends.null import Keyring as NullKeyring

from contract.secret_store import SecretStoreContract
from fakes.keychain import BrokenKeychain, MemoryKeychain, SilentKeychain
from llmcp.errors import UnreachableError
from llmcp.ports.stores import SecretStore
from llmcp.stores.secrets import keychain as secret_keychain
from llmcp.stores.secrets.choice import ChosenSecretStore
from llmcp.stores.secrets.keychain import KeychainSecretStore

MARKER = "sk-" + "marker" * 5


class TestKeychainSecretStore(SecretStoreContract):
    """The contract over a keychain in memory."""

    @pytest.fixture
    def secret_store(self, tmp_path: Path) -> KeychainSecretStore:
        """Open a fresh one."""
        return KeychainSecretStore(tmp_path, MemoryKeychain())


def chosen(home: Path, backend: str = "auto") -> ChosenSecretStore:
    """Return the store of a home."""
    return ChosenSecretStore(home, backend=backend, given="", notice=print)


class TestChosenSecretStore(SecretStoreContract):
    """The contract over what a home gets on a machine without a keychain."""

    @pytest.fixture
    def secret_store(self, tmp_path: Path) -> ChosenSecretStore:
        """Open a fresh one."""
        return chosen(tmp_path, "file")


def test_two_homes_in_one_keychain_do_not_see_each_other(tmp_path: Path) -> None:
    """The service name holds the home's short id."""
    keychain = MemoryKeychain()
    first, second = (KeychainSecretStore(tmp_path / name, keychain) for name in ("one", "two"))
    for home in ("one", "two"):
        (tmp_path / home).mkdir()
    first.set("a", b"of the first")
    assert (second.get("a"), second.names()) == (None, ())
    assert first.service.startswith("llmcp-")


def test_a_name_stands_in_the_list_before_its_secret(tmp_path: Path) -> None:
    """A crash in between leaves a name that can be swept, not a secret that nobody finds."""

    class Dying(MemoryKeychain):
        priority = -2

        def set_password(self, service: str, username: str, password: str) -> None:
            if username == "a":
                raise OSError
            super().set_password(service, username, password)

    store = KeychainSecretStore(tmp_path, Dying())
    store.set("b", b"x")
    with pytest.raises(UnreachableError):
        store.set("a", b"x")
    assert store.names() == ("a", "b")
    assert store.get("a") is None
    assert store.delete("a") is False
    assert store.names() == ("b",)


def test_an_error_of_the_library_is_not_passed_on(tmp_path: Path) -> None:
    """Its words held the secret; ours have its type only, and no chain leads to it."""
    with pytest.raises(UnreachableError) as told:
        KeychainSecretStore(tmp_path, BrokenKeychain()).set("a", MARKER.encode())
    assert "RuntimeError" in told.value.why
    assert told.value.__cause__ is None
    assert told.value.__context__ is None


@pytest.mark.parametrize("backend", [FailKeyring(), NullKeyring()])
def test_backends_that_keep_nothing_are_refused(tmp_path: Path, backend) -> None:
    """The null backend would say yes and forget."""
    with pytest.raises(UnreachableError, match="keychain"):
        KeychainSecretStore(tmp_path, backend).set("a", b"x")


def test_an_empty_chain_is_no_keychain() -> None:
    """A chain of nothing keeps nothing."""
    assert secret_keychain.unready(ChainerBackend())


def test_a_keychain_that_waits_for_a_person_does_not_hang_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after a while and said to be silent."""
    monkeypatch.setattr(secret_keychain, "_CALL_S", 0.05)
    store = KeychainSecretStore(tmp_path, SilentKeychain())
    with pytest.raises(UnreachableError) as told:
        store.get("a")
    assert "does not answer" in told.value.why
    monkeypatch.setattr(secret_keychain, "_CALL_S", 60)
    with pytest.raises(UnreachableError):  # at once: two hundred secrets must not be waited for one by one
        store.get("b")


def test_a_backend_that_asks_nobody_is_taken_only_by_name() -> None:
    """What `auto` takes is a short list: a third party's backend may ask for a password on the terminal."""
    script = (
        "import keyring; from fakes.keychain import MemoryKeychain; keyring.set_keyring(MemoryKeychain());"
        "from llmcp.stores.secrets.keychain import unusable_because; print(unusable_because())"
    )
    tests = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tests)
    assert "fakes.keychain" in done.stdout


def test_reading_what_is_not_there_imports_no_backend(tmp_path: Path) -> None:
    """A daemon without stored keys starts without `keyring` and `cryptography`."""
    script = (
        "import sys; from pathlib import Path; from llmcp.stores.secrets.choice import ChosenSecretStore;"
        "s = ChosenSecretStore(Path(sys.argv[1]), backend='auto', given='', notice=print);"
        "assert s.get('a') is None and s.names() == () and s.kind == '' and not s.delete('a');"
        "print([m for m in ('keyring', 'cryptography', 'secretstorage') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_home_with_a_file_keeps_to_the_file(tmp_path: Path) -> None:
    """What was chosen once stays, whatever keychain there is later."""
    chosen(tmp_path, "file").set("a", b"x")
    store: SecretStore = chosen(tmp_path)
    assert (store.kind, store.get("a")) == ("file", b"x")


def test_a_home_that_is_marked_for_the_keychain_does_not_look_into_a_file(tmp_path: Path) -> None:
    """A daemon outside the desktop's session says that it cannot reach the keychain, instead of "no such key"."""
    (tmp_path / "credentials.keychain").write_text("x")
    assert chosen(tmp_path).kind == "keychain"


def test_a_first_write_that_fails_leaves_no_mark(tmp_path: Path) -> None:
    """Else `auto` would look into the keychain for ever."""
    store = chosen(tmp_path)
    store._found = KeychainSecretStore(tmp_path, BrokenKeychain())
    with pytest.raises(UnreachableError):
        store.set("a", b"x")
    assert not (tmp_path / "credentials.keychain").exists()
    store._found = KeychainSecretStore(tmp_path, MemoryKeychain())
    store.set("a", b"x")
    assert (tmp_path / "credentials.keychain").exists()
