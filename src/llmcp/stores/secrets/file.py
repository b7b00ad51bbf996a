"""Secrets in one encrypted file, `credentials.enc`: for machines without a keychain.

Rules:
1. A write is read, change, replace under an exclusive lock: two writers lose nothing of each other's.
2. The key is the given one, else the one in `master.key`, made when the first secret is kept.
3. Rotation of the master key: the next key file, then the new file beside the old one; it is read back from disk and every entry
   compared before anything old goes. Each step is one rename, and after any of them a reader finds a key that fits the file.
4. A file whose mode lets others read it is tightened, and that is said.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmcp.errors import NotPermittedError, UnreachableError, UsageError
from llmcp.stores.private_files import locked, read_private, remove_private, rename_private, tighten, write_private
from llmcp.stores.secrets.envelope import bound_to, parse, render, sealed
from llmcp.stores.secrets.master import GivenKey, new_key_text, read_key_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from llmcp.stores.secrets.envelope import Envelope
    from llmcp.stores.secrets.master import Derivation, MasterKey

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_./-]{0,127}")
FILE: Final = "credentials.enc"
LOCK: Final = "credentials.lock"


class FileSecretStore:
    """The encrypted file in `directory`. `given` is the text of `LLMCP_MASTER_KEY`, or ''; `notice` is told what was tightened."""

    kind = "file"

    def __init__(self, directory: Path, given: str, notice: Callable[[str], None]) -> None:
        self.path = directory / FILE
        self.key_path = directory / "master.key"
        self._next_key = directory / "master.key.next"
        self._lock = directory / LOCK
        self._given = GivenKey(given) if given else None
        self._notice = notice
        self._stretched: tuple[Derivation, MasterKey | None] | None = None

    def get(self, name: str) -> bytes | None:
        """Return a secret, or None."""
        with locked(self._lock, shared=True):
            envelope = self._read(self.path)
            if envelope is None or name not in envelope.entries:
                return None
            return envelope.opened(self._master(envelope), name)

    def set(self, name: str, secret: bytes) -> None:
        """Keep a secret, in the place of an older one."""
        checked_name(name)
        with locked(self._lock):
            self._settle()
            envelope = self._read(self.path)
            if envelope is None:
                envelope, master = sealed(self._given or self._own_key(), {})
            else:
                master = self._master(envelope)
            entries = {**envelope.entries, name: master.seal(secret, bound_to(name))}
            write_private(self.path, render(replace(envelope, entries=entries)))

    def delete(self, name: str) -> bool:
        """Remove a secret; False where there was none."""
        with locked(self._lock):
            self._settle()
            envelope = self._read(self.path)
            if envelope is None or name not in envelope.entries:
                return False
            self._master(envelope)  # who has not the key takes nothing away
            entries = {n: entry for n, entry in envelope.entries.items() if n != name}
            write_private(self.path, render(replace(envelope, entries=entries)))
            return True

    def names(self) -> tuple[str, ...]:
        """Return the names of all secrets, sorted."""
        with locked(self._lock, shared=True):
            envelope = self._read(self.path)
        return tuple(sorted(envelope.entries)) if envelope is not None else ()

    def rotate_master(self, new: str = "", *, step: Callable[[str], None] = lambda _: None) -> int:
        """Seal everything anew: under the given key `new`, else under a fresh one in the key file; return the number of entries.

        `step` is called after each thing that is done on disk. Raises: UsageError where there is no file, or a key was given
        before and none now; UnreachableError where the new file does not open to the same secrets, with the old one in place.
        """
        if self._given is not None and not new:
            raise UsageError(
                "the new master key is missing",
                why="`LLMCP_MASTER_KEY` is set, so the key is yours to choose and to keep",
                fix="`llmcp key rotate --master --from-env NAME`, or `--stdin`",
                code="master-key",
            )
        with locked(self._lock):
            self._settle()
            envelope = self._read(self.path)
            if envelope is None:
                raise UsageError(
                    "there is nothing to seal anew", why=f"{self.path} does not exist", fix="`llmcp key set` makes it"
                )
            old = self._master(envelope)
            secrets = {name: envelope.opened(old, name) for name in envelope.entries}
            self._replace_key(GivenKey(new) if new else None, secrets, step)
            return len(secrets)

    def _replace_key(self, given: GivenKey | None, secrets: Mapping[str, bytes], step: Callable[[str], None]) -> None:
        key = given or GivenKey(new_key_text())
        envelope, _ = sealed(key, secrets)
        if given is None:
            write_private(self._next_key, key.text.encode() + b"\n")
            step("next key written")
        beside = self.path.with_name(FILE + ".next")
        write_private(beside, render(envelope))
        step("new file written")
        self._prove(beside, given or read_key_file(self._next_key), secrets)
        rename_private(beside, self.path)
        step("new file in place")
        if given is None:
            rename_private(self._next_key, self.key_path)
        else:
            remove_private(self.key_path)
            self._given = given
        self._stretched = None
        step("old key gone")

    def _prove(self, path: Path, key: GivenKey | None, secrets: Mapping[str, bytes]) -> None:
        """Open every entry of the file at `path`, as it lies on disk, with the key as it lies on disk."""
        envelope = self._read(path)
        master = envelope.master(key) if key is not None and envelope is not None else None
        if envelope is not None and master is not None:
            opened = {name: master.open(entry, bound_to(name)) for name, entry in envelope.entries.items()}
            if opened == secrets:
                return
        remove_private(path)
        raise UnreachableError(
            "the secrets could not be sealed under the new master key",
            why="what was written does not open to what was there before",
            fix="the old key and the old file are in place; check the disk and try again",
            code="rotation-failed",
        )

    def _settle(self) -> None:
        """Finish a rotation that was cut off: its key file is put in its place, or taken away. Under the exclusive lock."""
        left = read_key_file(self._next_key)
        if left is None:
            return
        envelope = self._read(self.path)
        if envelope is not None and envelope.master(left) is not None:
            rename_private(self._next_key, self.key_path)
        else:
            remove_private(self._next_key)

    def _own_key(self) -> GivenKey:
        """Return the key of the key file, made now where there is none."""
        key = read_key_file(self.key_path)
        if key is None:
            key = GivenKey(new_key_text())
            write_private(self.key_path, key.text.encode() + b"\n")
        return key

    def _master(self, envelope: Envelope) -> MasterKey:
        """Return the key that opens `envelope`. Raises: NotPermittedError where we do not have it."""
        if self._given is not None:
            master = self._stretch(self._given, envelope)
            if master is not None:
                return master
        else:
            # The second is there only when a rotation was cut off between its last two steps.
            for path in (self.key_path, self._next_key):
                key = read_key_file(path)
                master = envelope.master(key) if key is not None else None
                if master is not None:
                    return master
        raise self._wrong_key()

    def _stretch(self, key: GivenKey, envelope: Envelope) -> MasterKey | None:
        """As `Envelope.master`, but a passphrase is stretched once only."""
        if self._stretched is None or self._stretched[0] != envelope.how:
            self._stretched = (envelope.how, key.master(envelope.how))
        master = self._stretched[1]
        return master if master is not None and envelope.fits(master) else None

    def _wrong_key(self) -> NotPermittedError:
        given = self._given is not None
        if given:
            why, fix = "`LLMCP_MASTER_KEY` is not the key that it was sealed with", "set the right one"
        elif self.key_path.exists():
            why, fix = (
                f"{self.key_path} is not the key that it was sealed with",
                "restore the right one, or set `LLMCP_MASTER_KEY`",
            )
        else:
            why, fix = "there is no master key", f"set `LLMCP_MASTER_KEY`, or restore {self.key_path}"
        return NotPermittedError(f"{self.path} does not open", why=why, fix=fix, code="master-key-wrong")

    def _read(self, path: Path) -> Envelope | None:
        found = read_private(path)
        if found is None:
            return None
        data, mode = found
        if mode & 0o077:
            tighten(path)
            self._notice(f"{path} could be read by others (mode {mode:04o}); it is 0600 now")
        return parse(data, path)


def checked_name(name: str) -> None:
    """Refuse what cannot be a secret's name. Raises: ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError("a secret's name is made of a-z, 0-9 and _ . / -")
