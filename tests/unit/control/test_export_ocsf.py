"""Rules of `llmcp.control.export_ocsf`, held against what the schema's class API Activity (1.3.0) asks for."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcp.control.export import ExportFormat, export
from llmcp.core.records import DecisionRecord, Facts, GenAi, Outcome, Rule, Upstream, canonical
from record_strategies import CONTROLS, DECISIONS, STRANGE, document

# Of schema.ocsf.io/1.3.0: required attributes, sets of which at least one is required, and enumerations.
REQUIRED = {
    "": "activity_id category_uid class_uid metadata severity_id time type_uid actor api src_endpoint",
    "metadata": "product version",
    "metadata.product": "vendor_name",
    "api": "operation",
    "http_response": "code",
}
AT_LEAST_ONE = {
    "actor": "process user invoked_by session app_name app_uid",
    "actor.user": "account name uid",
    "src_endpoint": "ip uid name hostname svc_name instance_uid interface_uid interface_name domain",
    "dst_endpoint": "ip uid name hostname svc_name instance_uid interface_uid interface_name domain",
    "policy": "name uid",
}
ENUMS = {
    "activity_id": {0, 1, 2, 3, 4, 99},
    "severity_id": {0, 1, 2, 3, 4, 5, 6, 99},
    "status_id": {0, 1, 2, 99},
    "action_id": {0, 1, 2, 99},
    "disposition_id": {*range(28), 99},
}
ATTRIBUTES = set(
    "activity_id activity_name category_uid category_name class_uid class_name type_uid type_name severity_id severity status_id "  # noqa: SIM905
    "status status_detail action_id action disposition_id disposition time metadata actor api src_endpoint message duration "
    "http_request http_response dst_endpoint resources authorizations policy unmapped".split()
)


def events(records: list[bytes], stream: str = "decision") -> list[dict[str, Any]]:
    """Return the events of an export."""
    sink = io.BytesIO()
    export(records, ExportFormat.OCSF, sink, stream=stream, version="1.2.3", progress=lambda _: None)
    return [json.loads(line) for line in sink.getvalue().decode().split("\n") if line]


def part(event: dict[str, Any], path: str) -> Any:
    """Return what stands at a path."""
    value: Any = event
    for name in path.split(".") if path else ():
        value = value.get(name) if value is not None else None
    return value


def check(event: dict[str, Any]) -> None:
    """Hold an event against the schema."""
    assert set(event) <= ATTRIBUTES
    for path, names in REQUIRED.items():
        inner = part(event, path)
        if path in {"", "metadata", "metadata.product", "api"}:
            assert inner is not None, path
        if inner is not None:
            assert not [name for name in names.split() if name not in inner], path
    for path, names in AT_LEAST_ONE.items():
        inner = part(event, path)
        if path in {"actor", "actor.user", "src_endpoint"}:
            assert inner is not None, path
        if inner is not None:
            assert [name for name in names.split() if inner.get(name)], path
    for name, allowed in ENUMS.items():
        assert event[name] in allowed, name
    assert event["class_uid"] == 6003
    assert event["category_uid"] == 6
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert isinstance(event["time"], int)
    assert event["metadata"]["version"] == "1.3.0"


@given(st.lists(DECISIONS, max_size=3))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_decision_is_an_event_of_its_class(records: list[bytes]) -> None:
    """With all that the class requires, whatever the record lacks."""
    for event, record in zip(events(records), map(document, records), strict=True):
        check(event)
        assert event["metadata"]["uid"] == record["id"]
        assert event["status_detail"] == record["outcome"]


@given(st.lists(CONTROLS, max_size=3))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_change_is_an_event_of_its_class(records: list[bytes]) -> None:
    """Create, read, update and delete are what they are called."""
    expected = {"token.create": 1, "token.list": 2, "key.rotate": 3, "org.remove": 4, "audit.prune": 4, "x": 99}
    for event, record in zip(events(records, "control"), map(document, records), strict=True):
        check(event)
        assert event["activity_id"] == expected[record["action"]]
        assert event.get("unmapped", {}).get("detail", {}) == {key: value for key, value in record["detail"].items() if value}


@given(STRANGE)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_record_of_another_version_is_an_event_too(record: dict[str, Any]) -> None:
    """And what the mapping does not know is unmapped."""
    (event,) = events([json.dumps(record).encode()])
    check(event)
    if record.get("later") and not isinstance(record["later"], dict):
        assert event["unmapped"]["later"] == record["later"]


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value] if value else []


@given(DECISIONS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_value_of_a_record_is_lost(record: bytes) -> None:
    """Each is somewhere in the event; but for the neutral ones, and version and time, which are said otherwise."""
    (event,) = events([record])
    there = json.dumps(_leaves(event), ensure_ascii=False)
    for leaf in _leaves({name: value for name, value in document(record).items() if name not in {"v", "action"}}):
        assert json.dumps(leaf, ensure_ascii=False).strip('"') in there


@pytest.mark.parametrize(
    ("outcome", "action", "disposition", "status", "severity"),
    [
        ("allowed", 1, 1, 1, 1),
        ("cached", 1, 1, 1, 1),
        ("edited", 1, 11, 1, 2),
        ("redacted", 1, 11, 1, 2),
        ("held", 2, 14, 2, 2),
        ("denied", 2, 2, 2, 3),
        ("cut", 2, 6, 2, 3),
        ("error", 0, 99, 2, 3),
    ],
)
def test_each_outcome_has_its_action_disposition_status_and_severity(
    outcome: str, action: int, disposition: int, status: int, severity: int
) -> None:
    """All of the closed list."""
    (event,) = events([canonical(DecisionRecord(id="1", time="2026-01-01T00:00:00.000000Z", outcome=Outcome(outcome)))])
    found = (event["action_id"], event["disposition_id"], event["status_id"], event["severity_id"])
    assert found == (action, disposition, status, severity)


def test_a_refused_request_says_who_what_and_why() -> None:
    """One event, whole."""
    record = DecisionRecord(
        id="r1", decision_id="d1", seq=7, time="2026-01-01T00:00:00.000001Z", org="acme", app="billing", user="u-1", groups=("eng",),
        key_id="t_1", session="s1", operation="chat", outcome="denied", labels={"team": "red"}, latency_ms=3, revision="abc",
        rules=(Rule("deny", "no-shell", "enforce", "agents"),), gen_ai=GenAi(provider="openai", request_model="gpt-4o"),
        facts=Facts(client_ip="10.0.0.1", client_user_agent="sdk/1"), upstream=Upstream(0, 0),
    )  # fmt: skip
    (event,) = events([canonical(record)])
    assert event["time"] == 1_767_225_600_000
    assert event["actor"] == {
        "user": {
            "name": "u-1",
            "type_id": 1,
            "type": "User",
            "org": {"name": "acme"},
            "groups": [{"name": "eng"}],
            "credential_uid": "t_1",
        },
        "app_name": "billing",
        "session": {"uid": "s1"},
    }
    assert event["api"] == {"operation": "chat", "service": {"name": "openai"}, "request": {"uid": "d1"}}
    assert event["src_endpoint"] == {"ip": "10.0.0.1"}
    assert event["http_request"] == {"user_agent": "sdk/1"}
    assert event["policy"] == {"name": "agents"}
    assert event["authorizations"] == [
        {"decision": "deny", "policy": {"name": "agents", "uid": "agents/no-shell", "group": "enforce"}}
    ]
    assert event["message"] == "denied: chat openai/gpt-4o"
    assert event["metadata"]["sequence"] == 7
    assert event["metadata"]["labels"] == ["team=red"]
    assert event["unmapped"] == {"revision": "abc", "gen_ai": {"usage_source": "none"}}
