"""The issuer whose tokens are taken: started with the daemon, exchanged when its settings change.

Rules:
1. Without `auth.jwt.issuer` there is no verifier, no thread, and neither PyJWT nor httpx is loaded.
2. Settings that did not change keep the keys that are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.runtime.state import Problem

if TYPE_CHECKING:
    from llmcp.core.settings import Settings
    from llmcp.ports.stores import BearerVerifier
    from llmcp.runtime.jwks import Jwks


class JwtIssuer:
    """The current verifier, what is wrong, and its end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.auth.jwt
        self._jwks = _start(settings)

    def verifier(self) -> BearerVerifier | None:
        """Return who judges JWTs now; None where no issuer is configured. Ask anew for each request: keys change."""
        return self._jwks.verifier if self._jwks is not None else None

    def problems(self) -> tuple[Problem, ...]:
        """Return what `status` should say."""
        said = self._jwks.problems() if self._jwks is not None else ()
        return tuple(Problem("auth.jwt", 0, sentence) for sentence in said)

    def apply(self, settings: Settings) -> None:
        """Go by new settings, where they say anything new of the issuer."""
        if settings.auth.jwt == self._settings:
            return
        before, self._jwks = self._jwks, _start(settings)
        self._settings = settings.auth.jwt
        if before is not None:
            before.stop(wait_s=0)

    def stop(self) -> None:
        """Ask the issuer no more."""
        if self._jwks is not None:
            self._jwks.stop()


def start(settings: Settings) -> JwtIssuer:
    """Begin to fetch the issuer's keys, if there is one. Returns at once."""
    return JwtIssuer(settings)


def _start(settings: Settings) -> Jwks | None:
    if not settings.auth.jwt.issuer:
        return None
    from llmcp.runtime.jwks import Jwks
    from llmcp.runtime.jwks_client import JwksClient
    from llmcp.runtime.upstream import default_tls_context

    client = JwksClient(settings.auth.jwt, default_tls_context())
    jwks = Jwks(settings.auth.jwt, client.fetch)
    jwks.start()
    return jwks
