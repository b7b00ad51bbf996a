"""A recorded exchange becomes what the gateway is sent and what its record must say: the conversions of `benchmarks/traffic.py`."""

from __future__ import annotations

import base64
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from types import ModuleType

_FILE = Path(__file__).resolve().parents[3] / "benchmarks" / "traffic.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_traffic", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


traffic = _load()
tokens = st.integers(min_value=0, max_value=10**6)


def recording(body: str = "{}", *, provider: str = "openai", api: str = "chat.completions", **expect: Any) -> dict[str, Any]:
    """Return a recording whose reader read `expect`, and nothing else."""
    read = {
        "model": None, "input_tokens": None, "output_tokens": None, "total_tokens": None, "cache_read_tokens": None,
        "cache_write_tokens": None, "reasoning_tokens": None, "finish_reasons": [], "tool_names": [], "error": None, "usage_raw": None,
    }  # fmt: skip
    return {
        "id": "r", "provider": provider, "api": api, "method": "POST", "url": "https://h/v1/x", "status": 200, "stream": False,
        "response_body": body, "expect": read | expect,
    }  # fmt: skip


def record(**gen_ai: Any) -> dict[str, Any]:
    """Return a record with this model side."""
    return {"gen_ai": {"usage_source": "provider", **gen_ai}}


@given(tokens, tokens, tokens)
def test_input_of_anthropics_form_is_the_total_with_cache_reads_and_writes(plain: int, reads: int, writes: int) -> None:
    """Anthropic and Converse report the three parts side by side; the record holds their sum."""
    for provider, api in (("anthropic", "messages"), ("bedrock", "converse")):
        raw = recording(provider=provider, api=api, input_tokens=plain, cache_read_tokens=reads, cache_write_tokens=writes)
        assert traffic.expected_input(raw) == plain + reads + writes


@given(tokens, tokens)
def test_input_of_openais_form_is_taken_as_it_is(plain: int, reads: int) -> None:
    """OpenAI counts cached tokens within the prompt: nothing is added."""
    assert traffic.expected_input(recording(input_tokens=plain, cache_read_tokens=reads)) == plain


def test_geminis_tokens_of_tool_results_are_input() -> None:
    """`toolUsePromptTokenCount` stands beside the prompt's count and is added."""
    raw = recording(provider="gemini", api="generateContent", input_tokens=10, usage_raw={"toolUsePromptTokenCount": 7})
    assert traffic.expected_input(raw) == 17


def test_what_nobody_counted_stays_unknown() -> None:
    """No count is None, not zero: zero would be a claim."""
    assert traffic.expected_input(recording()) is None
    assert traffic.expected_output(recording()) is None


def test_geminis_thoughts_are_output() -> None:
    """`thoughtsTokenCount` stands beside the candidates' count and is added."""
    raw = recording(provider="gemini", output_tokens=5, usage_raw={"thoughtsTokenCount": 40})
    assert traffic.expected_output(raw) == 45


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_more_reasoning_than_output_was_counted_outside_it(output: int, more: int) -> None:
    """A part cannot be larger than the whole: reasoning above the output stands beside it, whatever the total says."""
    raw = recording(input_tokens=28, output_tokens=output, reasoning_tokens=output + more, total_tokens=28 + output)
    assert traffic.expected_output(raw) == 2 * output + more


@given(tokens, st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_total_that_adds_reasoning_says_that_it_was_outside(given_: int, output: int, reasoning: int) -> None:
    """Where input, output and reasoning add up to the total, reasoning is no part of output."""
    raw = recording(
        input_tokens=given_, output_tokens=output, reasoning_tokens=reasoning, total_tokens=given_ + output + reasoning
    )
    assert traffic.expected_output(raw) == output + reasoning


@given(tokens, st.integers(1, 10**6), st.data())
def test_reasoning_within_the_output_is_not_added(given_: int, output: int, data: st.DataObject) -> None:
    """The usual form: output includes reasoning, and the total is input plus output."""
    reasoning = data.draw(st.integers(0, output))
    raw = recording(input_tokens=given_, output_tokens=output, reasoning_tokens=reasoning, total_tokens=given_ + output)
    assert traffic.expected_output(raw) == output


@pytest.mark.parametrize(
    ("provider", "name", "expected"),
    [
        ("gemini", "models/gemini-2.0-flash", "gemini-2.0-flash"),
        ("vertex", "projects/p/locations/l/publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("openrouter", "google/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("bedrock", "arn%3Aaws%3Amodels", "arn:aws:models"),
    ],
)
def test_a_google_resource_path_names_its_last_part(provider: str, name: str, expected: str) -> None:
    """Google's bodies name a model by its path; elsewhere a slash belongs to the name."""
    assert traffic.expected_model(recording(provider=provider, request_model=name)) == expected


def test_equal_readings_differ_in_nothing() -> None:
    """What both read alike is agreement."""
    raw = recording(request_model="m", model="m-1", input_tokens=1, output_tokens=2, finish_reasons=["stop"], tool_names=["f"])
    said = record(request_model="m", response_model="m-1", input_tokens=1, output_tokens=2, finish_reasons=["stop"], tools=["f"])
    assert traffic.differences(raw, said) == []


def test_a_reading_that_stands_in_the_bytes_reads_more() -> None:
    """The reader said nothing, the response has it: that is more, not wrong."""
    raw = recording('{"prompt_tokens": 27, "finish": "COMPLETE"}')
    found = traffic.differences(raw, record(input_tokens=27, output_tokens=0, finish_reasons=["COMPLETE"]))
    assert [(d.field, d.more) for d in found] == [("input_tokens", True), ("finish_reasons", True)]


def test_a_reading_that_stands_nowhere_disagrees() -> None:
    """An invented count or word is a disagreement even where the reader was silent."""
    found = traffic.differences(
        recording('{"prompt_tokens": 270, "finish": "INCOMPLETE"}'), record(input_tokens=27, finish_reasons=["COMPLETE"])
    )
    assert [(d.field, d.more) for d in found] == [("input_tokens", False), ("finish_reasons", False)]


def test_a_reading_against_the_readers_disagrees() -> None:
    """Where both say something it must be the same."""
    found = traffic.differences(recording('{"a": 27}', input_tokens=26), record(input_tokens=27))
    assert [(d.field, d.expected, d.recorded, d.more) for d in found] == [("input_tokens", 26, 27, False)]


def test_a_missing_reading_disagrees() -> None:
    """What the reader read must stand in the record."""
    found = traffic.differences(recording(tool_names=["f"], finish_reasons=["stop"]), record())
    assert {d.field for d in found if not d.more} == {"finish_reasons", "tools"}


def test_an_estimate_answers_for_a_count_that_nobody_made() -> None:
    """A record may estimate where the provider counted nothing, if it says so; without that word it is an invention."""
    said = record(input_tokens=12, output_tokens=3)
    assert {d.field for d in traffic.differences(recording(), said)} == {"input_tokens", "output_tokens"}
    said["gen_ai"]["usage_source"] = "estimated"
    assert traffic.differences(recording(), said) == []


def test_an_error_must_be_there_and_bear_its_name() -> None:
    """An error that one of the two does not have is a disagreement, and so is another name for it."""
    raw = recording(error={"type": "rate_limit_error", "code": None, "message": "…"})
    assert [d.field for d in traffic.differences(raw, record())] == ["error"]
    assert [d.field for d in traffic.differences(raw, record() | {"error_type": "500"})] == ["error_type"]
    assert traffic.differences(raw, record() | {"error_type": "rate_limit_error"}) == []


def test_words_inside_an_encoded_event_stand_in_the_bytes() -> None:
    """Bedrock's invoke streams carry JSON in base64 inside JSON."""
    inner = base64.b64encode(b'{"stop_reason":"stop_sequence"}').decode()
    assert traffic.stands_in_body(recording(f'xx{{"bytes":"{inner}"}}yy'), ["stop_sequence"])


def test_a_call_item_names_its_tool_by_type() -> None:
    """The Responses API has `shell_call` items without a name: the tool is `shell`."""
    assert traffic.stands_in_body(recording('{"type": "shell_call"}'), ["shell"])


@pytest.mark.parametrize(
    ("provider", "url", "target"),
    [
        ("openai", "https://api.openai.com/v1/chat/completions", "/openai/v1/chat/completions"),
        ("gemini", "https://g/v1beta/models/m:generateContent?alt=sse&key=k", "/gemini/v1beta/models/m:generateContent?alt=sse"),
        ("azure", "https://My-Res.openai.azure.com/openai/v1/responses?api-version=1", "/azure/my-res/openai/v1/responses?api-version=1"),
        ("groq", "https://api.groq.com/openai/v1/chat/completions", "/groq/v1/chat/completions"),
        ("zai", "https://api.z.ai/api/paas/v4/chat/completions", "/zai/v1/chat/completions"),
        ("zai", "https://api.z.ai/api/coding/paas/v4/chat/completions", "/zai/api/coding/paas/v4/chat/completions"),
        ("deepseek", "https://api.deepseek.com/chat/completions", "/deepseek/chat/completions"),
        ("openai-codex", "https://chatgpt.com/backend-api/codex/responses", "/codex/v1/responses"),
        ("ollama", "http://localhost:11434/api/chat", "/ollama/api/chat"),
        ("vertex", "https://v/v1/projects/<P>/x", "/vertex/v1/projects/%3CP%3E/x"),
    ],
)  # fmt: skip
def test_a_recorded_url_has_its_place_on_the_gateway(provider: str, url: str, target: str) -> None:
    """Prefix and path of each provider, keys in the query left out."""
    assert traffic.target(provider, url) == target


def test_paths_compare_whatever_their_escapes() -> None:
    """A placeholder that had to be escaped on the way is the recorded path all the same."""
    raw = recording() | {"url": "https://v/v1/projects/<P>/x?alt=sse&key=k"}
    assert traffic.expected_path(raw) == traffic.forwarded_path("/v1/projects/%3CP%3E/x?alt=sse") == "/v1/projects/<P>/x?alt=sse"


def test_rewritten_line_ends_are_expected_of_streams_only() -> None:
    """Under `crlf` the upstream rewrites the line ends of streams; a whole body stays."""
    for stream, body in ((True, b"a\r\nb\r\n"), (False, b"a\nb\r\n")):
        raw = recording("a\nb\r\n") | {"stream": stream}
        assert traffic.Exchange(raw, "POST", "/", (), b"").response_body("crlf") == body


def test_only_binary_streams_are_damaged_by_rewritten_line_ends() -> None:
    """Line ends are text; in a binary event stream the rewrite breaks frames, unless it changes nothing."""
    text = recording("a\n") | {"stream": True, "response_headers": {"content-type": "text/event-stream"}}
    binary = text | {"response_headers": {"content-type": "application/vnd.amazon.eventstream"}}
    damaged = [
        traffic.Exchange(raw, "POST", "/", (), b"").damaged("crlf") for raw in (text, binary, binary | {"response_body": "a"})
    ]
    assert damaged == [False, True, False]
    assert not traffic.Exchange(binary, "POST", "/", (), b"").damaged("byte")
