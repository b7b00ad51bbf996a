"""Hypothesis strategies for policies, and for requests that have a fair chance to meet them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from llmcp.core.decide import Mode, RequestView, ResponseView
from llmcp.core.globs import compile_globs
from llmcp.core.messages import Channel, Operation, RequestFacts, Text
from llmcp.core.policy import ExceptionRule, OnError, Phase, Policy, Rule, Scope
from llmcp.core.subject import ClientInfo, Subject
from llmcp.effects.allow import AllowSpec
from llmcp.effects.deny import DenySpec
from llmcp.effects.record import RecordSpec
from llmcp.effects.set import SetSpec
from llmcp.effects.tools import ToolsSpec

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PROVIDERS = frozenset({"openai", "anthropic"})

_MODELS = ("gpt-4o", "GPT-4o-mini", "openai/gpt-4o", "claude-3", "o3", "")
_MODEL_GLOBS = ("*", "gpt-*", "claude-*", "o3", "openai/*", "?3", "*4o*")
_TOOLS = ("shell", "read_file", "write_file")

REQUEST_CONDITIONS = (
    "request.max_tokens > 100",
    "request.has_max_tokens",
    "request.temperature > 0.5",
    'request.labels["team"] == "red"',
    'request.labels[?"team"].orValue("") == "red"',
    "request.stream",
    'request.tools.exists(t, t == "shell")',
    'request.text.contains("secret")',
    "100 / request.turns > 20",
    'now >= timestamp("2026-06-01T00:00:00Z")',
    'client.in_cidr("10.0.0.0/8")',
    'subject.org == "red-team" || subject.groups.exists(g, g == "ops")',
    "request.turns > params.turns",
)
RESPONSE_CONDITIONS = ('response.text.contains("secret")', 'response.tools[1] == "shell"', 'response.model != ""')

_globs = st.lists(st.sampled_from(_MODEL_GLOBS), min_size=1, max_size=2).map(tuple)


def made(kind, **fields):
    """Build `kind` from strategies by field; unlike `st.builds` it does not look at annotations."""
    return st.fixed_dictionaries(fields).map(lambda drawn: kind(**drawn))


scopes = made(
    Scope,
    orgs=st.sampled_from((("*",), ("red-*",))),
    apps=st.just(("*",)),
    providers=st.sampled_from((("*",), ("openai",))),
    models=_globs,
    operations=st.sampled_from((("*",), ("chat", "models"), ("embed*",))),
)


@st.composite
def rules(draw: st.DrawFn, *, effects: tuple[str, ...] = ("allow", "deny", "set", "tools", "record"), id_: str = "r") -> Rule:
    """Draw one rule whose phase fits its effect and condition."""
    effect = draw(st.sampled_from(effects))
    phase = Phase.REQUEST
    if effect not in {"allow", "set"}:
        phase = draw(st.sampled_from(Phase))
    known = REQUEST_CONDITIONS if phase is not Phase.RESPONSE else (*REQUEST_CONDITIONS, *RESPONSE_CONDITIONS)
    when = draw(st.one_of(st.just(""), st.sampled_from(known)))
    spec: Any
    match effect:
        case "allow":
            spec = AllowSpec()
        case "deny":
            spec = DenySpec(draw(st.sampled_from(("", "no"))))
        case "set":
            fields = draw(
                st.sampled_from(((("max_tokens", 7),), (("temperature", 0.0), ("model", "o3")), (("model", "gpt-4o"),)))
            )
            spec = SetSpec(fields)
        case "tools":
            deny = draw(st.sampled_from((("shell",), ("write_*", "SHELL"))))
            spec = ToolsSpec(deny, draw(st.booleans()), compile_globs(deny))
        case _:
            spec = RecordSpec()
    return Rule(id_, effect, spec, draw(scopes), phase, when)


@st.composite
def policies(draw: st.DrawFn, name: str = "p") -> Policy:
    """Draw one policy."""
    drawn = tuple(draw(rules(id_=f"r{index}")) for index in range(draw(st.integers(1, 4))))
    names = [rule.id for rule in drawn if rule.effect != "allow"] + ["default-deny"]
    exceptions = tuple(
        ExceptionRule(
            f"EX-{index}",
            (draw(st.sampled_from(names)),),
            draw(st.one_of(st.just(""), st.sampled_from(REQUEST_CONDITIONS))),
            draw(st.sampled_from((None, date(2026, 5, 31), date(2026, 6, 1)))),
        )
        for index in range(draw(st.integers(0, 1)))
    )
    return Policy(
        name=name,
        mode=draw(st.sampled_from((Mode.ENFORCE, Mode.ENFORCE, Mode.WARN, Mode.AUDIT))),
        on_error=draw(st.sampled_from(OnError)),
        scope=draw(st.one_of(st.just(Scope()), scopes)),
        params=(("turns", draw(st.integers(0, 3))),),
        rules=drawn,
        exceptions=exceptions,
    )


policy_sets = st.integers(1, 3).flatmap(lambda n: st.tuples(*(policies(f"p{index}") for index in range(n))))

labels = st.sampled_from(({}, {"team": "red"}, {"team": "blue"}))

views = made(
    RequestView,
    facts=made(
        RequestFacts,
        model=st.sampled_from(_MODELS),
        stream=st.booleans(),
        max_tokens=st.sampled_from((None, 50, 500)),
        temperature=st.sampled_from((None, 0.0, 2.0)),
        tools=st.lists(st.sampled_from(_TOOLS), max_size=2).map(tuple),
        texts=st.sampled_from(((), (Text("user", Channel.TEXT, "the secret"),))),
        turns=st.integers(0, 4),
    ),
    provider=st.sampled_from(("openai", "anthropic", "")),
    operation=st.sampled_from((Operation.CHAT, Operation.EMBEDDINGS, Operation.MODELS, Operation.OTHER)),
    subject=made(Subject, org=st.sampled_from(("default", "red-team")), groups=st.sampled_from(((), ("ops",))), labels=labels),
    client=made(ClientInfo, ip=st.sampled_from(("", "10.1.2.3", "::1"))),
    labels=labels,
    now=st.sampled_from((NOW, NOW - timedelta(days=1), NOW + timedelta(days=1))),
)

responses = made(
    ResponseView,
    model=st.sampled_from(("", "gpt-4o-2024")),
    tools=st.lists(st.sampled_from(_TOOLS), max_size=2).map(tuple),
    text=st.sampled_from(("", "a secret")),
)
