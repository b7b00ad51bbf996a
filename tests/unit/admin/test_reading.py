"""Rules of `llmcp.admin.reading`: every read path, asked with two orgs' scopes and by the operator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.identity_store import because, token
from llmcp.admin.reading import READS, Reading, readable
from llmcp.core.identity import App, Org
from llmcp.core.records import DecisionRecord, GenAi, Rule
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.identities import SqliteIdentities
from llmcp.stores.sqlite.usage import SqliteUsage

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ORGS = ("alpha", "bravo")


def marked(org: str, what: str) -> str:
    """Return a value that only the rows of `org` have."""
    return f"{what}-{org}"


def token_id(org: str) -> str:
    """Return the id of the org's token."""
    return f"tok_0000000{org[:4]}"


@dataclass(frozen=True)
class Case:
    """How one read path is asked: what names an org's own rows, what might open another's, what the operator may see of `bravo`.

    `{mine}` and `{other}` are orgs, `{my_token}` and `{other_token}` their tokens' ids.
    """

    own: str
    tricks: tuple[str, ...]
    operator: str


_FILTERS = {"org": "{other}", "app": "app-{other}", "user": "user-{other}", "decision_id": "d-{other}", "model": "*{other}*"} | {
    "rule": "rule-{other}",
    "state": "valid",
    "key_id": "{other_token}",
    "label": "k=label-{other}",
    "text": "label-{other}",
    "session": "session-{other}",
    "by": "org,app,user,key,model,label",
}


def listing(path: str, *names: str) -> Case:
    """Return the case of a path that lists, with the filters `names`."""
    tricks = [f"?{name}={_FILTERS[name]}" for name in names]
    tricks += ["?org=", "?org={mine}&limit=1000", "?org=%25", "?org=*", "?org={mine}&org={other}", "?limit=1", "?org=%00{other}"]
    tricks.append("?" + "&".join(f"{name}={_FILTERS[name]}" for name in names if name != "org"))
    return Case(path, tuple(path + trick for trick in tricks), path)


CASES = {
    "/v1/orgs": listing("/v1/orgs", "org"),
    "/v1/orgs/{org}": Case(
        "/v1/orgs/{mine}", ("/v1/orgs/{other}", "/v1/orgs/{other}?", "/v1/orgs/%2A", "/v1/orgs/default"), "/v1/orgs/bravo"
    ),
    "/v1/apps": listing("/v1/apps", "org"),
    "/v1/tokens": listing("/v1/tokens", "org", "app", "user", "state"),
    "/v1/tokens/{id}": Case(
        "/v1/tokens/{my_token}", ("/v1/tokens/{other_token}", "/v1/tokens/{other_token}?org={other}", "/v1/tokens/%25"),
        "/v1/tokens/tok_0000000brav",
    ),
    "/v1/records": listing(
        "/v1/records", "org", "app", "user", "decision_id", "model", "rule", "key_id", "label", "text", "session"
    ),
    "/v1/records/{decision_id}": Case(
        "/v1/records/d-{mine}", ("/v1/records/d-{other}", "/v1/records/d-{other}?org={other}", "/v1/records/%25"), "/v1/records/d-bravo"
    ),
    "/v1/usage": listing("/v1/usage", "org", "app", "user", "model", "rule", "key_id", "label", "text", "by"),
}  # fmt: skip


def spelt(template: str, mine: str, other: str) -> str:
    """Fill in a target."""
    return template.format(mine=mine, other=other, my_token=token_id(mine), other_token=token_id(other))


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    """A store in which every text of an org's rows has the org's name in it."""
    path = tmp_path_factory.mktemp("store") / "llmcp.db"
    records = SqliteAuditLog(path)
    store = SqliteIdentities(path)
    for org in ORGS:
        store.add_org(Org(name=org, title=marked(org, "title")), because())
        store.add_app(App(org=org, name=marked(org, "app"), title=marked(org, "title")), because())
        item = token(
            id=token_id(org), prefix=f"llmcp_0000000{org[:4]}", org=org, app=marked(org, "app"), user=marked(org, "user"),
            groups=(marked(org, "group"),), labels={"k": marked(org, "label")}, models=(marked(org, "model"),), digest=b"DIGEST" * 5 + b"12",
        )  # fmt: skip
        store.add_token(item, because())
        rule = Rule("deny", marked(org, "rule"), "enforce", marked(org, "policy"))
        records.append(
            [
                DecisionRecord(
                    id=marked(org, f"d{n or ''}"), decision_id=marked(org, f"d{n or ''}"), org=org, app=marked(org, "app"),
                    user=marked(org, "user"), key_id=token_id(org), labels={"k": marked(org, "label")}, rules=(rule,),
                    gen_ai=GenAi(request_model=marked(org, "model")), time=f"2026-06-01T00:00:0{n}.000000Z",
                )
                for n in range(3)
            ]
        )  # fmt: skip
    return Reading(store, records, SqliteUsage(path), lambda: NOW)


def test_every_read_path_has_a_case() -> None:
    """Rule 3: a route that is added without one fails here."""
    assert set(CASES) == {route.path for route in READS}
    assert not readable("/v1/status")
    assert not readable("/v1/orgs/a/b")
    assert not readable("/v1/orgs/")


@pytest.mark.parametrize("mine", ORGS)
@pytest.mark.parametrize("path", [route.path for route in READS])
def test_no_byte_of_another_orgs_rows_is_shown(reading: Reading, path: str, mine: str) -> None:
    """Rule 1: the own rows are there, and nothing that any parameter or id does opens the other's."""
    other = ORGS[1 - ORGS.index(mine)]
    case = CASES[path]
    own = reading.answer(spelt(case.own, mine, other), mine)
    assert own.status == 200
    assert mine.encode() in own.body
    foreign = (other.encode(), token_id(other).encode(), b"DIGEST")
    for template in (case.own, case.own.replace("mine", "other").replace("my_", "other_"), *case.tricks):
        target = spelt(template, mine, other)
        answer = reading.answer(target, mine)
        assert not any(marker in answer.body for marker in foreign), target
    assert any(marker in reading.answer(case.operator, None).body for marker in (b"bravo", b"tok_0000000brav"))


@pytest.mark.parametrize("path", ["/v1/orgs/{}", "/v1/tokens/{}", "/v1/records/{}"])
def test_what_is_anothers_is_answered_like_what_is_not(reading: Reading, path: str) -> None:
    """Rule 2: 404 in the same words, so that nobody learns which names exist."""
    theirs = {"/v1/orgs/{}": "bravo", "/v1/tokens/{}": token_id("bravo"), "/v1/records/{}": "d-bravo"}[path]
    assert reading.answer(path.format(theirs), "alpha") == reading.answer(path.format("nothing"), "alpha")
    assert reading.answer(path.format(theirs), "alpha").status == 404
    assert reading.answer(path.format(theirs), None).status == 200
    for listed in ("/v1/apps", "/v1/tokens", "/v1/records", "/v1/orgs"):
        refused = reading.answer(f"{listed}?org=bravo", "alpha")
        assert refused == reading.answer(f"{listed}?org=nothing", "alpha")
        assert refused.status == 404


def test_control_records_are_the_operators(reading: Reading) -> None:
    """They say who administers what."""
    assert reading.answer("/v1/records?stream=control", "alpha").status == 403


def test_a_scope_without_a_name_sees_nothing(reading: Reading) -> None:
    """An empty filter means everything further below; here it must not."""
    for case in CASES.values():
        assert reading.answer(spelt(case.own, "alpha", "bravo"), "").status == 404


def body(reading: Reading, target: str, scope: str | None = None) -> Any:
    """Read a JSON answer."""
    answer = reading.answer(target, scope)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("noun", ["orgs", "tokens", "apps"])
def test_pages_joined_are_the_whole_list(reading: Reading, noun: str, size: int) -> None:
    """Nothing twice, nothing skipped."""
    whole = body(reading, f"/v1/{noun}")[noun]
    seen: list[Any] = []
    cursor = ""
    while True:
        page = body(reading, f"/v1/{noun}?limit={size}&cursor={cursor}")
        seen += page[noun]
        assert len(page[noun]) <= size
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == whole


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/v1/orgs?limit=0", "bad-limit"),
        ("/v1/records?limit=1001", "bad-limit"),
        ("/v1/records?limit=x", "bad-limit"),
        ("/v1/tokens?cursor=%ff", "bad-cursor"),
        ("/v1/tokens?cursor=a", "bad-cursor"),
        ("/v1/records?orgs=alpha", "bad-parameter"),
        ("/v1/records?org=alpha&org=bravo", "bad-parameter"),
        ("/v1/records?after_seq=1", "bad-parameter"),
        ("/v1/records?outcome=odd", "bad-outcome"),
        ("/v1/records?since=soon", "bad-time"),
        (f"/v1/records?model={'m' * 600}", "bad-parameter"),
        ("/v1/orgs/alpha?x=1", "bad-parameter"),
    ],
)
def test_a_parameter_that_is_not_understood_is_refused(reading: Reading, target: str, code: str) -> None:
    """Rule 4: a misspelt filter must not show everything."""
    answer = reading.answer(target, None)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, code)


def test_a_page_of_records_is_bounded(reading: Reading) -> None:
    """By default and at most."""
    assert len(body(reading, "/v1/records?limit=2")["records"]) == 2
    assert [record["org"] for record in body(reading, "/v1/records?org=bravo")["records"]] == ["bravo"] * 3
    assert body(reading, "/v1/records/d-bravo")["labels"] == {"k": "label-bravo"}


def test_a_cursor_of_another_org_is_of_no_use(reading: Reading) -> None:
    """Pages fit together within one question and one scope."""
    page = body(reading, "/v1/records?limit=1", "bravo")
    assert page["next_cursor"]
    refused = reading.answer(f"/v1/records?limit=1&cursor={page['next_cursor']}", "alpha")
    assert (refused.status, b"bravo" in refused.body) == (400, False)
    older = body(reading, f"/v1/records?limit=2&cursor={page['next_cursor']}", "bravo")
    seqs = [record["seq"] for record in (*older["records"], *page["records"])]
    assert (seqs, older["next_cursor"]) == (sorted(seqs), "")
    assert len(seqs) == 3


def test_usage_is_the_sum_of_what_the_scope_may_see(reading: Reading) -> None:
    """By whatever it is grouped."""
    rows = body(reading, "/v1/usage?by=org,user", "alpha")["usage"]
    assert [(row["org"], row["user"], row["requests"]) for row in rows] == [("alpha", "user-alpha", 3)]
    assert {row["org"]: row["requests"] for row in body(reading, "/v1/usage?by=org")["usage"]} == {"alpha": 3, "bravo": 3}
    assert reading.answer("/v1/usage?by=odd", None).status == 400
