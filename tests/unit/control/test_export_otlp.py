"""Rules of `llmcp.control.export_otlp`, parsed back by OpenTelemetry's own protobuf classes."""

from __future__ import annotations

import io
from typing import Any

from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData

from llmcp.control.export import ExportFormat, export
from llmcp.control.export_parts import microseconds
from llmcp.core.records import DecisionRecord, Facts, GenAi, Rule, Upstream, WouldBe, canonical
from record_strategies import CONTROLS, DECISIONS, document

TIME = "2026-01-01T00:00:00.000001Z"


def parsed(records: list[bytes], stream: str = "decision") -> list[LogsData]:
    """Return the lines of an export as protobuf messages; an unknown or wrong member raises."""
    sink = io.BytesIO()
    export(records, ExportFormat.OTLP, sink, stream=stream, version="1.2.3", progress=lambda _: None)
    lines = sink.getvalue().decode().split("\n")[:-1]
    for line in lines:
        json_format.Parse(line, ExportLogsServiceRequest())
    return [json_format.Parse(line, LogsData()) for line in lines]


def logs_of(records: list[bytes], stream: str = "decision") -> list[Any]:
    """Return all log records."""
    return [log for data in parsed(records, stream) for log in data.resource_logs[0].scope_logs[0].log_records]


def value_of(value: Any) -> Any:
    """Return an `AnyValue` as a plain value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: value_of(item.value) for item in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def attributes(log: Any) -> dict[str, Any]:
    """Return a log record's attributes, whose names are there once."""
    names = [item.key for item in log.attributes]
    assert len(names) == len(set(names))
    return {item.key: value_of(item.value) for item in log.attributes}


@given(st.lists(DECISIONS, max_size=4))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_a_request_of_the_protocol(records: list[bytes]) -> None:
    """And says what the records say."""
    logs = logs_of(records)
    assert len(logs) == len(records)
    for log, record in zip(logs, map(document, records), strict=True):
        said = attributes(log)
        assert log.event_name == "llmcp.decision"
        assert log.time_unix_nano == microseconds(record) * 1000
        assert said.get("gen_ai.request.model", "") == record["gen_ai"]["request_model"]
        assert said.get("user.id", "") == record["user"]
        assert said.get("llmcp.seq", 0) == record["seq"]
        assert said.get("llmcp.groups", []) == record["groups"]
        assert said.get("llmcp.findings", []) == record["findings"]
        assert said.get("llmcp.rules", []) == record["rules"]
        if record["gen_ai"]["usage_source"] != "none":
            assert said["gen_ai.usage.input_tokens"] == record["gen_ai"]["input_tokens"]
        else:
            assert said.get("gen_ai.usage.input_tokens") is None


@given(st.lists(CONTROLS, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_change_is_an_event_of_its_own(records: list[bytes]) -> None:
    """With what was done, by whom and to what."""
    for log, record in zip(logs_of(records, "control"), map(document, records), strict=True):
        said = attributes(log)
        assert log.event_name == "llmcp.control"
        assert said["llmcp.action"] == record["action"]
        assert said.get("llmcp.actor", "") == record["actor"]
        assert log.severity_number == (17 if record["outcome"] == "failed" else 9)


def test_names_are_those_of_the_semantic_conventions() -> None:
    """One record, whole: what a collector's pipelines look for."""
    record = DecisionRecord(
        id="r1", decision_id="d1", time=TIME, operation="chat", user="u", session="s", agent="claude-code", error_type="timeout",
        gen_ai=GenAi(
            provider="bedrock", request_model="m", response_model="m-1", input_tokens=10, output_tokens=0, cached_tokens=4,
            cache_write_tokens=2, reasoning_tokens=1, usage_source="provider", finish_reasons=("stop",),
        ),
        facts=Facts(client_ip="127.0.0.1", client_user_agent="x/1", has_max_tokens=True, max_tokens=100, temperature="0"),
        upstream=Upstream(2, 200), labels={"team": "red"},
    )  # fmt: skip
    (log,) = logs_of([canonical(record)])
    said = attributes(log)
    expected = {
        "log.record.uid": "r1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-1",
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 0,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.conversation.id": "s",
        "gen_ai.agent.name": "claude-code",
        "error.type": "timeout",
        "user.id": "u",
        "client.address": "127.0.0.1",
        "user_agent.original": "x/1",
        "http.response.status_code": 200,
        "llmcp.decision_id": "d1",
        "llmcp.gen_ai.reasoning_tokens": 1,
        "llmcp.labels.team": "red",
        "llmcp.upstream.attempts": 2,
        "llmcp.org": "default",
    }
    assert {name: said.get(name) for name in expected} == expected
    assert log.time_unix_nano == 1_767_225_600_000_001_000
    resource = parsed([canonical(record)])[0].resource_logs[0].resource
    assert {item.key: item.value.string_value for item in resource.attributes} == {
        "service.name": "llmcp",
        "service.version": "1.2.3",
    }


def test_severity_says_what_needs_a_look() -> None:
    """Refusals and edits warn, failures are errors, a rule in `warn` mode shows."""
    rule = Rule("deny", "r", "audit", "p")
    records = [
        DecisionRecord(id="1", time=TIME),
        DecisionRecord(id="2", time=TIME, outcome="denied", rules=(Rule("deny", "r", "enforce", "p"),)),
        DecisionRecord(id="3", time=TIME, outcome="error"),
        DecisionRecord(id="4", time=TIME, would_be=WouldBe((rule,), "deny")),
        DecisionRecord(id="5", time=TIME, warnings=("p/r",)),
    ]
    logs = logs_of([canonical(record) for record in records])
    assert [log.severity_number for log in logs] == [9, 13, 17, 13, 13]
    assert logs[1].body.string_value == "denied:  /no model by p/r"


def test_lines_hold_a_batch_each() -> None:
    """So that a line can be sent as it is."""
    record = canonical(DecisionRecord(id="1", time=TIME))
    assert [len(data.resource_logs[0].scope_logs[0].log_records) for data in parsed([record] * 1100)] == [512, 512, 76]
