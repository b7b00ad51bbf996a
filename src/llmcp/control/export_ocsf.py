"""Records as OCSF events: class API Activity (6003) of category Application Activity, one JSON object each.

Rules:
1. The schema is 1.3.0 with the profile `security_control`: what llmcp did stands in `action_id` and `disposition_id`.
2. All that the class requires is there for every record: an actor that is not known is `anonymous`, a source `unknown`.
3. A name of an enumeration stands beside its number. What the schema has no place for is under `unmapped`, by its own path, so
   that no value of a record is lost but the neutral ones.
Source: schema.ocsf.io/1.3.0/classes/api_activity.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmcp.control.export_parts import items_at, map_at, microseconds, number_at, paths, pruned, rules_at, text_at, without

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmcp.control.export_parts import Record

SCHEMA_VERSION: Final = "1.3.0"
CLASS_UID: Final = 6003
_OTHER: Final = 99
_ACTIVITIES: Final = ("Unknown", "Create", "Read", "Update", "Delete")
_SEVERITIES: Final = ("Unknown", "Informational", "Low", "Medium")
_ACTIONS: Final = ("Unknown", "Allowed", "Denied")
_VERBS: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("create", "add", "init", "backup"), 1),
        **dict.fromkeys(("list", "show", "get", "export", "test", "verify"), 2),
        **dict.fromkeys(("set", "rotate", "migrate", "restore", "update", "checkpoint"), 3),
        **dict.fromkeys(("remove", "delete", "revoke", "prune", "erase", "unset"), 4),
    }
)
# By outcome: action, disposition and its name, status, severity.
_OUTCOMES: Final[Mapping[str, tuple[int, int, str, int, int]]] = MappingProxyType(
    {
        "allowed": (1, 1, "Allowed", 1, 1),
        "cached": (1, 1, "Allowed", 1, 1),
        "edited": (1, 11, "Corrected", 1, 2),
        "redacted": (1, 11, "Corrected", 1, 2),
        "held": (2, 14, "Delayed", 2, 2),
        "denied": (2, 2, "Blocked", 2, 3),
        "cut": (2, 6, "Dropped", 2, 3),
        "error": (0, _OTHER, "error", 2, 3),
        "done": (1, 1, "Allowed", 1, 1),
    }
)
_MAPPED: Final = paths(
    *("v", "id", "seq", "time", "stream", "decision_id", "org", "app", "user", "groups", "session", "key_id", "labels"),
    *("action", "actor", "target", "operation", "outcome", "error_type", "latency_ms", "rules", "upstream.status"),
    *("facts.client_ip", "facts.client_user_agent", "gen_ai.provider", "gen_ai.request_model"),
)


def event(record: Record, version: str) -> dict[str, Any]:
    """Return one record as an event. `version` is llmcp's."""
    control = text_at(record, "stream") == "control"
    activity, activity_name = _activity(record, control=control)
    outcome = text_at(record, "outcome")
    action, disposition, disposition_name, status, severity = _OUTCOMES.get(outcome, (0, _OTHER, outcome, 0, 0))
    return {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": CLASS_UID,
        "class_name": "API Activity",
        "type_uid": CLASS_UID * 100 + activity,
        "type_name": f"API Activity: {activity_name if activity != _OTHER else 'Other'}",
        "severity_id": severity,
        "severity": _SEVERITIES[severity],
        "status_id": status,
        "status": ("Unknown", "Success", "Failure")[status],
        "status_detail": outcome,
        "action_id": action,
        "action": _ACTIONS[action],
        "disposition_id": disposition,
        "disposition": disposition_name,
        "time": microseconds(record) // 1000,
        "metadata": _metadata(record, version),
        "actor": _control_actor(record) if control else _actor(record),
        "api": _api(record, control=control),
        "src_endpoint": _source(record, control=control),
        **(_change(record) if control else _exchange(record)),
        **pruned({"unmapped": without(record, _MAPPED)}),
    }


def _activity(record: Record, *, control: bool) -> tuple[int, str]:
    """Return the activity: what a model does is none of the four that the class knows."""
    operation = text_at(record, "operation")
    known = (
        _VERBS.get(text_at(record, "action").rpartition(".")[2], _OTHER) if control else 2 if operation == "models" else _OTHER
    )
    if known != _OTHER:
        return known, _ACTIVITIES[known]
    return _OTHER, (text_at(record, "action") if control else operation) or "other"


def _metadata(record: Record, version: str) -> dict[str, Any]:
    named = pruned(
        {
            "log_name": text_at(record, "stream"),
            "correlation_uid": text_at(record, "decision_id"),
            "tenant_uid": text_at(record, "org"),
            "sequence": number_at(record, "seq"),
            "labels": [f"{key}={value}" for key, value in sorted(map_at(record, "labels").items())],
        }
    )
    return {
        "version": SCHEMA_VERSION,
        "product": {"name": "llmcp", "vendor_name": "llmcp", "version": version},
        "profiles": ["security_control"],
        "uid": text_at(record, "id"),
        "original_time": text_at(record, "time"),
        **named,
    }


def _actor(record: Record) -> dict[str, Any]:
    name = text_at(record, "user")
    user = pruned(
        {
            "org": {"name": text_at(record, "org")},
            "groups": [{"name": group} for group in items_at(record, "groups")],
            "credential_uid": text_at(record, "key_id"),
        }
    )
    known = {"name": name, "type_id": 1, "type": "User"} if name else {"name": "anonymous", "type_id": 0, "type": "Unknown"}
    rest = pruned({"app_name": text_at(record, "app"), "session": {"uid": text_at(record, "session")}})
    return {"user": {**known, **user}, **rest}


def _control_actor(record: Record) -> dict[str, Any]:
    return {"user": {"name": text_at(record, "actor") or "anonymous", "type_id": 2, "type": "Admin"}}


def _api(record: Record, *, control: bool) -> dict[str, Any]:
    operation = text_at(record, "action") if control else text_at(record, "operation")
    said = pruned(
        {
            "service": {"name": "llmcp" if control else text_at(record, "gen_ai", "provider")},
            "request": {"uid": text_at(record, "id" if control else "decision_id")},
            "response": {"code": number_at(record, "upstream", "status"), "error": text_at(record, "error_type")},
        }
    )
    return {"operation": operation or "other", **said}


def _source(record: Record, *, control: bool) -> dict[str, Any]:
    address = text_at(record, "facts", "client_ip")
    return {"ip": address} if address else {"name": "localhost" if control else "unknown"}


def _exchange(record: Record) -> dict[str, Any]:
    status = number_at(record, "upstream", "status")
    provider, model = text_at(record, "gen_ai", "provider"), text_at(record, "gen_ai", "request_model")
    rules = rules_at(record)
    said = pruned(
        {
            "duration": number_at(record, "latency_ms"),
            "http_request": {"user_agent": text_at(record, "facts", "client_user_agent")},
            "http_response": {"code": status} if status else {},
            "dst_endpoint": {"svc_name": provider},
            "resources": [{"name": model, "type": "model"}] if model else [],
            "authorizations": [_authorization(rule) for rule in rules],
            "policy": {"name": str(rules[0].get("policy", ""))} if rules else {},
        }
    )
    model = model or "no model"
    return {"message": f"{text_at(record, 'outcome')}: {text_at(record, 'operation')} {provider}/{model}", **said}


def _authorization(rule: Mapping[str, Any]) -> dict[str, Any]:
    policy = {"name": str(rule.get("policy", "")), "uid": f"{rule.get('policy', '')}/{rule.get('id', '')}"}
    if rule.get("mode"):
        policy["group"] = str(rule["mode"])
    return {"decision": str(rule.get("effect", "")), "policy": policy}


def _change(record: Record) -> dict[str, Any]:
    action, target = text_at(record, "action"), text_at(record, "target")
    resources = {"resources": [{"name": target, "type": action.partition(".")[0]}]} if target else {}
    return {"message": f"{text_at(record, 'actor')}: {action} {target}".rstrip(), **resources}
