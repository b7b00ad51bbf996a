"""Records as OpenTelemetry log records: OTLP/JSON, attributes named by the GenAI semantic conventions where they have a name.

Rules:
1. One line is one `ExportLogsServiceRequest` with one resource and one scope; 64-bit numbers are text, as the protobuf JSON
   mapping has them.
2. A decision is event `llmcp.decision`, a change `llmcp.control`. What the conventions have no name for is `llmcp.` and its path;
   a new key of a record so has its attribute by itself. Neutral values are left out, but for token counts that the provider gave.
3. Severity: 9 (info) what passed, 13 (warn) what was refused, changed or warned of, 17 (error) what failed.
Source: opentelemetry-proto logs.proto 1.x, semantic conventions `gen_ai.*` (registry, in development), `log.record.uid`.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmcp.control.export_parts import at, items_at, microseconds, number_at, paths, rules_at, text_at, without

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmcp.control.export_parts import Record

PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "azure": "azure.ai.openai",
        "bedrock": "aws.bedrock",
        "gemini": "gcp.gemini",
        "mistral": "mistral_ai",
        "vertex": "gcp.vertex_ai",
        "xai": "x_ai",
    }
)
"""The conventions' names of providers, where they are not ours."""

_NAMED: Final[Mapping[tuple[str, ...], str]] = MappingProxyType(
    {
        ("id",): "log.record.uid",
        ("operation",): "gen_ai.operation.name",
        ("gen_ai", "request_model"): "gen_ai.request.model",
        ("gen_ai", "response_model"): "gen_ai.response.model",
        ("session",): "gen_ai.conversation.id",
        ("agent",): "gen_ai.agent.name",
        ("error_type",): "error.type",
        ("user",): "user.id",
        ("facts", "client_ip"): "client.address",
        ("facts", "client_user_agent"): "user_agent.original",
        ("upstream", "status"): "http.response.status_code",
        ("gen_ai", "finish_reasons"): "gen_ai.response.finish_reasons",
    }
)
_COUNTS: Final[Mapping[tuple[str, ...], str]] = MappingProxyType(
    {
        ("gen_ai", "input_tokens"): "gen_ai.usage.input_tokens",
        ("gen_ai", "output_tokens"): "gen_ai.usage.output_tokens",
        ("gen_ai", "cached_tokens"): "gen_ai.usage.cache_read.input_tokens",
        ("gen_ai", "cache_write_tokens"): "gen_ai.usage.cache_creation.input_tokens",
    }
)
_MAPPED: Final = paths(
    *(".".join(path) for path in (*_NAMED, *_COUNTS)),
    *("gen_ai.provider", "facts.has_max_tokens", "facts.max_tokens", "facts.temperature", "time", "stream", "v"),
)
_SEVERITIES: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "error": (17, "ERROR"),
        "failed": (17, "ERROR"),
        **dict.fromkeys(("cut", "denied", "held", "redacted", "edited"), (13, "WARN")),
    }
)
_LATEST: Final = 2**64 - 1
_INFO: Final = (9, "INFO")
_WARN: Final = (13, "WARN")


def request(records: Sequence[Record], version: str) -> dict[str, Any]:
    """Return one export request. `version` is llmcp's."""
    resource = {"attributes": list(_key_values({"service.name": "llmcp", "service.version": version}))}
    scope = {"name": "llmcp.audit", "version": version}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": [*map(log_record, records)]}]}]}


def log_record(record: Record) -> dict[str, Any]:
    """Return one record as a log record."""
    nanoseconds = str(min(max(microseconds(record), 0) * 1000, _LATEST))
    number, text = _SEVERITIES.get(text_at(record, "outcome"), _INFO)
    if number < _WARN[0] and (items_at(record, "warnings") or text_at(record, "would_be", "verdict") == "deny"):
        number, text = _WARN
    return {
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": number,
        "severityText": text,
        "eventName": f"llmcp.{text_at(record, 'stream') or 'decision'}",
        "body": {"stringValue": _sentence(record)},
        "attributes": list(_key_values(_attributes(record))),
    }


def _attributes(record: Record) -> dict[str, Any]:
    provider = text_at(record, "gen_ai", "provider")
    said: dict[str, Any] = {name: at(record, *path) for path, name in _NAMED.items()}
    said["gen_ai.provider.name"] = PROVIDERS.get(provider, provider)
    if at(record, "facts", "has_max_tokens") is True:
        said["gen_ai.request.max_tokens"] = number_at(record, "facts", "max_tokens")
    said["gen_ai.request.temperature"] = _real(text_at(record, "facts", "temperature"))
    said = {name: value for name, value in said.items() if value or isinstance(value, float)}
    if text_at(record, "gen_ai", "usage_source") not in {"", "none"}:
        said |= {name: number_at(record, *path) for path, name in _COUNTS.items()}
    for name, value in without(record, _MAPPED).items():
        _flatten(f"llmcp.{name}", value, said)
    return said


def _flatten(name: str, value: Any, said: dict[str, Any]) -> None:  # noqa: ANN401 - a record's value
    if isinstance(value, dict):
        for inner, item in value.items():
            _flatten(f"{name}.{inner}", item, said)
    else:
        said[name] = value


def _real(text: str) -> float | None:
    """Read a temperature, which a record has as text; None where it is no number that JSON has."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _sentence(record: Record) -> str:
    if text_at(record, "stream") == "control":
        return f"{text_at(record, 'actor')}: {text_at(record, 'action')} {text_at(record, 'target')}".rstrip()
    model = text_at(record, "gen_ai", "request_model") or "no model"
    rules = " ".join(f"{rule.get('policy')}/{rule.get('id')}" for rule in rules_at(record))
    said = f"{text_at(record, 'outcome')}: {text_at(record, 'operation')} {text_at(record, 'gen_ai', 'provider')}/{model}"
    return f"{said} by {rules}" if rules else said


def _key_values(said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, value in said.items():
        yield {"key": name, "value": _any_value(value)}


def _any_value(value: Any) -> dict[str, Any]:  # noqa: ANN401 - a record's value
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": list(_key_values(value))}}
    return {"stringValue": str(value)}
