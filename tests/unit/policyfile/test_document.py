"""Strict YAML: each slip has its own code, place and hint, and no bytes make the reader raise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcp.core.policy import Severity
from llmcp.policyfile.codes import CODES
from llmcp.policyfile.document import MAX_BYTES, Source, read_document
from llmcp.policyfile.parse import parse_policy
from llmcp.policyfile.testcases import plain
from llmcp.vocabulary import build_vocabulary

VOCABULARY = build_vocabulary({"openai"})
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def read(data: Any) -> Any:
    """Return the plain document and (code, line, column) of each problem."""
    source = Source("f.yaml")
    root = read_document(data, source)
    return (None if root is None else plain(root)), [(p.code, p.line, p.column) for p in source.problems]


SLIPS = [
    (b"", "P003", 1, 1),
    (b"# only a comment\n", "P003", 1, 1),
    (b"---\n", "P003", 1, 1),
    (b"a: \xff\n", "P001", 1, 4),
    (b"a: 1\nb: \xc3\n", "P001", 2, 4),
    (b"models: [*]\n", "P006", 1, 10),
    (b"models: [*all]\n", "P006", 1, 10),
    (b'when: !flags["x"]\n', "P008", 1, 7),
    (b"when: !request.stream\n", "P008", 1, 7),
    (b"a: !!str 1\n", "P008", 1, 4),
    (b"a: &x 1\n", "P005", 1, 4),
    (b"a: [&]\n", "P005", 1, 5),
    (b"<<: {a: 1}\n", "P007", 1, 1),
    (b"%YAML 1.1\n---\na: 1\n", "P009", 1, 1),
    (b"%TAG ! x:\n---\na: 1\n", "P009", 1, 1),
    (b"a: 1\n---\nb: 2\n", "P004", 2, 1),
    (b"a: 1\na: 2\n", "P010", 2, 1),
    (b"a: {b: 1, b: 2}\n", "P010", 1, 11),
    (b"a:\n\tb: 1\n", "P011", 2, 1),
    (b"a: .inf\n", "P012", 1, 4),
    (b"a: [1, -.Inf]\n", "P012", 1, 8),
    (b"a: .NaN\n", "P012", 1, 4),
    (b"a: 1e999\n", "P012", 1, 4),
    (b"a: 1_000\n", "P013", 1, 4),
    (b"a: 010\n", "P014", 1, 4),
    (b"a: 'x\n", "P002", 2, 1),
    (b"a: [1, 2\n", "P002", 2, 1),
    (b"1: a\n", "P017", 1, 1),
    (b"? [a]\n: b\n", "P017", 1, 3),
    (b"true: a\n", "P017", 1, 1),
    (b"\xef\xbb\xbfa: 1\n", "P018", 1, 1),
    (b"a: \x01\n", "P019", 1, 4),
    (b'a: "\\ud800"\n', "P019", 1, 4),
    (b"[" * 100, "P016", 1, 34),
    (b"a: [" + b"1," * 20_001 + b"]\n", "P016", 1, 39_999),
    (b"a" * (MAX_BYTES + 1), "P015", 1, 1),
]


@pytest.mark.parametrize(("data", "code", "line", "column"), SLIPS, ids=[f"{s[1]}-{i}" for i, s in enumerate(SLIPS)])
def test_each_slip_has_its_code_and_place(data: Any, code: str, line: int, column: int) -> None:
    """The first problem is the slip, where it stands."""
    assert read(data)[1][0] == (code, line, column)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-12-31", "2026-12-31"),
        ("12:30", "12:30"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("null", None),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("-1", -1),
        (".5", 0.5),
        ("1.", 1.0),
        ("+.inf.", "+.inf."),
        ("'1'", "1"),
        ('"a\\tb"', "a\tb"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    """No dates, no sexagesimals, no other booleans."""
    document, problems = read(f"a: {text}\n".encode())
    assert not problems
    assert document == {"a": value}
    assert type(document["a"]) is type(value)


def test_all_slips_of_a_file_are_told_in_one_run() -> None:
    """What does not spoil the syntax does not stop the reading."""
    data = b"a: &x 1\nb: *x\nc: !t 2\nd: .inf\nd: 1_0\n<<: {}\n"
    assert [code for code, _, _ in read(data)[1]] == ["P005", "P006", "P008", "P012", "P013", "P010", "P007"]


def test_every_code_that_is_given_is_explained() -> None:
    """The registry has a title, a hint and a paragraph for each."""
    for code, entry in CODES.items():
        assert code == entry.code
        assert entry.title
        assert entry.hint
        assert len(entry.text) > 20
    assert {slip[1] for slip in SLIPS} <= set(CODES)


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "apiVersion: llmcp.dev/v1\n", "kind: Policy\n", "metadata: {name: x}\n", "spec:\n", "  rules:\n", "    - id: a\n",
            "      deny: {}\n", "      when: ", "request.stream", "&a ", "*a", "!t ", "|\n", ">-\n", "'", '"', "[", "]", "{", "}", ":", "- ",
            "\t", "\n", "---\n", "%YAML 1.1\n", "<<: ", "? ", "#", "1_0", ".nan", "\ufeff", "\u2028", "\u0085", "\0", "  ", "x: ",
        ]
    ),
    max_size=25,
).map("".join)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        FRAGMENTS.map(lambda text: text.encode()),
        st.text(max_size=80).map(lambda t: t.encode("utf-8", "surrogatepass")),
    )
)
def test_no_bytes_make_the_reader_raise(data: Any) -> None:
    """Any bytes are a policy, or problems with places in the file; an error and a policy never come together."""
    parsed = parse_policy(data, "f.yaml", VOCABULARY, NOW)
    errors = [problem for problem in parsed.problems if problem.severity is Severity.ERROR]
    assert bool(errors) is (parsed.policy is None)
    for problem in parsed.problems:
        assert problem.code in CODES
        assert problem.hint
        assert 1 <= problem.line <= data.count(b"\n") + data.count(b"\r") + 3 + 3 * len(data)
        assert problem.column >= 1


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_sound_policy_with_a_piece_cut_out_never_raises(data: Any) -> None:
    """Half-written files are the commonest broken ones."""
    text = SOUND
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    parsed = parse_policy((text[:start] + text[end:]).encode(), "f.yaml", VOCABULARY, NOW)
    assert parsed.policy is not None or parsed.problems


SOUND = """apiVersion: llmcp.dev/v1
kind: Policy
metadata: {name: sound, title: A title, owners: [a]}
spec:
  mode: enforce
  onError: deny
  scope: {orgs: ["*"], models: ["gpt-*"]}
  params: {ceiling: 8192, names: [a, b]}
  rules:
    - id: cap
      match: {operations: [chat]}
      when: >-
        request.max_tokens >
        params.ceiling
      set: {max_tokens: 8192}
    - {id: no, when: 'request.model in params.names', deny: {message: no}}
  exceptions:
    - {id: EX, rules: [no], when: 'subject.org == "x"', expires: 2026-12-31, reason: r, approved_by: b}
  tests:
    - {name: t, input: {request: {model: gpt-4o}}, expect: {verdict: allow, rules: [cap]}}
"""


def test_a_sound_policy_is_read_whole() -> None:
    """Every part arrives."""
    parsed = parse_policy(SOUND.encode(), "f.yaml", VOCABULARY, NOW)
    assert parsed.problems == ()
    policy = parsed.policy
    assert (policy.name, policy.title, policy.owners) == ("sound", "A title", ("a",))
    assert dict(policy.params) == {"ceiling": 8192, "names": ("a", "b")}
    assert [rule.id for rule in policy.rules] == ["cap", "no"]
    assert policy.rules[0].when == "request.max_tokens > params.ceiling"
    assert policy.exceptions[0].expires.isoformat() == "2026-12-31"
    assert policy.tests[0].rules == ("cap",)
