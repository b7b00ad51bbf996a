"""Who asks, and with which credential a request goes upstream: the exchange with access snapshots, through real policies."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.accesses import STORED, Issuer, access, credential, make_token
from fakes.planes import Program, StillClock, deny, exchange, plane
from llmcp import data
from llmcp.core.decide import Decision, Verdict
from llmcp.core.http import Forward, ReadBody, RequestHead, Respond, header
from llmcp.core.messages import RequestEdits
from llmcp.core.pricing import PriceTable
from llmcp.core.records import DecisionRecord, canonical, timestamp
from llmcp.core.settings import AuthSettings, ProviderSettings, Settings
from llmcp.engine.access import Access
from llmcp.engine.exchange import Exchange
from llmcp.engine.policy_program import CompiledProgram
from llmcp.engine.settlement import settle
from llmcp.policyfile.parse import parse_policy
from llmcp.vocabulary import build_vocabulary

NOW = datetime(2026, 11, 21, tzinfo=UTC)
JSON = (b"content-type", b"application/json")
OWN = b"sk-" + b"own" * 10
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
CLAUDE = b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
GEMINI = b'{"contents":[{"parts":[{"text":"x"}]}]}'
NATIVE = "/openai/v1/chat/completions"
KEY, TOKEN = make_token(app="bot", user="ann", groups=("eng", "oncall"), labels={"team": "core"})
BEARER = (b"authorization", b"Bearer " + KEY.encode())
STRICT = Settings(auth=AuthSettings(require_virtual_key=True))
PRICES = PriceTable.load(data.prices())


def ask(of: Access, *headers: Any, target: str = NATIVE, body: bytes = CHAT, on: Any = None, salt: str = "d_test") -> Any:
    """Send one request; return what the exchange wants done, and the exchange."""
    run = exchange(on or plane(), access=of, decision_id=salt)
    said: Any = run.receive_head(RequestHead("POST", target, (*headers, JSON, (b"content-length", b"9")), "127.0.0.1"))
    if isinstance(said, ReadBody):
        said = run.receive_body(body)
    return said, run


def record_of(run: Any) -> DecisionRecord:
    """Settle an exchange."""
    if run.progress.sent_ns:
        run.receive_response_head(200, (JSON,))
        run.receive_response_end()
    run.finished()
    record = settle(run, prices=PRICES, now=NOW, ended_ns=1)
    assert record is not None
    return record


def policies(text: str) -> Any:
    """Return a plane over one real policy with these rules."""
    vocabulary = build_vocabulary({"openai", "anthropic"}, lambda _provider, model: model)
    file = f"apiVersion: llmcp.dev/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n{text}\n"
    parsed = parse_policy(file.encode(), "p.yaml", vocabulary, NOW)
    assert parsed.policy is not None, parsed.problems
    return plane(CompiledProgram([parsed.policy], vocabulary))  # type: ignore[arg-type]


SERVED = access(TOKEN, credentials=(credential(),))

PLACES = [
    (BEARER, NATIVE, CHAT),
    ((b"x-api-key", KEY.encode()), NATIVE, CHAT),
    ((b"api-key", KEY.encode()), NATIVE, CHAT),
    ((b"x-goog-api-key", KEY.encode()), NATIVE, CHAT),
    ((b"authorization", b"Basic " + base64.b64encode(b"x:" + KEY.encode())), NATIVE, CHAT),
    ((b"proxy-authorization", b"Bearer " + KEY.encode()), NATIVE, CHAT),
    ((b"proxy-authorization", b"Basic " + base64.b64encode(b"x:" + KEY.encode())), NATIVE, CHAT),
    (BEARER, "/v1/chat/completions", CHAT),
    ((b"x-api-key", KEY.encode()), "/v1/chat/completions", CHAT),
]


@pytest.mark.parametrize(("place", "target", "body"), PLACES)
def test_a_virtual_key_is_exchanged_for_the_stored_credential(place, target, body) -> None:
    """Wherever it stands and on both kinds of paths; nothing of it goes upstream."""
    forward, _ = ask(SERVED, place, target=target, body=body)
    assert isinstance(forward, Forward)
    assert forward.body == body
    assert [pair for pair in forward.headers if pair[0] == b"authorization"] == [(b"authorization", b"Bearer " + STORED.encode())]
    assert KEY.encode() not in b"".join(name + value for name, value in forward.headers)
    assert not {b"x-api-key", b"api-key", b"x-goog-api-key", b"proxy-authorization"} & {name for name, _ in forward.headers}


def test_a_key_in_the_query_of_gemini_is_exchanged_too() -> None:
    """It is taken out of the target, and the stored one goes in the header."""
    of = access(TOKEN, credentials=(credential("gemini"),))
    target = f"/gemini/v1beta/models/gemini-2.5-flash:generateContent?alt=json&key={KEY}"
    forward, _ = ask(of, target=target, body=GEMINI)
    assert isinstance(forward, Forward)
    assert header(forward.headers, b"x-goog-api-key") == STORED.encode()
    assert KEY not in forward.target
    assert forward.target.endswith("?alt=json")


@pytest.mark.parametrize("place", [b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"proxy-authorization"])
@pytest.mark.parametrize("target", [NATIVE, "/v1/chat/completions"])
def test_a_key_that_is_not_good_is_a_401_wherever_it_stands(place, target) -> None:
    """Nothing goes upstream, also where the client shows a key of its own besides."""
    for key in (KEY[:-1], KEY.swapcase(), KEY.replace("llmcp_", "LLMCP_"), make_token(8)[0], "llmcp_", "x llmcp_y"):
        own = (b"api-key" if place != b"api-key" else b"x-api-key", OWN)
        answer, run = ask(SERVED, (place, key.encode()), own, target=target)
        assert isinstance(answer, Respond)
        assert answer.status == 401
        assert json.loads(answer.body)["error"]["type"] == "authentication_error"
        assert key.encode() not in answer.body or len(key) < 8
        assert record_of(run).outcome == "denied"


def test_a_refused_key_is_worded_in_the_callers_dialect() -> None:
    """Anthropic's client gets Anthropic's form."""
    answer, _ = ask(SERVED, (b"x-api-key", KEY[:-1].encode()), target="/v1/messages", body=CLAUDE)
    assert answer.status == 401
    assert json.loads(answer.body)["error"]["type"] == "authentication_error"
    assert json.loads(answer.body)["type"] == "error"


def test_an_attempt_with_a_revoked_key_is_recorded_under_its_org() -> None:
    """The record says why, whose it was, and nothing of the key; the client is not told why."""
    key, token = make_token(7, revoked=timestamp(NOW), user="eve")
    answer, run = ask(access(token), (b"authorization", b"Bearer " + key.encode()))
    record = record_of(run)
    assert answer.status == 401
    assert b"not known here, has expired or was revoked" in answer.body
    assert (record.error_type, record.org, record.key_id, record.user) == ("virtual_key_revoked", "acme", token.id, "eve")
    assert key.encode() not in canonical(record)


def test_the_record_of_a_request_says_who_asked() -> None:
    """Org, app, user, groups, key and labels; the token's own labels win over the client's."""
    _, run = ask(SERVED, BEARER, (b"x-llmcp-labels", b"team=mine,job=42"))
    record = record_of(run)
    assert (record.org, record.app, record.user, record.key_id) == ("acme", "bot", "ann", TOKEN.id)
    assert record.groups == ("eng", "oncall")
    assert record.labels == {"team": "core", "job": "42"}
    assert STORED.encode() not in canonical(record)
    assert KEY.encode() not in canonical(record)


@pytest.mark.parametrize(
    ("rules", "denied"),
    [
        ("  scope: {orgs: [acme]}\n  rules: [{id: r, deny: {}}]", True),
        ("  scope: {orgs: [other]}\n  rules: [{id: r, deny: {}}]", False),
        ("  scope: {apps: [bot]}\n  rules: [{id: r, deny: {}}]", True),
        ("  scope: {apps: [other]}\n  rules: [{id: r, deny: {}}]", False),
        ("""  rules: [{id: r, when: 'subject.org == "acme"', deny: {}}]""", True),
        ("""  rules: [{id: r, when: 'subject.user == "ann"', deny: {}}]""", True),
        ("""  rules: [{id: r, when: '"oncall" in subject.groups', deny: {}}]""", True),
        ("""  rules: [{id: r, when: 'subject.key_id.startsWith("tok_")', deny: {}}]""", True),
        ("""  rules: [{id: r, when: 'subject.labels[?"team"].orValue("") == "core"', deny: {}}]""", True),
        ("""  rules: [{id: r, when: 'request.labels[?"team"].orValue("") == "core"', deny: {}}]""", True),
        ("""  rules: [{id: r, when: 'request.labels[?"job"].orValue("") == "42"', deny: {}}]""", False),
        ("""  rules: [{id: r, when: 'subject.user == ""', deny: {}}]""", False),
    ],
)
def test_policies_see_the_subject_that_the_token_proves(rules, denied) -> None:
    """Scopes by org and app, `subject.*`; what the client says of itself counts in no `deny`."""
    labels = (b"x-llmcp-labels", b"team=mine,job=42")
    answer, _ = ask(SERVED, BEARER, labels, on=policies(rules))
    assert isinstance(answer, Respond) is denied
    anonymous, _ = ask(SERVED, (b"authorization", b"Bearer " + OWN), labels, on=policies(rules))
    assert isinstance(anonymous, Respond) is ('user == ""' in rules)


def test_what_was_answered_for_one_subject_is_not_answered_for_another() -> None:
    """The rules' memory knows subjects apart, also those with the same labels of the client's own."""
    plain_key, plain = make_token(11, org="default")
    of = access(TOKEN, plain, credentials=(credential(),))
    on = policies("""  rules: [{id: r, when: 'request.labels[?"team"].orValue("") == "core"', deny: {}}]""")
    other = (b"authorization", b"Bearer " + plain_key.encode())
    for _ in range(3):
        assert isinstance(ask(of, BEARER, on=on)[0], Respond)
        assert isinstance(ask(of, other, on=on)[0], Forward)


# -- scopes of tokens ---------------------------------------------------------------------------------------------------------------

LIMITED_KEY, LIMITED = make_token(12, providers=("openai",), models=("gpt-4o*",))
LIMITED_BEARER = (b"authorization", b"Bearer " + LIMITED_KEY.encode())
LIMITED_SERVED = access(LIMITED, credentials=(credential(), credential("anthropic"), credential("openrouter")))


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        (NATIVE, CHAT, 0),
        ("/v1/chat/completions", CHAT.replace(b"gpt-4o", b"openai/GPT-4o-mini"), 0),
        (NATIVE, CHAT.replace(b"gpt-4o", b"o1-pro"), 403),
        (NATIVE, CHAT.replace(b'"gpt-4o"', b'""'), 403),
        ("/anthropic/v1/messages", CLAUDE, 403),
        ("/v1/messages", CLAUDE, 403),
        ("/openrouter/api/v1/chat/completions", CHAT, 403),
        ("/openai/v1/batches", b'{"input_file_id":"file-1","endpoint":"/v1/chat/completions"}', 403),
    ],
)
def test_a_tokens_scope_is_enforced_before_anything_is_sent(target, body, status) -> None:
    """A provider or model outside it is 403 in the caller's dialect; what may use a model unseen is outside as well."""
    answer, run = ask(LIMITED_SERVED, LIMITED_BEARER, target=target, body=body)
    assert (answer.status if isinstance(answer, Respond) else 0) == status
    if status:
        assert LIMITED.prefix.encode() in answer.body
        assert LIMITED_KEY.encode() not in answer.body
        record = record_of(run)
        assert (record.outcome, record.error_type, record.key_id) == ("denied", "outside_token_scope", LIMITED.id)


def test_models_to_fall_back_on_must_be_in_scope() -> None:
    """The provider may take any of them."""
    key, token = make_token(13, models=("gpt-4o*",))
    of = access(token, credentials=(credential("openrouter"),))
    body = CHAT.replace(b"{", b'{"models":["openai/gpt-4o","anthropic/claude-opus-4"],', 1)
    target = "/openrouter/api/v1/chat/completions"
    bearer = (b"authorization", b"Bearer " + key.encode())
    assert isinstance(ask(of, bearer, target=target, body=body)[0], Respond)
    body = body.replace(b"anthropic/claude-opus-4", b"openai/gpt-4o-mini")
    assert isinstance(ask(of, bearer, target=target, body=body)[0], Forward)


@pytest.mark.parametrize(("model", "sent"), [("gpt-4o-mini", True), ("o1", False)])
def test_a_model_that_a_rule_sets_must_be_in_scope(model, sent) -> None:
    """A policy does not widen a token."""
    edits = Decision(Verdict.ALLOW, edits=RequestEdits((("model", model),)))
    answer, _ = ask(LIMITED_SERVED, LIMITED_BEARER, on=plane(Program(lambda _view: edits)))
    assert isinstance(answer, Forward) is sent


# -- credentials --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "target", "body", "name", "value"),
    [
        ("openai", NATIVE, CHAT, b"authorization", b"Bearer %s"),
        ("anthropic", "/anthropic/v1/messages", CLAUDE, b"x-api-key", b"%s"),
        ("anthropic", "/v1/messages", CLAUDE, b"x-api-key", b"%s"),
        ("gemini", "/gemini/v1beta/models/gemini-2.5-pro:generateContent", GEMINI, b"x-goog-api-key", b"%s"),
        ("gemini", "/gemini/v1beta/openai/chat/completions", CHAT, b"authorization", b"Bearer %s"),
        ("vertex", "/vertex/v1/projects/p/locations/us-east1/publishers/google/models/gemini-2.5-pro:generateContent", GEMINI, b"authorization", b"Bearer %s"),
        ("mistral", "/v1/chat/completions", CHAT.replace(b"gpt-4o", b"mistral-large-latest"), b"authorization", b"Bearer %s"),
        ("groq", "/groq/v1/chat/completions", CHAT, b"authorization", b"Bearer %s"),
        ("bedrock", "/bedrock/model/m/converse", b'{"messages":[]}', b"authorization", b"Bearer %s"),
    ],
)  # fmt: skip
def test_each_provider_gets_its_own_form(provider, target, body, name, value) -> None:
    """The catalog's `auth`, whatever form the client's key had; no other credential beside it."""
    of = access(TOKEN, credentials=(credential(provider), credential("xai", secret="xai-" + "n" * 20)))
    for place in (BEARER, (b"x-api-key", KEY.encode()), (b"x-goog-api-key", KEY.encode())):
        forward, _ = ask(of, place, target=target, body=body)
        assert isinstance(forward, Forward), forward
        found = [p for p in forward.headers if p[0] in {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"}]
        assert found == [(name, value.replace(b"%s", STORED.encode()))]


def test_who_the_client_is_to_a_provider_stays_behind() -> None:
    """Accounts, cookies and signatures of its own would be of somebody else's account, or choose who pays."""
    more = ((b"openai-organization", b"org-1"), (b"openai-project", b"p"), (b"cookie", b"a=b"), (b"x-goog-user-project", b"x"))
    forward, _ = ask(SERVED, BEARER, (b"x-api-key", OWN), *more, (b"x-kept", b"1"))
    names = {name for name, _ in forward.headers}
    assert not names & {name for name, _ in more}
    assert b"x-kept" in names
    assert OWN not in b"".join(value for _, value in forward.headers)
    own, _ = ask(SERVED, (b"authorization", b"Bearer " + OWN), *more)
    assert {name for name, _ in more} <= {name for name, _ in own.headers}


def test_keys_in_the_query_stay_behind_too() -> None:
    """Google reads a key and an access token from any URL."""
    of = access(TOKEN, credentials=(credential("gemini"),))
    target = "/gemini/v1beta/models/gemini-2.5-pro:generateContent?alt=json&key=AIzaOwn&access_token=ya29.own&%6bey=AIzaOwn"
    forward, _ = ask(of, (b"x-goog-api-key", KEY.encode()), target=target, body=GEMINI)
    assert forward.target.endswith(":generateContent?alt=json")
    assert [v for n, v in forward.headers if n == b"x-goog-api-key"] == [STORED.encode()]


def test_an_oauth_token_of_anthropics_travels_as_bearer_with_its_flag() -> None:
    """Beside the client's own beta flags, once."""
    oauth = "sk-ant-" + "oat01-" + "o" * 20
    of = access(TOKEN, credentials=(credential("anthropic", secret=oauth),))
    place = (b"x-api-key", KEY.encode())
    for given in ((), ((b"anthropic-beta", b"a-1,b-2"),), ((b"anthropic-beta", b"oauth-2025-04-20"),)):
        forward, _ = ask(of, place, *given, target="/v1/messages", body=CLAUDE)
        betas = b",".join(v for n, v in forward.headers if n == b"anthropic-beta").split(b",")
        assert betas.count(b"oauth-2025-04-20") == 1
        assert set(betas) >= {b for _, v in given for b in v.split(b",")}
        assert header(forward.headers, b"authorization") == b"Bearer " + oauth.encode()
        assert not header(forward.headers, b"x-api-key")


def test_bedrock_is_signed_anew_with_a_key_pair() -> None:
    """Also where the client signed with a pair of its own, and over a body that nothing reads."""
    pair = "AKIDEXAMPLE:" + "s" * 40 + ":session"
    of = access(TOKEN, credentials=(credential("bedrock", secret=pair),))
    on = plane(settings=Settings(providers={"bedrock": ProviderSettings(region="eu-west-1")}))
    place = (b"x-api-key", KEY.encode())
    old = (b"authorization", b"AWS4-HMAC-SHA256 Credential=AKIDOWN/x")
    forward, _ = ask(of, place, old, (b"x-amz-date", b"old"), target="/bedrock/model/m/converse", body=b'{"messages":[]}', on=on)
    assert isinstance(forward, Forward)
    assert forward.origin.host == "bedrock-runtime.eu-west-1.amazonaws.com"
    assert b"Credential=AKIDEXAMPLE/20261121/eu-west-1/bedrock/aws4_request" in header(forward.headers, b"authorization")
    assert header(forward.headers, b"x-amz-security-token") == b"session"
    assert b"s" * 40 not in b"".join(v for _, v in forward.headers)
    assert b"AKIDOWN" not in b"".join(v for _, v in forward.headers)
    run = exchange(on, access=of)
    unread = RequestHead("POST", "/bedrock/something/new", (place, (b"content-type", b"text/plain"), (b"content-length", b"3")))
    assert isinstance(run.receive_head(unread), ReadBody)
    assert isinstance(run.receive_body(b"abc"), Forward)


def test_a_local_server_gets_no_credential() -> None:
    """Neither a stored one nor the client's."""
    of = access(TOKEN, credentials=(credential("ollama"),))
    forward, _ = ask(of, BEARER, (b"x-api-key", OWN), target="/ollama/v1/chat/completions")
    assert isinstance(forward, Forward)
    assert not {b"authorization", b"x-api-key"} & {name for name, _ in forward.headers}


def test_without_a_stored_credential_the_clients_further_key_passes() -> None:
    """A virtual key says who asks, the client's own key pays: unless settings forbid it, or it is another provider's."""
    of = access(TOKEN)
    place, own = (b"x-api-key", KEY.encode()), (b"authorization", b"Bearer " + OWN)
    for target in (NATIVE, "/v1/chat/completions"):
        forward, run = ask(of, place, own, target=target)
        assert isinstance(forward, Forward)
        assert own in forward.headers
        assert KEY.encode() not in b"".join(v for _, v in forward.headers)
        assert record_of(run).key_id == TOKEN.id
        assert ask(of, place, own, target=target, on=plane(settings=STRICT))[0].status == 401
    assert ask(of, place, own, target="/v1/messages", body=CLAUDE)[0].status == 401
    assert ask(of, place, own, target="/anthropic/v1/messages", body=CLAUDE)[0].status == 401
    hidden = (b"authorization", b"Basic " + base64.b64encode(b"x:" + KEY.encode()))
    assert ask(of, hidden, target="/anthropic/v1/messages", body=CLAUDE)[0].status == 401
    in_proxy = (b"proxy-authorization", b"Bearer " + KEY.encode())
    assert isinstance(ask(of, in_proxy, own, target="/v1/chat/completions")[0], Forward)


def test_without_any_credential_the_answer_says_how_to_store_one() -> None:
    """401, with the command."""
    answer, run = ask(access(TOKEN), BEARER)
    assert answer.status == 401
    assert "llmcp key set openai" in json.loads(answer.body)["error"]["message"]
    assert record_of(run).error_type == "no_credential"


def test_who_has_proven_nothing_never_gets_a_stored_credential() -> None:
    """With no key, with a provider's key, and with a key of another provider."""
    for target, body in ((NATIVE, CHAT), ("/v1/chat/completions", CHAT), ("/azure/res/openai/v1/responses", CHAT)):
        for headers in ((), ((b"authorization", b"Bearer " + OWN),), ((b"x-api-key", OWN),)):
            answer, _ = ask(
                access(TOKEN, credentials=(credential(), credential("azure", resources=("res",)))),
                *headers,
                target=target,
                body=body,
            )
            if isinstance(answer, Forward):
                assert STORED.encode() not in b"".join(v for _, v in answer.headers)


@pytest.mark.parametrize("headers", [(), ((b"authorization", b"Bearer " + OWN),)])
def test_require_virtual_key_lets_only_virtual_keys_in(headers) -> None:
    """Whoever has one is served."""
    assert ask(SERVED, *headers, on=plane(settings=STRICT))[0].status == 401
    assert isinstance(ask(SERVED, BEARER, on=plane(settings=STRICT))[0], Forward)


def test_a_token_of_the_issuer_is_exchanged_like_a_virtual_key() -> None:
    """In whichever header; one that does not prove itself never goes upstream as somebody's own key."""
    issuer = Issuer()
    of = access(credentials=(credential(),), verifier=issuer)
    for name in (b"authorization", b"x-api-key"):
        forward, run = ask(of, (name, b"Bearer " + issuer.token().encode()))
        assert header(forward.headers, b"authorization") == b"Bearer " + STORED.encode()
        assert record_of(run).user == "ann"
        assert ask(of, (name, b"Bearer " + issuer.token("bad").encode()))[0].status == 401
        later = ask(of, (name, b"Bearer " + issuer.token("later").encode()))[0]
        assert later.status == 503
        assert not header(later.headers, b"x-should-retry")
        unserved = ask(access(verifier=issuer), (name, issuer.token().encode()), (b"api-key", OWN))[0]
        assert issuer.token().encode() not in b"".join(v for _, v in unserved.headers)


def test_another_issuers_jwt_is_the_clients_own_key() -> None:
    """Entra's tokens for Azure, say."""
    entra = (b"authorization", b"Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJlbnRyYSJ9.c2ln")
    forward, run = ask(access(verifier=Issuer()), entra, target="/azure/my-res/openai/v1/responses")
    assert entra in forward.headers
    assert record_of(run).key_id == ""


@pytest.mark.parametrize(("status", "error_type"), [(401, "credential_refused"), (403, "credential_refused"), (400, "400")])
def test_a_provider_that_refuses_a_stored_credential_is_named_in_the_record(status, error_type) -> None:
    """The client gets the provider's own words; the operator learns that the key is to be mended."""
    _, run = ask(SERVED, BEARER)
    started = run.receive_response_head(status, (JSON,))
    assert started.status == status
    run.receive_response_end()
    run.finished()
    record = settle(run, prices=PRICES, now=NOW, ended_ns=1)
    assert record is not None
    assert record.error_type == error_type
    _, own = ask(SERVED, (b"authorization", b"Bearer " + OWN))
    own.receive_response_head(status, (JSON,))
    own.finished()
    mine = settle(own, prices=PRICES, now=NOW, ended_ns=1)
    assert mine is not None
    assert mine.error_type == str(status)


def test_a_request_under_way_keeps_what_it_began_with() -> None:
    """An exchange holds one snapshot; the next one sees the new."""
    run = exchange(plane(), access=SERVED)
    head = RequestHead("POST", NATIVE, (BEARER, JSON))
    assert isinstance(run.receive_head(head), ReadBody)
    gone = access()
    assert isinstance(run.receive_body(CHAT), Forward)
    on = plane()
    assert isinstance(exchange(on, access=SERVED).receive_head(head), ReadBody)
    assert isinstance(exchange(on, access=gone).receive_head(head), Respond)


def test_a_denied_request_gets_no_credential() -> None:
    """Rules speak before anything is put on the request."""
    answer, run = ask(SERVED, BEARER, on=plane(Program(lambda _view: deny())))
    assert isinstance(answer, Respond)
    assert not run.progress.injected


def test_what_is_remembered_of_a_header_set_outlives_neither_expiry_nor_snapshot() -> None:
    """One connection's very headers: good, then expired; good again with another snapshot, then revoked."""
    key, token = make_token(21, expires="2026-11-21T00:00:05.000000Z")
    longer = make_token(21, expires="2026-11-21T01:00:00.000000Z")[1]
    gone = make_token(21, revoked="2026-11-21T00:00:00.000000Z")[1]
    on, head = plane(), RequestHead("POST", NATIVE, ((b"authorization", b"Bearer " + key.encode()), JSON))

    def asked(of: Access, second: int) -> bool:
        clock = StillClock(at=NOW.replace(second=second))
        run = Exchange(on, decision_id="d_test", client_ip="", clock=clock, emit=lambda _: None, access=of)
        return isinstance(run.receive_head(head), ReadBody)

    short, long, revoked = access(token), access(longer), access(gone)
    assert [asked(short, second) for second in (0, 1, 4, 5, 6, 1)] == [True, True, True, False, False, True]
    assert [asked(of, 6) for of in (long, short, long, revoked, revoked)] == [True, False, True, False, False]


def test_a_rotated_credential_replaces_the_remembered_headers() -> None:
    """The very headers of a connection carry the new secret from the next snapshot on."""
    on, head = plane(), RequestHead("POST", NATIVE, (BEARER, JSON))
    sent = []
    for secret in (STORED, STORED, "sk-" + "newer" * 6):
        run = exchange(on, access=access(TOKEN, credentials=(credential(secret=secret),)))
        run.receive_head(head)
        forward = run.receive_body(CHAT)
        assert isinstance(forward, Forward)
        sent.append(header(forward.headers, b"authorization"))
    assert sent == [f"Bearer {secret}".encode() for secret in (STORED, STORED, "sk-" + "newer" * 6)]


def test_equal_requests_get_the_very_same_headers_object() -> None:
    """The socket layer knows a rendered head by it."""
    on, head = plane(), RequestHead("POST", NATIVE, (BEARER, JSON))
    runs = [exchange(on, access=SERVED) for _ in range(2)]
    for run in runs:
        run.receive_head(head)
    first, second = [run.receive_body(CHAT) for run in runs]
    assert isinstance(first, Forward)
    assert isinstance(second, Forward)
    assert first.headers is second.headers
