"""What every secret store must do. A test module of a store gives a fixture `secret_store` and imports this class."""

from __future__ import annotations

import pytest

from llmcp.ports.stores import SecretStore

ANY_BYTES = bytes(range(256))


class SecretStoreContract:
    """Named secrets come back as they were kept, and only under their names."""

    def test_an_empty_store_has_no_secret_and_no_name(self, secret_store: SecretStore) -> None:
        """Asking is no error."""
        assert secret_store.get("credential/one") is None
        assert secret_store.names() == ()
        assert secret_store.delete("credential/one") is False

    @pytest.mark.parametrize("secret", [b"x", ANY_BYTES, b"\0", "ключ".encode(), b"k" * 2000])
    def test_a_secret_comes_back_byte_for_byte(self, secret_store: SecretStore, secret: bytes) -> None:
        """Whatever bytes it is made of."""
        secret_store.set("ledger/signing-key", secret)
        assert secret_store.get("ledger/signing-key") == secret

    def test_the_last_write_of_a_name_wins(self, secret_store: SecretStore) -> None:
        """Setting replaces."""
        secret_store.set("a", b"first")
        secret_store.set("a", b"second")
        assert (secret_store.get("a"), secret_store.names()) == (b"second", ("a",))

    def test_names_are_sorted_and_those_of_the_present(self, secret_store: SecretStore) -> None:
        """Deleted ones are gone."""
        for name in ("b", "credential/x", "a"):
            secret_store.set(name, name.encode())
        assert secret_store.delete("b") is True
        assert secret_store.names() == ("a", "credential/x")
        assert secret_store.get("b") is None

    @pytest.mark.parametrize("name", ["", "../x\n", "Ä", "#index", "x" * 129])
    def test_a_name_that_is_none_is_refused(self, secret_store: SecretStore, name: str) -> None:
        """Names are ours: a wrong one is a bug."""
        with pytest.raises(ValueError, match="name"):
            secret_store.set(name, b"x")

    def test_no_repr_shows_a_secret(self, secret_store: SecretStore) -> None:
        """Debuggers and logs print objects."""
        secret_store.set("a", b"marker-secret-value")
        assert "marker-secret-value" not in repr(secret_store)
