"""Secrets in the OS keychain, through `keyring`: one item a secret, and one that lists their names.

Rules:
1. `keyring` is imported when a secret is first asked for: it costs 190 ms.
2. The service name holds a short id of the home, so that two homes of one user do not see each other's.
3. A keychain that would ask a person (locked, none yet) is not used but reported: a daemon has nobody to ask. No call may hang.
4. The list gets a name before its secret is kept, and loses it after: a crash leaves a name without a secret, never the reverse.
5. What the library raises is never passed on: its words and its traceback may hold the secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any, Final

from llmcp.errors import UnreachableError
from llmcp.stores.private_files import locked
from llmcp.stores.secrets.file import LOCK, checked_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_INDEX: Final = "#index"
"""No secret's name: those begin with a letter or a digit."""
_NO_QUESTIONS: Final = ("keyring.backends.macOS", "keyring.backends.SecretService")
"""Backends that can be looked at without a dialog; others only where the settings say `keychain`."""
_NEVER: Final = ("keyring.backends.fail", "keyring.backends.null")
_PROBE_S: Final = 5.0
_CALL_S: Final = 30.0


class KeychainSecretStore:
    """The items of one home. `backend` is a keyring backend; None: the one that `keyring` chooses."""

    kind = "keychain"

    def __init__(self, home: Path, backend: Any = None) -> None:  # noqa: ANN401 - keyring's own type, imported late
        self.service = service_name(home)
        self._lock = home / LOCK
        self._chosen = backend
        self._silent: Unready | None = None

    def get(self, name: str) -> bytes | None:
        """Return a secret, or None."""
        checked_name(name)
        return self._item(name)

    def set(self, name: str, secret: bytes) -> None:
        """Keep a secret, in the place of an older one."""
        checked_name(name)
        with locked(self._lock):
            names = self._names()
            if name not in names:
                self._list(names | {name})
            self._put(name, secret)

    def delete(self, name: str) -> bool:
        """Remove a secret; False where there was none."""
        checked_name(name)
        with locked(self._lock):
            there = self._item(name) is not None
            if there:
                self._call(lambda backend: backend.delete_password(self.service, name))
            names = self._names()
            if name in names:
                self._list(names - {name})
            return there

    def names(self) -> tuple[str, ...]:
        """Return the names of all secrets, sorted."""
        return tuple(sorted(self._names()))

    def _names(self) -> frozenset[str]:
        listed = self._item(_INDEX)
        try:
            return frozenset(json.loads(listed)) if listed is not None else frozenset()
        except (ValueError, TypeError):
            raise _damaged(_INDEX) from None

    def _list(self, names: frozenset[str]) -> None:
        self._put(_INDEX, json.dumps(sorted(names)).encode())

    def _item(self, name: str) -> bytes | None:
        text = self._call(lambda backend: backend.get_password(self.service, name))
        if text is None:
            return None
        try:
            return base64.b64decode(text, validate=True)
        except (ValueError, TypeError, binascii.Error):
            raise _damaged(name) from None

    def _put(self, name: str, secret: bytes) -> None:
        text = base64.b64encode(secret).decode("ascii")
        self._call(lambda backend: backend.set_password(self.service, name, text))

    def _call(self, ask: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what keyring returns
        def work() -> Any:  # noqa: ANN401 - likewise
            self._chosen = self._chosen or chosen_backend()
            why = unready(self._chosen)
            return Unready(why) if why else ask(self._chosen)

        done = self._silent or _bounded(work, _CALL_S)
        if isinstance(done, Unready):
            self._silent = done if done.silent else None  # one wait is enough: the next secret is not waited for
            raise UnreachableError(
                "the OS keychain cannot be used here",
                why=done.why,
                fix="unlock it (log in to the desktop), or set `credentials.backend: file` and set the keys again",
                code="keychain",
            )
        return done


class Unready:
    """Why a keychain was not asked."""

    __slots__ = ("silent", "why")

    def __init__(self, why: str, *, silent: bool = False) -> None:
        self.why = why
        self.silent = silent


def service_name(home: Path) -> str:
    """Return the name under which the items of a home stand in the keychain."""
    return f"llmcp-{hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:12]}"


def unusable_because() -> str:
    """Look for a keychain that asks nobody anything; return '' where there is one, else why not. Never raises, never hangs."""

    def look() -> str:
        backend = chosen_backend()
        if not type(backend).__module__.startswith(_NO_QUESTIONS):
            return f"keyring offers `{type(backend).__module__}`"
        return unready(backend)

    done = _bounded(look, _PROBE_S)
    return done.why if isinstance(done, Unready) else str(done)


def chosen_backend() -> Any:  # noqa: ANN401 - keyring's own type
    """Return the backend that `keyring` would use; of a chain, the first."""
    import keyring  # noqa: PLC0415 - rule 1

    backend = keyring.get_keyring()
    if type(backend).__module__ == "keyring.backends.chainer":
        backend = next(iter(backend.backends), backend)  # type: ignore[attr-defined]
    return backend


def unready(backend: Any) -> str:  # noqa: ANN401 - keyring's own type
    """Return why `backend` cannot be asked now without a question to a person, or ''."""
    module = type(backend).__module__
    if module in (*_NEVER, "keyring.backends.chainer"):
        return "this machine has no keychain that keyring knows"
    return _secret_service_locked() if module == "keyring.backends.SecretService" else ""


def _secret_service_locked() -> str:
    """Look at the default collection as it is: keyring itself would make one, or unlock it, with a dialog."""
    import secretstorage  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415 - rule 1; Linux only

    connection = secretstorage.dbus_init()
    try:
        collection = secretstorage.Collection(connection, "/org/freedesktop/secrets/aliases/default")
        return "the keyring is locked" if collection.is_locked() else ""
    except secretstorage.exceptions.ItemNotFoundException:
        return "there is no default keyring"
    finally:
        connection.close()


def _bounded(work: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401 - what `work` returns
    """Run `work` in a thread of its own for at most `seconds`."""
    done: list[Any] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:  # noqa: BLE001 - boundary: any library may stand behind keyring, and rule 5 holds
            done.append(Unready(f"it reports {type(error).__name__}"))

    thread = threading.Thread(target=run, name="keychain", daemon=True)
    thread.start()
    thread.join(seconds)
    return done[0] if done else Unready(f"it does not answer within {seconds:.0f} seconds", silent=True)


def _damaged(name: str) -> UnreachableError:
    return UnreachableError(
        f"the keychain item `{name}` is not what llmcp wrote",
        why="it does not decode",
        fix="set that key again with `llmcp key set` or `llmcp key rotate`",
        code="secret-damaged",
    )
