"""The condition language: what compiles, what is refused and where, and what evaluating gives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmcp.conditions.cel import CelCompiler
from llmcp.conditions.variables import ALL_LABELS, INT_MAX, TEXT_BOUND, VARIABLES, clean
from llmcp.core.decide import RequestView, ResponseView
from llmcp.core.messages import Channel, Operation, RequestFacts, Text
from llmcp.core.subject import ClientInfo, Subject
from policy_strategies import REQUEST_CONDITIONS, views

COMPILER = CelCompiler()
PARAMS = {"turns": 2, "zero": 0, "names": ("a", "b"), "quoted": 'it\'s "q"\n\u00e9', "big": 1e20, "broken": "^(a", "yes": True}


def view(**facts: Any) -> Any:
    """Return a request with these facts."""
    moment = datetime(2026, 6, 1, tzinfo=UTC)
    return RequestView(RequestFacts(**facts), "openai", Operation.CHAT, Subject(), ClientInfo("10.1.2.3"), {}, moment)


def compiled(source: str, params: Any = PARAMS) -> Any:
    """Compile a condition that must be sound."""
    condition = COMPILER.compile(source, params)
    assert not isinstance(condition, tuple), condition
    return condition


def outcome(source: str, asked: Any = None, response: Any = None) -> Any:
    """Evaluate a condition."""
    condition = compiled(source)
    return condition.test(COMPILER.binder(condition.reads)(asked or view(), response))


WRONG = [
    ('request.modl == "a"', "P202", 0, "request.model"),
    ('request.stream && reqest.model == "a"', "P202", 18, "request.model"),
    ('request.stream &&\n  reqest.model == "a"', "P202", 20, "request.model"),
    ('"\u00e9\U0001f600" == reqest.model', "P202", 8, "request.model"),
    ('request == "a"', "P202", 0, "request.model"),
    ("request.max_tokens > params.turn", "P214", 21, "params.turns"),
    ("request.temperature > 90", "P203", 20, "90.0"),
    ("request.max_tokens > 90.0", "P203", 19, "90.0"),
    ("request.model", "P209", 0, ""),
    ("has(request.model)", "P205", 3, ""),
    ("request.model.matches('(?=a)')", "P206", 22, ""),
    ("request.model.matches(params.broken)", "P206", 28, ""),
    ("request.model.matches('(a{50}){50}')", "P206", 22, ""),
    (r"request.model.matches(r'\pL{60}')", "P207", 22, ""),
    ("1 / 0 == 1 || request.stream", "P208", 2, ""),
    ("1 / params.zero == 1", "P208", 2, ""),
    ('timestamp("soon") < now', "P208", 9, ""),
    ("[0].exists(x, 1 / x > 2)", "P208", 10, ""),
    ("request.stream &&", "P201", 17, ""),
    ("request.stream & request.stream", "P201", 15, ""),
    ("request.stream\0 || true", "P201", 14, ""),
    ("", "P201", 0, ""),
    ("finding.kinds.size() > 0", "P204", 0, "detectors"),
    ('flags["x"]', "P204", 0, "flags"),
    ("spend.day_usd > 1.0", "P204", 0, "spend"),
    ("registry.known", "P204", 0, "registry"),
    ("request.model.startWith('a')", "P215", 14, "startsWith"),
    ("client.in_cidr('10.0.0.0/99')", "P213", 15, ""),
    ("client.in_cidr(request.model)", "P213", 22, ""),
    ('client == b"1"', "P202", 0, "client.ip"),
    ("(" * 40 + "true" + ")" * 40, "P212", 0, ""),
    ("request.turns" + " + 1" * 100 + " > 0", "P212", 0, ""),
    ("request.stream || " * 1000 + "true", "P212", 0, ""),
]


@pytest.mark.parametrize(("source", "code", "offset", "hint"), WRONG)
def test_a_wrong_condition_has_code_place_and_hint(source: str, code: str, offset: int, hint: str) -> None:
    """The offset points at the character in question."""
    problems = COMPILER.compile(source, PARAMS)
    assert isinstance(problems, tuple)
    assert (problems[0].code, problems[0].offset) == (code, offset)
    assert hint in problems[0].hint


def test_every_error_of_a_condition_is_told() -> None:
    """Not the first one only, and no errors that merely follow from others."""
    problems = COMPILER.compile('reqest.x == 1 && respose.y == 2 && finding.kinds.exists(k, k == "a")', {})
    assert [problem.code for problem in problems] == ["P202", "P202", "P204"]


@pytest.mark.parametrize(
    "source",
    [
        'request.labels[?"team"].orValue("") == ""',
        'request.labels.?team.orValue("none") == "none"',
        "has(request.labels.team) == false",
        '!("team" in request.labels)',
        "request.model in params.names == false",
        "params.quoted.contains('\"q\"') && params.quoted.endsWith('\u00e9')",
        "params.big > request.temperature && params.yes",
        ".params.turns == 2",
        "[1, 2].exists(params, params == 2)",
        'client.in_cidr("10.0.0.0/8") && client.in_cidr("::ffff:10.0.0.0/104") == false',
        "request.stream == false // a comment",
        "now.getFullYear() == 2026",
        f"request.max_tokens == {INT_MAX}",
    ],
)
def test_what_the_contract_shows_compiles_and_holds(source: str) -> None:
    """Optional access, maps, parameters of all types, networks, comments, neutral values."""
    assert outcome(source) is True


def test_every_variable_can_be_read() -> None:
    """A condition that compares the variable with itself holds over a view that says nothing."""
    for name in VARIABLES:
        if name != ALL_LABELS:
            assert (
                outcome(
                    f"{name} == {name}",
                    RequestView(RequestFacts(), "", Operation.OTHER, Subject(), ClientInfo(), {}, view().now),
                    ResponseView(),
                )
                is True
            )


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("1 / request.turns == 1", "division by zero"),
        ('request.labels["x"] == ""', "a map has no such key"),
        ('request.tools[300] == ""', "a list has no such index"),
        ("request.max_tokens + 1 > 0", "a number is out of range"),
        ("request.model.matches(request.text)", "a regular expression is not valid"),
        ("timestamp(request.text) > now", "a value cannot be converted"),
        (
            "request.tools.all(a, request.tools.all(b, request.tools.all(c, a == b || b == c || a != b)))",
            "too many iterations",
        ),
    ],
)
def test_a_condition_that_fails_says_why_without_the_value(source: str, why: str) -> None:
    """Reasons come from a closed list."""
    asked = view(texts=(Text("user", Channel.TEXT, "(private"),), tools=("t",) * 200)
    assert outcome(source, asked) == why


def test_an_error_never_closes_a_gate() -> None:
    """False or failed is not false; the gate closes only on plain falsehood."""
    conditions = [compiled("request.stream"), compiled("1 / request.turns > 5")]
    gate = COMPILER.gate(conditions)
    bind = COMPILER.binder(conditions[0].reads | conditions[1].reads)
    assert not gate.closed(bind(view(turns=0), None))
    assert gate.closed(bind(view(turns=1), None))
    assert not gate.closed(bind(view(turns=1, stream=True), None))


def test_a_comment_in_a_condition_does_not_swallow_the_next_one() -> None:
    """Conditions are joined on lines of their own."""
    conditions = [compiled("request.stream // || true"), compiled("request.turns == 7")]
    gate = COMPILER.gate(conditions)
    bind = COMPILER.binder(frozenset({"request.stream", "request.turns"}))
    assert not gate.closed(bind(view(turns=7), None))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(REQUEST_CONDITIONS), min_size=2, max_size=6), views)
def test_a_gate_is_closed_only_where_every_condition_is_false(sources: list[str], asked: Any) -> None:
    """Whatever the conditions and the request."""
    conditions = [compiled(source) for source in sources]
    bound = COMPILER.binder(frozenset(name for condition in conditions for name in condition.reads))(asked, None)
    if COMPILER.gate(conditions).closed(bound):
        assert all(condition.test(bound) is False for condition in conditions)


@settings(max_examples=100, deadline=None)
@given(st.text())
@example("\0bad")
@example("\ud800bad")
@example("\udc00\0\U0001f600")
def test_no_character_hides_what_follows_it(text: str) -> None:
    """NULs and lone surrogates are replaced one by one: the length stays, and so does the rest."""
    assert len(clean(text)) == len(text)
    condition = compiled('request.text.endsWith("|bad")')
    asked = view(texts=(Text("user", Channel.TEXT, f"{text}|bad"),))
    assert condition.test(COMPILER.binder(condition.reads)(asked, None)) is True


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(["request.model", "==", "(", ")", '"a"', "&&", "!", ".", "[", "]", "1", "has", "\n", "//", "'"])
        ).map(" ".join),
    )
)
def test_compiling_never_raises(source: str) -> None:
    """Any text is a condition or a problem whose offset lies in it."""
    result = COMPILER.compile(source, PARAMS)
    if isinstance(result, tuple):
        assert result
        assert all(0 <= problem.offset <= len(source) for problem in result)


def test_texts_are_joined_by_newlines_up_to_the_bound() -> None:
    """All texts of all turns, and no more than the bound."""
    texts = (Text("user", Channel.TEXT, "a"), Text("assistant", Channel.REASONING, "b"))
    assert outcome('request.text == "a\\nb"', view(texts=texts)) is True
    long = (Text("user", Channel.TEXT, "x" * (TEXT_BOUND + 10)),)
    assert outcome(f"request.text.size() == {TEXT_BOUND}", view(texts=long)) is True


def test_integers_beyond_64_bits_are_clamped() -> None:
    """A hostile number is a large number, not a failure."""
    assert outcome(f"request.max_tokens == {INT_MAX}", view(max_tokens=2**80)) is True
    assert outcome("request.max_tokens < 0", view(max_tokens=-(2**80))) is True


def test_a_client_without_an_address_lies_in_no_network() -> None:
    """And an IPv4 address written as IPv6 lies in its IPv4 network."""
    condition = compiled('client.in_cidr("10.0.0.0/8")')
    bind = COMPILER.binder(condition.reads)
    for address, inside in (
        ("", False),
        ("nonsense", False),
        ("::ffff:10.1.1.1", True),
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("::1", False),
    ):
        asked = view()
        asked.client = ClientInfo(address)
        assert condition.test(bind(asked, None)) is inside


def test_a_condition_reads_exactly_what_it_names() -> None:
    """Parameters are no variables; a network test reads the address; a range is read though its name is bound again."""
    assert compiled("request.tools.exists(t, t == params.quoted)").reads == {"request.tools"}
    assert compiled("[now].exists(now, now > timestamp('2020-01-01T00:00:00Z'))").reads == {"now"}
    assert compiled('client.in_cidr("10.0.0.0/8")').reads == {"client.ip"}
    assert COMPILER.compile("request.labels.size() > 0", {}, own_labels=False).reads == {ALL_LABELS}


def test_a_memo_key_holds_every_variable_or_there_is_none() -> None:
    """Time, texts, counts and prices are never remembered."""
    for name in ("now", "request.text", "request.input_tokens", "request.estimated_usd"):
        assert COMPILER.memo_key(frozenset({name, "request.model"})) is None
    key = COMPILER.memo_key(frozenset({"request.max_tokens", "request.model", "request.labels", ALL_LABELS}))
    first, second = view(model="a"), view(model="a")
    assert key(first) == key(second)
    second.labels = {"x": "y"}
    assert key(first) != key(second)
