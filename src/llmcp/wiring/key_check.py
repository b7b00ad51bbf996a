"""`llmcp key test`: one call with a stored key, to the host that the gateway itself would send it to.

Rules:
1. The call takes the gateway's own way: surface, base URL, resource, form of the credential. No redirect is followed, no proxy of
   the environment is asked.
2. A credential goes to its own provider only, and to each of its resources once.
3. What is read of an answer is bounded; what is told of it are our words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import structs

from llmcp.control.credential_sources import resolve
from llmcp.control.key_check import BODY_BYTES, Answer, State, Verdict, doubted, judge, unreachable
from llmcp.core.http import Forward, RequestHead
from llmcp.errors import LlmcpError
from llmcp.plugins import dialect_families
from llmcp.ports import Endpoint
from llmcp.providers.surface import CatalogSurface

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from llmcp.control.credential_sources import Source
    from llmcp.core.credentials import Credential, CredentialEntry
    from llmcp.core.settings import Settings
    from llmcp.ports.stores import SecretStore
    from llmcp.providers.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Checker:
    """What a check works with."""

    settings: Settings
    catalog: Catalog
    secrets: SecretStore
    sources: Mapping[str, Source]
    now: datetime
    timeout_s: float

    def check(self, entries: tuple[CredentialEntry, ...]) -> Iterator[dict[str, Any]]:
        """Yield one row for each place that a credential of `entries` may go to."""
        surface = CatalogSurface(self.catalog, dialect_families(), self.settings.providers)
        for entry in entries:
            try:
                credential = resolve(entry, self.secrets, self.sources)
            except LlmcpError as error:
                why = f"{error.what}: {error.why}" if error.why else error.what
                yield _row(entry, "", Verdict(State.SOURCE_FAILED, f"its secret cannot be read: {why}"))
                continue
            for prefix in self._prefixes(entry):
                url, verdict = self._place(surface, prefix, credential)
                yield _row(entry, url, verdict)

    def _prefixes(self, entry: CredentialEntry) -> tuple[str, ...]:
        """Return what stands before the call in the gateway's paths, once for each place."""
        provider = self.catalog.entries.get(entry.provider)
        if provider is None or provider.host != "azure":
            return (f"/{entry.provider}",)
        return tuple(f"/azure/{resource}" for resource in entry.resources or ("resource",))

    def _place(self, surface: CatalogSurface, prefix: str, credential: Credential) -> tuple[str, Verdict]:
        """Ask one place; return its URL too."""
        provider = self.catalog.entries.get(credential.entry.provider)
        if provider is None:
            return "", unreachable("there is no such provider in this version or these settings")
        endpoint = surface.resolve(RequestHead("GET", prefix + provider.check, ()))
        if not isinstance(endpoint, Endpoint):
            return "", unreachable(f"its address is not known; set `providers.{provider.name}.base_url`")
        headers = [(b"accept", b"application/json"), (b"user-agent", b"llmcp")]
        if provider.dialects[0] == "anthropic":
            headers.append((b"anthropic-version", b"2023-06-01"))
        bare = Forward(surface.upstream(endpoint).origin, "GET", endpoint.target, tuple(headers), b"")
        if not surface.may_receive(endpoint, credential.entry.resources):
            return _url(bare), Verdict(State.UNPROVEN, "not tested: the call would go to a host outside its resources")
        carried = surface.authorize(endpoint, bare.headers, credential.secret)
        if carried is None:
            return _url(bare), self._verdict(bare, surface.sign(endpoint, bare, credential.secret, self.now))
        return _url(bare), self._verdict(bare, structs.replace(bare, headers=carried))

    def _verdict(self, bare: Forward, with_key: Forward) -> Verdict:
        answer = self._ask(with_key)
        if isinstance(answer, Verdict):
            return answer
        verdict = judge(answer)
        if verdict.state is not State.VALID:
            return verdict
        without = self._ask(bare)
        return doubted(verdict, without if isinstance(without, Answer) else None)

    def _ask(self, request: Forward) -> Answer | Verdict:
        import httpx

        headers = [(name, value) for name, value in request.headers]
        problem: Verdict
        try:
            with (
                httpx.Client(timeout=self.timeout_s, follow_redirects=False, trust_env=False) as client,
                client.stream(request.method, _url(request), headers=headers) as answer,
            ):
                body = b""
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) >= BODY_BYTES:
                        break
                return Answer(answer.status_code, body[:BODY_BYTES], answer.headers.get("x-amzn-errortype", ""))
        except httpx.ConnectTimeout:
            problem = unreachable(f"no connection within {self.timeout_s:g} seconds")
        except httpx.TimeoutException:
            problem = unreachable(f"no answer within {self.timeout_s:g} seconds")
        except httpx.ConnectError as error:
            problem = unreachable(f"no connection ({_cause(error)})")
        except httpx.HTTPError as error:
            problem = Verdict(State.ODD, f"answered oddly: not readable as HTTP ({type(error).__name__})")
        return problem


def _cause(error: BaseException) -> str:
    """Return the system's words for why there is no connection; they are about the host, never about the request."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    text = getattr(error, "strerror", None) or getattr(error, "verify_message", None)
    return str(text or type(error).__name__)


def _url(request: Forward) -> str:
    return f"{request.origin.scheme}://{request.origin.authority()}{request.target}"


def _row(entry: CredentialEntry, url: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": entry.id, "provider": entry.provider, "org": entry.org, "label": entry.label,
        "place": urlsplit(url).netloc, "state": verdict.state.value, "usable": verdict.usable, "said": verdict.said,
    }  # fmt: skip
