"""Keeps an issuer's keys fresh beside the request path, and the verifier that goes by them.

Rules:
1. One thread asks the issuer: at the start, every `refresh_s`, and when a token of an unknown key came; the last at most once in
   `ASK_EVERY_S`, whatever comes.
2. What was fetched replaces what was there, whole: a key that the issuer took away verifies nothing from then on. Equal keys
   change nothing, so that remembered tokens stay remembered.
3. A refresh that fails keeps the keys, says so among the problems, and is tried again soon; after `STALE_S` they are let go.
4. There is a verifier from the first moment, with no keys at worst: a token of the issuer never passes for a provider's key.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from llmcp.engine.jwt_bearer import JwtBearer
from llmcp.engine.jwt_keys import NO_KEYS
from llmcp.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.core.settings import JwtSettings
    from llmcp.engine.jwt_keys import KeySet

ASK_EVERY_S: Final = 10.0
STALE_S: Final = 4 * 3600.0
"""Longer than tokens commonly live, shorter than a night."""
_FIRST_RETRY_S: Final = 1.0
_SHOWN: Final = 8

log = logging.getLogger("llmcp.jwks")


class Jwks:
    """The verifier of one issuer, kept up to date. `fetch` blocks and raises `UnreachableError`."""

    def __init__(
        self,
        settings: JwtSettings,
        fetch: Callable[[], KeySet],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        stale_s: float = STALE_S,
        ask_every_s: float = ASK_EVERY_S,
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._monotonic = monotonic
        self._stale_s = stale_s
        self._ask_every_s = ask_every_s
        self._wake = threading.Condition()
        self._asked = False
        self._stopped = False
        self._attempted = float("-inf")
        self._fetched = float("-inf")
        self._failures = 0
        self._why = ""
        self.verifier = JwtBearer(settings, NO_KEYS, self.ask)
        self._thread = threading.Thread(target=self._run, name="llmcp-jwks", daemon=True)

    def start(self) -> None:
        """Begin asking. Returns at once: keys come when they come."""
        self._asked = True
        self._thread.start()

    def stop(self, *, wait_s: float = 1.0) -> None:
        """Ask no more; wait a little for a fetch that is under way."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(wait_s)

    def ask(self) -> bool:
        """Have the keys fetched anew, unless that was just done; tell whether newer ones are on their way. Never blocks for long."""
        with self._wake:
            if self._stopped:
                return False
            if not self._asked:
                if self._monotonic() - self._attempted < self._ask_every_s:
                    return False
                self._asked = True
                self._wake.notify()
            return True

    def problems(self) -> tuple[str, ...]:
        """Return what the operator should know, a sentence each."""
        said = []
        if not self._settings.audience:
            said.append(
                "`auth.jwt.audience` is empty: tokens of the issuer are refused, since none is known to be for this service"
            )
        if self._why and self.verifier.keys.keys:
            minutes = int((self._monotonic() - self._fetched) / 60)
            said.append(f"the issuer's keys cannot be refreshed ({self._why}); those of {minutes} minutes ago are in use")
        elif self._why:
            said.append(f"the issuer's keys cannot be fetched ({self._why}): its tokens are refused")
        elif self._failures == 0 and self._fetched > float("-inf") and not self.verifier.keys.keys:
            said.append("the issuer has no key that tokens could be verified with")
        faulty = [left_out for left_out in self.verifier.keys.left_out if left_out.faulty]
        said += [f"a key of the issuer is not used, {left_out.key}: {left_out.why}" for left_out in faulty[:_SHOWN]]
        return tuple(said)

    def refresh(self) -> None:
        """Fetch the keys now and go by them. Blocks; what goes wrong stands among the problems."""
        self._attempted = self._monotonic()
        try:
            keys = self._fetch()
        except UnreachableError as error:
            self._failed(error.why)
        except Exception as error:  # noqa: BLE001 - boundary: the thread must live on, and old keys grow stale
            self._failed(type(error).__name__)
        else:
            self._take(keys)

    def _take(self, keys: KeySet) -> None:
        self._fetched = self._monotonic()
        self._failures = 0
        self._why = ""
        if keys.digest != self.verifier.keys.digest:
            self.verifier = JwtBearer(self._settings, keys, self.ask)
            log.info("jwks_changed", extra={"fields": {"keys": len(keys.keys), "left_out": len(keys.left_out)}})

    def _failed(self, why: str) -> None:
        if not self._failures:
            log.warning("jwks_refresh_failed", extra={"fields": {"why": why}})
        self._failures += 1
        self._why = why
        if self.verifier.keys.digest and self._monotonic() - self._fetched >= self._stale_s:
            self.verifier = JwtBearer(self._settings, NO_KEYS, self.ask)
            log.warning("jwks_let_go", extra={"fields": {"why": why}})

    def _pause_s(self) -> float:
        """Return how long to wait after the last attempt: failures are tried again soon, then ever more seldom."""
        if not self._failures:
            return float(self._settings.refresh_s)
        return min(float(self._settings.refresh_s), _FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 16))

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._stopped and not self._asked:
                    self._wake.wait(self._pause_s())
                if self._stopped:
                    return
            # `asked` stays set while the fetch runs: whoever asks meanwhile is served by it.
            self.refresh()
            with self._wake:
                self._asked = False
