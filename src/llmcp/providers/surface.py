"""The gateway's map of paths and model names: which provider, dialect and upstream a request means.

Rules:
1. `/<prefix>/<rest>` is the provider of that prefix, `<rest>` below its base URL in the client's own spelling.
2. `/v1/…` is a unified path: the dialect is the path's, the provider is chosen by `place` from the model's name.
3. A path below a known prefix that no dialect knows passes as operation `other`, not inspectable; an unknown prefix is None.
4. A key in the query is a credential under `/gemini` only; there it is read and taken out. A query field that
   holds a virtual key, or a key whose form names another provider than the path does, is dropped everywhere. A path that holds
   a virtual key is refused: nothing can be dropped of it.
5. Built once per revision; `resolve` is pure, its memory of recent targets is bounded and holds no credential.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus, urlsplit

import msgspec

from llmcp.core.http import Origin, Respond, Timeouts, header
from llmcp.core.messages import Operation
from llmcp.core.settings import ProviderSettings
from llmcp.core.virtual_keys import masked
from llmcp.engine.headers import CREDENTIAL_HEADERS, has_virtual_key
from llmcp.errors import UsageError
from llmcp.ports import Endpoint, Refusal, RefusalKind, Upstream
from llmcp.providers.catalog import Catalog, ProviderEntry
from llmcp.providers.credential_forms import carrying, form_of, signed
from llmcp.providers.paths import BadTargetError, Target, join, parse_target, raw_span

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from llmcp.core.http import Forward, Headers, RequestHead
    from llmcp.ports import ProviderDialect
    from llmcp.providers.route import Route

_REMEMBERED = 1024
_LONGEST = 256  # what is longer is no model's name and no common target; it must not feed a memory
_KEY_HEADERS = (b"x-api-key", b"api-key", b"x-goog-api-key")
_HEADER_PROVIDER = {b"x-api-key": "anthropic", b"api-key": "azure", b"x-goog-api-key": "gemini"}
_RESOURCE = re.compile(r"[a-z0-9-]{2,64}")
_LOCATION = re.compile(r"/locations/([a-z0-9-]{2,40})(?:/|$)")
_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_RESERVED = frozenset({"v1", "healthz", "readyz", "metrics", "llmcp"})
_AZURE_FOUNDRY = re.compile(r"/(?:models|anthropic)/")
_DEFAULT_REGION = "us-east-1"
_ESCAPED_SLASH = re.compile(r"%(?:25)*2f", re.IGNORECASE)
_GOOGLE = frozenset({"gemini", "vertex"})
_READING = frozenset({"GET", "HEAD"})
_JSON: Headers = ((b"content-type", b"application/json"),)


@dataclass(frozen=True, slots=True)
class Family:
    """The dialects that make up one provider's way to speak, each with its routes; the first route that matches wins."""

    name: str
    tables: tuple[tuple[ProviderDialect, tuple[Route, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Row:
    pattern: re.Pattern[str]
    route: Route
    dialect: ProviderDialect


class CatalogSurface:
    """See `ports.Surface`. Raises UsageError where the settings name a provider that nothing describes."""

    def __init__(self, catalog: Catalog, families: Mapping[str, Family], settings: Mapping[str, ProviderSettings]) -> None:
        self._settings = {name.lower().replace("_", "-"): value for name, value in settings.items()}
        self._catalog = catalog.with_entries(_custom(catalog, self._settings))
        self._rows = {name: _compile(family) for name, family in families.items()}
        self._family_of = {dialect.name: family.name for family in families.values() for dialect, _ in family.tables}
        self._seen: dict[tuple[str, str, bool], Endpoint | Respond | None] = {}
        self._upstreams: dict[tuple[str, str], Upstream] = {}
        self._canonical: dict[str, str] = {}
        self._places: dict[tuple[str, str, str, str], tuple[Endpoint, Endpoint | Refusal]] = {}

    def resolve(self, head: RequestHead) -> Endpoint | Respond | None:
        """See `Surface.resolve`."""
        key = (head.method, head.target, bool(header(head.headers, b"anthropic-version")))
        try:
            return self._seen[key]
        except KeyError:
            pass
        found = self._resolve(*key)
        if "llmcp" not in head.target.lower() and not (isinstance(found, Endpoint) and found.credential):
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[key] = found
        return found

    def place(self, endpoint: Endpoint, model: str, key_provider: str) -> Endpoint | Refusal:
        """See `Surface.place`."""
        key = (endpoint.target, endpoint.dialect.name, model, key_provider)
        known = self._places.get(key)
        # The very endpoint that `resolve` remembered: another one of the same target may be for another method.
        if known is not None and known[0] is endpoint:
            return known[1]
        placed = self._place(endpoint, model, key_provider)
        if len(model) <= _LONGEST and len(endpoint.target) <= _LONGEST:
            if len(self._places) >= _REMEMBERED:
                self._places.clear()
            self._places[key] = (endpoint, placed)
        return placed

    def _place(self, endpoint: Endpoint, model: str, key_provider: str) -> Endpoint | Refusal:
        family = self._family_of[endpoint.dialect.name]
        entry, model = self._choose(family, model, key_provider)
        if not entry.unified or family not in entry.dialects:
            what = f"`{model}` is a model of {entry.name}, which does not speak the dialect of this path"
            return Refusal(RefusalKind.BAD_REQUEST, f"{what}: use the base URL that ends in `{entry.native}`", "")
        if not self._base_url(entry):
            return Refusal(RefusalKind.BAD_REQUEST, _unset(entry), "")
        path, mark, query = endpoint.target.partition("?")
        if family == "anthropic":
            path = entry.anthropic_base + path
            target = join(self._base_path(entry), "", path, verbatim=True)
        else:
            target = join(self._base_path(entry), entry.api_path, _rooted(entry, path), verbatim=False)
        return replace(endpoint, provider=entry.name, target=target + mark + query, model=model)

    def upstream(self, endpoint: Endpoint) -> Upstream:
        """See `Surface.upstream`. The base path is part of the endpoint's target already, so `base_path` is ''."""
        entry = self._catalog.entries[endpoint.provider]
        url = self._base_url(entry, endpoint)
        key = (entry.name, url)
        if key not in self._upstreams:
            if len(self._upstreams) >= _REMEMBERED:
                self._upstreams.clear()
            self._upstreams[key] = Upstream(entry.name, _origin(url), "", self._timeouts(entry))
        return self._upstreams[key]

    def key_provider(self, headers: Headers) -> str:
        """See `Surface.key_provider`."""
        for form in (b"authorization", *_KEY_HEADERS):
            name = self._whose(form, header(headers, form))
            if name:
                return name
        return ""

    def own_keys(self, endpoint: Endpoint, headers: Headers) -> Headers:
        """See `Surface.own_keys`. A path that names its provider also takes keys of a form that nobody has."""
        mine = {endpoint.provider} if endpoint.unified else {endpoint.provider, ""}
        return tuple(
            (name, value)
            for name, value in headers
            if name not in CREDENTIAL_HEADERS or (self._whose if endpoint.unified else self._formed)(name, value) in mine
        )

    def _whose(self, name: bytes, value: bytes) -> str:
        """Name the provider of the credential in the header `name`: by the key's form, else by the header's."""
        if not value.strip() or has_virtual_key(value):
            return ""
        return self._formed(name, value) or _HEADER_PROVIDER.get(name, "")

    def _formed(self, name: bytes, value: bytes) -> str:
        """Name the provider whose keys have the form of the one in the header `name`, or ''."""
        key = value.strip()
        if name == b"authorization":
            if key[:7].lower() != b"bearer ":
                return ""
            key = key[7:].strip()
        return self._catalog.key_provider(key.decode("latin-1"))

    def canonical_model(self, provider: str, model: str) -> str:
        """See `Surface.canonical_model`."""
        del provider
        found = self._canonical.get(model)
        if found is None:
            found = self._catalog.canonical_model(model)
            if len(model) <= _LONGEST:
                if len(self._canonical) >= _REMEMBERED:
                    self._canonical.clear()
                self._canonical[model] = found
        return found

    def price_id(self, provider: str) -> str:
        """Return the provider's name in the price table."""
        entry = self._catalog.entries.get(provider)
        return entry.price_id if entry else provider

    def auth(self, provider: str) -> str:
        """Return how a stored credential travels to `provider`: the catalog's `auth`."""
        entry = self._catalog.entries.get(provider)
        return entry.auth if entry else "bearer"

    def keyless(self, provider: str) -> bool:
        """See `Surface.keyless`."""
        return self.auth(provider) == "none"

    def signs(self, provider: str) -> bool:
        """See `Surface.signs`."""
        return self.auth(provider) == "sigv4"

    def may_receive(self, endpoint: Endpoint, resources: tuple[str, ...]) -> bool:
        """See `Surface.may_receive`. Hosts are the catalog's or the settings', but for the places that a client's path fills in.

        Azure gives a resource's name to whoever asks first, so it must be one of `resources`. A Vertex location is part of a name
        of Google's own and of the form that `_LOCATION` lets through; `resources` may narrow it.
        """
        entry = self._catalog.entries[endpoint.provider]
        if self._settings.get(entry.name, _NO_SETTINGS).base_url:
            return True
        if entry.host == "azure":
            return endpoint.resource in resources
        if entry.host == "vertex":
            return not resources or endpoint.resource in resources
        return "{resource}" not in entry.base_url and "{location}" not in entry.base_url

    def authorize(self, endpoint: Endpoint, headers: Headers, secret: str) -> Headers | None:
        """See `Surface.authorize`."""
        entry = self._catalog.entries[endpoint.provider]
        return carrying(headers, form_of(entry.auth, entry.name, self._family_of.get(endpoint.dialect.name, "")), secret)

    def sign(self, endpoint: Endpoint, request: Forward, secret: str, now: datetime) -> Forward:
        """See `Surface.sign`."""
        region = self._settings.get(endpoint.provider, _NO_SETTINGS).region or _DEFAULT_REGION
        return signed(request, secret, region=region, now=now)

    def describe(self, provider: str) -> dict[str, str | list[str]]:
        """Return what a person wants to know of a provider: its gateway path, how it is spoken to, where it is."""
        entry = self._catalog.entries[provider]
        return {
            "name": entry.name,
            "path": entry.native,
            "dialects": list(entry.dialects),
            "auth": entry.auth,
            "base_url": self._settings.get(entry.name, _NO_SETTINGS).base_url or entry.base_url,
        }

    def providers(self) -> tuple[str, ...]:
        """Return the names of all providers, in the catalog's order."""
        return tuple(self._catalog.entries)

    def _resolve(self, method: str, raw: str, says_anthropic: bool) -> Endpoint | Respond | None:  # noqa: FBT001
        try:
            target = _without_virtual_keys(parse_target(raw))
        except BadTargetError as error:
            return self._refuse(("anthropic" if says_anthropic else "openai",), f"the request target is refused: {error}")
        if not target.normal:
            return _hello() if method in _READING else None
        prefix = target.normal[1:].partition("/")[0]
        if prefix == "v1":
            return self._resolve_unified(method, target, says_anthropic)
        entry = self._catalog.entries.get(prefix)
        if entry is None:
            return None
        rest = target.below()
        if not rest.normal and method in _READING:
            return _hello()
        return self._resolve_native(method, entry, rest)

    def _resolve_native(self, method: str, entry: ProviderEntry, rest: Target) -> Endpoint | Respond:
        resource = ""
        if entry.host == "azure":
            resource = rest.normal[1:].partition("/")[0]
            if not _RESOURCE.fullmatch(resource):
                return self._refuse(entry.dialects, "the path must name the Azure resource: `/azure/{resource}/openai/…`")
            rest = rest.below()
        elif entry.host == "vertex":
            location = _LOCATION.search(rest.normal)
            resource = location[1] if location else ""
        if not self._base_url(entry):
            return self._refuse(entry.dialects, _unset(entry))
        credential = ""
        if entry.name == "gemini":
            rest, credential = _without_key(rest)
        if entry.name in _GOOGLE:
            rest = _without_overrides(rest)
        rest = self._without_foreign_keys(rest, entry.name)
        path = _rooted(entry, rest.path)
        target = join(self._base_path(entry), entry.api_path, path, verbatim=entry.verbatim) + rest.query
        endpoint = self._match(method, entry.dialects, rest)
        if "%2f" in rest.normal and not self._same_unescaped(method, entry.dialects, rest, endpoint):
            return self._refuse(entry.dialects, "the request target is refused: its path hides a `/` behind an escape")
        if endpoint is None:
            dialect = self._first_dialect(entry.dialects)
            endpoint = Endpoint(entry.name, dialect, Operation.OTHER, "", json_body=False, inspectable=False)
        return replace(endpoint, provider=entry.name, target=target or "/", resource=resource, credential=credential)

    def _resolve_unified(self, method: str, target: Target, says_anthropic: bool) -> Endpoint | None:  # noqa: FBT001
        anthropic = says_anthropic or target.normal.startswith("/v1/messages")
        family = "anthropic" if anthropic and "anthropic" in self._rows else "openai"
        endpoint = self._match(method, (family,), target)
        if endpoint is None:
            return None
        target = self._without_foreign_keys(target, "")
        return replace(endpoint, provider=family, target=target.path + target.query, unified=True)

    def _match(self, method: str, families: tuple[str, ...], rest: Target) -> Endpoint | None:
        for family in families:
            for row in self._rows.get(family, ()):
                route = row.route
                if route.methods and method not in route.methods:
                    continue
                match = row.pattern.fullmatch(rest.normal)
                if match is None:
                    continue
                model = raw_span(rest.path, *match.span("model")) if match.re.groupindex.get("model") and match["model"] else ""
                return Endpoint(
                    "",
                    row.dialect,
                    route.operation,
                    "",
                    kind=route.kind,
                    model=model,
                    stream=route.stream,
                    json_body=route.json_body,
                    inspectable=route.inspectable,
                )
        return None

    def _same_unescaped(self, method: str, families: tuple[str, ...], rest: Target, found: Endpoint | None) -> bool:
        """Tell whether `rest` means the same to a server that takes an escaped slash for a slash before it routes; many do."""
        plain = Target(_ESCAPED_SLASH.sub("/", rest.path), rest.query, rest.normal.replace("%2f", "/"))
        other = self._match(method, families, plain)
        if other is None or found is None:
            return other is found
        same = (other.operation, other.kind) == (found.operation, found.kind)
        return same and other.model.lower() in {"", found.model.lower()}

    def _without_foreign_keys(self, target: Target, provider: str) -> Target:
        """Drop query fields whose value has the form of another provider's key."""
        if not target.query:
            return target
        pairs = target.query[1:].split("&")
        kept = [p for p in pairs if self._catalog.key_provider(unquote_plus(p.partition("=")[2])) in {"", provider}]
        return target if len(kept) == len(pairs) else replace(target, query="?" + "&".join(kept) if kept else "")

    def _choose(self, family: str, model: str, key_provider: str) -> tuple[ProviderEntry, str]:
        entries = self._catalog.entries
        name, rest = self._catalog.split_model(model)
        by_key = entries.get(key_provider)
        if by_key is not None and (not by_key.unified or family not in by_key.dialects):
            by_key = None
        if by_key is not None and by_key.aggregator:
            return by_key, rest if name == by_key.name and "/" in rest else model
        if name:
            return entries[name], rest
        by_model = entries.get(self._catalog.model_provider(model))
        return by_model or by_key or entries[family], model

    def _base_url(self, entry: ProviderEntry, endpoint: Endpoint | None = None) -> str:
        """Return the configured base URL, or the catalog's with its places filled in."""
        settings = self._settings.get(entry.name)
        if settings is not None and settings.base_url:
            return settings.base_url
        region = (settings.region if settings else "") or _DEFAULT_REGION
        resource = endpoint.resource if endpoint else "resource"
        url = entry.base_url
        if entry.host == "azure" and endpoint is not None and _AZURE_FOUNDRY.match(endpoint.target):
            url = url.replace(".openai.azure.com", ".services.ai.azure.com")
        location = resource or (settings.region if settings else "")
        location = "" if location in {"", "global"} else f"{location}-"
        return url.replace("{region}", region).replace("{resource}", resource).replace("{location}", location)

    def _base_path(self, entry: ProviderEntry) -> str:
        return urlsplit(self._base_url(entry)).path.rstrip("/")

    def _timeouts(self, entry: ProviderEntry) -> Timeouts:
        s = self._settings.get(entry.name, _NO_SETTINGS)
        return Timeouts(s.connect_s, s.first_byte_s, s.idle_s, s.total_s)

    def _first_dialect(self, families: tuple[str, ...]) -> ProviderDialect:
        return next(self._rows[f][0].dialect for f in (*families, "openai") if f in self._rows)

    def _refuse(self, families: tuple[str, ...], message: str) -> Respond:
        return self._first_dialect(families).refuse(Refusal(RefusalKind.BAD_REQUEST, message, ""))


_NO_SETTINGS = ProviderSettings()
_CHAT = "/v1/chat/completions"


def _rooted(entry: ProviderEntry, path: str) -> str:
    """Move chat to the root of a host without an API prefix: there `/v1` has everything else, and answers 404 for chat."""
    return path.removeprefix("/v1") if not entry.api_path and path.lower().removesuffix("/") == _CHAT else path


def _compile(family: Family) -> tuple[_Row, ...]:
    return tuple(_Row(re.compile(r.pattern), r, dialect) for dialect, routes in family.tables for r in routes)


def _custom(catalog: Catalog, settings: Mapping[str, ProviderSettings]) -> list[ProviderEntry]:
    """Make entries of the providers that only the settings know."""
    entries = []
    for name, value in settings.items():
        if name in catalog.entries:
            continue
        if not value.base_url or not value.dialect:
            raise UsageError(
                f"provider `{name}` is not in the catalog",
                why="a provider of your own needs a `base_url` and a `dialect`",
                fix=f"set `providers.{name}.base_url` and `providers.{name}.dialect`, or correct the name",
            )
        if not _PROVIDER_NAME.fullmatch(name) or name in _RESERVED:
            raise UsageError(f"`{name}` cannot name a provider", why="it must fit into a path", fix="use letters, digits and `-`")
        auth = "x-api-key" if value.dialect == "anthropic" else "bearer"
        entries.append(ProviderEntry(name, dialects=(value.dialect,), auth=auth, price_id=name, native=f"/{name}"))
    return entries


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme])


def _hello() -> Respond:
    return Respond(200, _JSON, msgspec.json.encode({"name": "llmcp", "ok": True}))


def _unset(entry: ProviderEntry) -> str:
    variable = entry.name.upper().replace("-", "_")
    return (
        f"no base URL is set for `{entry.name}`: set `providers.{entry.name}.base_url` or LLMCP_PROVIDERS__{variable}__BASE_URL"
    )


def _without_key(target: Target) -> tuple[Target, str]:
    """Take `key=` out of a query; its (last) value is the credential."""
    if "key" not in target.query.lower() and "%" not in target.query:
        return target, ""
    pairs = target.query[1:].split("&")
    keys = [p for p in pairs if unquote_plus(p.partition("=")[0]) == "key"]
    if not keys:
        return target, ""
    rest = "&".join(p for p in pairs if p not in keys)
    return replace(target, query="?" + rest if rest else ""), unquote_plus(keys[-1].partition("=")[2])


def _without_overrides(target: Target) -> Target:
    """Drop `$httpMethod` and `$httpHeaders`: browsers' ways to have Google's front ends read other headers than were sent."""
    if "http" not in target.query.lower() and "%" not in target.query:
        return target
    kept = [p for p in target.query[1:].split("&") if not unquote_plus(p.partition("=")[0]).lower().startswith("$http")]
    return replace(target, query="?" + "&".join(kept) if kept else "")


def _without_virtual_keys(target: Target) -> Target:
    """Drop query fields that hold a virtual key: no provider may see one. Gemini's `key` is read later. Raises: BadTargetError."""
    if masked(target.path) != target.path or ("%" in target.path and masked(_unescaped(target.path)) != _unescaped(target.path)):
        raise BadTargetError("its path has a virtual key in it")
    if "llmcp" not in target.query.lower() and "%" not in target.query:
        return target
    pairs = target.query[1:].split("&")
    gemini = target.normal.startswith("/gemini/")
    kept = [p for p in pairs if not _is_virtual(p) or (gemini and unquote_plus(p.partition("=")[0]) == "key")]
    return target if len(kept) == len(pairs) else replace(target, query="?" + "&".join(kept) if kept else "")


def _unescaped(text: str) -> str:
    """Return `text` as it reads after any number of readers; `parse_target` refused what is escaped many times over."""
    while "%" in text and (plain := unquote(text)) != text:
        text = plain
    return text


def _is_virtual(pair: str) -> bool:
    return has_virtual_key(unquote_plus(pair).encode("utf-8", "replace"))
