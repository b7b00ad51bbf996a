"""The settings' schema: every key, its type, its default and what it means. Reading them is `llmcp.config`'s business.

Rules:
1. A key whose machinery is not built does not stand here, so that setting it is an error by name.
2. Units stand in names (`_s` seconds, `_bytes` bytes).
3. A provider's base URL is https unless its host is loopback.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

_STRICT = ConfigDict(extra="forbid", frozen=True)


class ListenSettings(BaseModel):
    """Where the daemon listens. Port 0 takes any free one."""

    model_config = _STRICT
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8900
    admin_port: Annotated[int, Field(ge=0, le=65535)] = 8902
    allowed_hosts: tuple[str, ...] = Field(default=(), description="Host header values accepted besides loopback names.")
    allowed_origins: tuple[str, ...] = Field(default=(), description="Origin header values accepted; none by default.")


class LimitSettings(BaseModel):
    """Bounds on what a client or a provider may send, and for how long."""

    model_config = _STRICT
    header_bytes: Annotated[int, Field(ge=1024)] = 65536
    request_body_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    held_response_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    header_timeout_s: Annotated[float, Field(gt=0)] = 15.0
    body_idle_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    keep_alive_s: Annotated[float, Field(gt=0)] = 75.0
    client_write_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    max_connections: Annotated[int, Field(ge=1)] = 4096
    drain_s: Annotated[float, Field(ge=0)] = 30.0


class JwtClaimSettings(BaseModel):
    """Which claim says what; dots lead into objects. An empty name reads nothing."""

    model_config = _STRICT
    org: str = "org"
    app: str = "azp"
    user: str = "sub"
    groups: str = "groups"


class JwtSettings(BaseModel):
    """Tokens of an OIDC issuer that are taken for virtual keys. No `issuer`: none are."""

    model_config = _STRICT
    issuer: str = ""
    audience: tuple[str, ...] = ()
    jwks_uri: str = Field(default="", description="Where the issuer's keys are; empty: as its discovery document says.")
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"], ...] = (
        "RS256",
        "ES256",
        "EdDSA",
    )
    claims: JwtClaimSettings = JwtClaimSettings()
    leeway_s: Annotated[int, Field(ge=0, le=300)] = 30
    refresh_s: Annotated[int, Field(ge=10)] = 300

    @field_validator("jwks_uri", "issuer")
    @classmethod
    def _https_unless_loopback(cls, value: str) -> str:
        return _checked_url(value, query=True) if value else value


class AuthSettings(BaseModel):
    """Who may ask. With `require_virtual_key` a client's own provider key no longer passes through."""

    model_config = _STRICT
    require_virtual_key: bool = False
    jwt: JwtSettings = JwtSettings()


class CredentialSettings(BaseModel):
    """Where secrets lie, and how often sources outside (a secret manager) are asked again."""

    model_config = _STRICT
    backend: Literal["auto", "keychain", "file"] = "auto"
    refresh_s: Annotated[int, Field(ge=10)] = 300
    aws_region: str = ""
    aws_endpoint_url: str = Field(default="", description="Another place for AWS Secrets Manager; https unless loopback.")

    @field_validator("aws_endpoint_url")
    @classmethod
    def _https_unless_loopback(cls, value: str) -> str:
        return _checked_url(value) if value else value


class LedgerSettings(BaseModel):
    """When checkpoints are signed (whichever comes first), under which name, and where copies of them go."""

    model_config = _STRICT
    origin: str = Field(default="", description="The log's name in checkpoints; empty: made at the first one, then kept.")
    checkpoint_records: Annotated[int, Field(ge=1)] = 10_000
    checkpoint_s: Annotated[int, Field(ge=1)] = 60
    anchors: tuple[str, ...] = Field(default=(), description="`file:PATH`, `git:DIRECTORY`, `http(s)://…`.")

    @field_validator("anchors")
    @classmethod
    def _places(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place in value:
            scheme, _, rest = place.partition(":")
            if scheme in {"http", "https"}:
                _checked_url(place, query=True)
            elif scheme not in {"file", "git"} or not rest:
                msg = "must be `file:PATH`, `git:DIRECTORY` or `https://…`"
                raise ValueError(msg)
        return value


class RetentionSettings(BaseModel):
    """How long records are kept, in days; 0 keeps them."""

    model_config = _STRICT
    bodies_days: Annotated[int, Field(ge=0)] = 30
    rows_days: Annotated[int, Field(ge=0)] = 0


class ProviderSettings(BaseModel):
    """What may be changed of one provider: its place and its deadlines (seconds, 0 = none)."""

    model_config = _STRICT
    base_url: str = ""
    region: str = ""
    connect_s: Annotated[float, Field(ge=0)] = 10.0
    first_byte_s: Annotated[float, Field(ge=0)] = 600.0
    idle_s: Annotated[float, Field(ge=0)] = 300.0
    total_s: Annotated[float, Field(ge=0)] = 3600.0
    dialect: Literal["", "openai", "anthropic"] = Field(default="", description="For a provider that the catalog does not have.")

    @field_validator("base_url")
    @classmethod
    def _https_unless_loopback(cls, value: str) -> str:
        return _checked_url(value).rstrip("/") if value else value


class PolicySettings(BaseModel):
    """Where policies are read from, and how often the files are looked at besides being watched."""

    model_config = _STRICT
    paths: tuple[str, ...] = Field(default=(), description="Directories; none: `policies` in the home.")
    allow_empty: bool = False
    poll_s: Annotated[float, Field(gt=0)] = 5.0


class RecordSettings(BaseModel):
    """How records are kept. `queue` bounds what waits for the store; `when_full` says what happens while it takes none."""

    model_config = _STRICT
    queue: Annotated[int, Field(ge=64)] = 65536
    when_full: Literal["refuse", "serve"] = Field(
        default="refuse",
        description="`refuse` new requests with 503, or `serve` them without records and count what is lost (`drop` is its old name).",
    )
    allow_full: bool = Field(default=False, description="Let `record: {bodies: full}` keep whole bodies, encrypted.")
    body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024

    @field_validator("when_full", mode="before")
    @classmethod
    def _old_name(cls, value: object) -> object:
        return "serve" if value == "drop" else value


class LogSettings(BaseModel):
    """The program log on standard error."""

    model_config = _STRICT
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class PricingSettings(BaseModel):
    """What a token costs where the price table does not know the model: micro-USD per million tokens."""

    model_config = _STRICT
    default_input_microusd_per_mtok: Annotated[int, Field(ge=0)] = 5_000_000
    default_output_microusd_per_mtok: Annotated[int, Field(ge=0)] = 15_000_000


class Settings(BaseModel):
    """All settings of one home."""

    model_config = _STRICT
    listen: ListenSettings = ListenSettings()
    limits: LimitSettings = LimitSettings()
    auth: AuthSettings = AuthSettings()
    providers: dict[str, ProviderSettings] = {}
    policies: PolicySettings = PolicySettings()
    record: RecordSettings = RecordSettings()
    credentials: CredentialSettings = CredentialSettings()
    ledger: LedgerSettings = LedgerSettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()
    pricing: PricingSettings = PricingSettings()
    store: str = Field(default="", description="`sqlite:///PATH`; empty: `llmcp.db` in the home.")
    counters: Literal["memory:"] = "memory:"


def is_loopback(host: str) -> bool:
    """Tell whether `host` (name or address, no port, no brackets) is this machine's loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _checked_url(value: str, *, query: bool = False) -> str:
    """Return `value`, an absolute http(s) URL without credentials. Raises: ValueError."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = "must be an absolute http(s) URL"
        raise ValueError(msg)
    if parts.username or parts.password or (parts.query and not query) or parts.fragment:
        msg = "must not carry credentials, a query or a fragment"
        raise ValueError(msg)
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        msg = "must be https unless the host is loopback"
        raise ValueError(msg)
    return value
