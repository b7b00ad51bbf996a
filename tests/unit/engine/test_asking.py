"""Asking conditions cheaply gives what asking each of them alone gives."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from llmcp.conditions.cel import CelCompiler
from llmcp.core.decide import RequestView
from llmcp.core.messages import Channel, Operation, RequestFacts, Text
from llmcp.core.subject import ClientInfo, Subject
from llmcp.engine.asking import group_conditions
from policy_strategies import views

COMPILER = CelCompiler()
PARTS = (
    'request.text.contains("secret")',
    'request.text.contains("the \\"")',
    'request.text.contains("")',
    'request.text.contains("a\\u0000b")',
    "request.text.contains(request.model)",
    'request.text.startsWith("the")',
    "now.getDayOfWeek() == 0",
    "request.stream",
    'subject.org == "red-team"',
    '"ops" in subject.groups',
    'request.labels["team"] == "red"',
    "1 / (request.turns - 1) > 0",
    'request.tools.exists(t, t.startsWith("s"))',
    "false",
    "[1, 2].exists(x, x == request.turns)",
)
PIECES = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4)
CONDITIONS = st.lists(
    st.tuples(PIECES, st.sampled_from(("&&", "&&", "||"))).map(lambda one: f" {one[1]} ".join(one[0])), min_size=1, max_size=5
)
TEXTS = st.sampled_from(((), ("the secret",), ('the "', "secret"), ("a\0b",), ("\ud800secret",)))


def plain_view():
    """Return a request that says little."""
    return RequestView(RequestFacts(), "openai", Operation.CHAT, Subject(), ClientInfo(), {}, datetime(2026, 6, 1, tzinfo=UTC))


def compiled(source, *, own_labels=True):
    """Compile a condition that must be sound."""
    condition = COMPILER.compile(source, {}, own_labels=own_labels)
    assert not isinstance(condition, tuple), condition
    return condition


def alone(conditions, view):
    """Return the outcomes of asking each condition by itself."""
    asked = [(slot, one.test(COMPILER.binder(one.reads)(view, None))) for slot, one in conditions]
    return {slot: outcome for slot, outcome in asked if outcome is not False}


def together(groups, view):
    """Return the outcomes of asking the groups."""
    return {slot: outcome for group in groups for slot, outcome in group.ask(view)}


@settings(max_examples=150, deadline=None)
@given(CONDITIONS, st.lists(st.tuples(views, TEXTS), min_size=1, max_size=3), st.booleans())
def test_guards_and_literals_change_no_outcome(sources, asked, own_labels):
    """Whatever is remembered or left out, each condition comes to what it comes to alone, failures included."""
    conditions = list(enumerate(compiled(source, own_labels=own_labels) for source in sources))
    groups = group_conditions(conditions, COMPILER)
    for view, texts in asked:
        mine = with_texts(view, texts)
        assert together(groups, mine) == alone(conditions, mine)
        assert together(groups, mine) == alone(conditions, mine)


def with_texts(view, texts):
    """Return the view with other texts."""
    return replace(view, facts=replace(view.facts, texts=tuple(Text("user", Channel.TEXT, text) for text in texts)))


def test_a_false_guard_keeps_a_condition_from_being_asked():
    """`false && …` is false, so what stands beside it is not even bound."""
    condition = compiled('subject.org == "legal" && request.text.contains("x") && now.getHours() > 3')
    assert [guard.reads for guard in condition.guards] == [frozenset({"subject.org"})]
    assert condition.needles == ("x",)


def test_what_stands_behind_a_comprehension_guards_nothing():
    """It might exhaust its budget, and that is a failure, not false."""
    condition = compiled('request.text.contains("x") && request.tools.exists(t, t == request.text) && request.stream')
    assert condition.needles == ("x",)
    assert condition.guards == ()


def test_other_texts_in_the_same_view_are_joined_anew():
    """What was joined is kept with the texts that it was joined from."""
    condition = compiled('request.text.contains("secret")')
    (group,) = group_conditions([(0, condition)], COMPILER)
    view = with_texts(plain_view(), ("a secret",))
    assert group.ask(view) == ((0, True),)
    assert group.ask(with_texts(view, ("nothing",))) == ()


def test_more_conditions_than_a_sum_has_bits_are_asked_alone():
    """And so are those behind a gate where one of them failed to run."""
    conditions = [(slot, compiled(f"request.max_tokens > {slot}")) for slot in range(80)]
    (group,) = group_conditions(conditions, COMPILER)
    view = replace(plain_view(), facts=RequestFacts(max_tokens=40))
    assert group.ask(view) == tuple((slot, True) for slot in range(40))


def test_what_grows_with_a_conversation_is_remembered_by_itself():
    """Else each new turn would make all that is remembered useless."""
    conditions = [(0, compiled("request.turns > 5")), (1, compiled('subject.org == "x"')), (2, compiled("request.stream"))]
    assert len(group_conditions(conditions, COMPILER)) == 2


def test_a_guard_that_fails_to_run_closes_nothing():
    """The condition fails too, and its rule's `onError` has to hear of it."""
    condition = compiled('1 / request.turns > 0 && request.text.contains("secret")')
    (group,) = group_conditions([(0, condition)], COMPILER)
    assert group.ask(with_texts(plain_view(), ("a secret",))) == ((0, "division by zero"),)
    assert group.ask(with_texts(plain_view(), ("nothing",))) == ()
