"""Rules of `llmcp.engine.access` and of the credential book beneath it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.accesses import PEPPER, STORED, Issuer, access, credential, make_token
from fakes.planes import plane
from llmcp.core.credentials import CredentialEntry
from llmcp.core.http import RequestHead
from llmcp.core.identity import Identity
from llmcp.core.records import timestamp
from llmcp.core.subject import Subject
from llmcp.engine.access import NOBODY, Access, Caller, Rejected
from llmcp.engine.credentials import Claim, presented
from llmcp.ports import Endpoint

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY, TOKEN = make_token(app="bot", user="ann", groups=("a", "b"), labels={"team": "core"})


def ask(of: Access, *keys: str, now: datetime = NOW) -> Any:
    """Identify the bearer of `keys`, each in a header of its own."""
    return of.identify(tuple(Claim(key.encode("utf-8", "surrogatepass"), virtual=True) for key in keys), now)


def test_a_valid_key_proves_its_tokens_subject() -> None:
    """Org, app, user, groups, labels and the token's id."""
    found = ask(access(TOKEN), KEY)
    assert isinstance(found, Caller)
    assert found.subject == Subject("acme", "bot", "ann", ("a", "b"), TOKEN.id, "", {"team": "core"})


@given(st.integers(0, len(KEY) - 1), st.characters(codec="ascii"))
def test_a_key_with_another_character_proves_nothing(at, character) -> None:
    """Whichever character it is."""
    changed = KEY[:at] + character + KEY[at + 1 :]
    found = ask(access(TOKEN), changed)
    assert isinstance(found, Caller if changed == KEY else Rejected)


@given(st.integers(0, len(KEY) - 1))
def test_a_truncated_key_proves_nothing(length) -> None:
    """However much is left of it."""
    assert isinstance(ask(access(TOKEN), KEY[:length]), Rejected)


@given(st.lists(st.booleans(), min_size=len(KEY), max_size=len(KEY)))
def test_a_case_changed_key_proves_nothing(swap) -> None:
    """Base62 counts on letter case."""
    changed = "".join(c.swapcase() if s else c for c, s in zip(KEY, swap, strict=True))
    assert isinstance(ask(access(TOKEN), changed), Caller if changed == KEY else Rejected)


@given(st.text(max_size=80))
def test_no_text_raises(text) -> None:
    """Whatever bytes a client sends, the answer is a refusal."""
    assert isinstance(ask(access(TOKEN), text), Rejected)


def test_another_homes_key_is_unknown_even_where_its_id_is_the_same() -> None:
    """The digest is keyed: without this home's pepper nothing is proven."""
    foreign_key, foreign = make_token(1, pepper=bytes(32))
    assert foreign.id == TOKEN.id
    assert ask(access(make_token(9)[1]), foreign_key).error_type == "virtual_key_unknown"
    other = make_token(1, pepper=bytes(32), app="bot")[1]
    found = ask(access(other), KEY)
    assert found.error_type == "virtual_key_mismatch"


def test_without_a_pepper_no_token_proves_anything() -> None:
    """A home that lost it fails closed, also for a digest that was made without one."""
    from llmcp.core.identity import DirectoryData, Org

    key, token = make_token(2, pepper=b"", org="default")
    data = DirectoryData(tokens=(token,), orgs=(Org(name="default"),), pepper=b"")
    assert isinstance(ask(Access(data), key), Rejected)


@pytest.mark.parametrize(
    ("fields", "error_type"),
    [
        ({"revoked": timestamp(NOW)}, "virtual_key_revoked"),
        ({"expires": timestamp(NOW)}, "virtual_key_expired"),
        ({"expires": "soon"}, "virtual_key_expired"),
        ({"expires": "2030-01-01T00:00:00"}, "virtual_key_expired"),
        ({"org": "closed"}, "org_disabled"),
        ({"org": "nowhere"}, "org_unknown"),
        ({"app": "off"}, "app_disabled"),
        ({"app": "removed"}, "app_disabled"),
    ],
)
def test_the_record_learns_why_and_the_bearer_one_sentence(fields, error_type) -> None:
    """Revoked, expired and unknown are told apart only where an auditor looks; whose token it was stands there too."""
    key, token = make_token(3, **fields)
    found = ask(access(token), key)
    unknown = ask(NOBODY, key)
    assert found.error_type == error_type
    assert found.subject.key_id == token.id
    assert found.subject.org == token.org
    assert unknown.subject.key_id == ""
    assert found.why == unknown.why


def test_expiry_is_looked_at_with_every_request() -> None:
    """The same snapshot says yes before and no from the very moment on."""
    key, token = make_token(4, expires=timestamp(NOW))
    of = access(token)
    assert isinstance(ask(of, key, now=NOW - timedelta(microseconds=1)), Caller)
    assert isinstance(ask(of, key, now=NOW), Rejected)


def test_an_attempt_on_a_known_token_names_it() -> None:
    """A cut or altered key whose id is there is an attempt that its org should see; nothing else of the token is told."""
    found = ask(access(TOKEN), KEY[:-5])
    assert found.error_type == "virtual_key_malformed"
    assert found.subject == Subject(org="acme", key_id=TOKEN.id)


def test_two_different_keys_are_refused_and_one_key_twice_is_not() -> None:
    """Some SDKs send theirs in two headers."""
    other_key, other = make_token(5)
    of = access(TOKEN, other)
    assert ask(of, KEY, other_key).error_type == "virtual_keys_differ"
    assert isinstance(ask(of, KEY, KEY), Caller)


def test_a_token_of_the_issuer_proves_itself_or_is_refused() -> None:
    """And says so where asking again may help."""
    issuer = Issuer()
    of = access(verifier=issuer)

    def jwt(word: str) -> Any:
        return of.identify(presented(((b"authorization", f"Bearer {issuer.token(word)}".encode()),)).claims, NOW)

    assert jwt("good").subject.user == "ann"
    assert (jwt("bad").error_type, jwt("bad").again) == ("jwt_not_proven", False)
    assert (jwt("later").error_type, jwt("later").again) == ("jwt_keys_not_known", True)


def test_a_jwt_of_somebody_else_is_not_meant_for_llmcp() -> None:
    """It is the client's own key for a provider."""
    claims = presented(((b"authorization", b"Bearer a.b.c"),)).claims
    assert access(verifier=Issuer()).identify(claims, NOW) is None
    assert NOBODY.identify(claims, NOW) is None


@pytest.mark.parametrize(
    ("subject", "error_type"),
    [
        (Subject(org="nowhere"), "org_unknown"),
        (Subject(org="closed"), "org_disabled"),
        (Subject(org="acme", app="off"), "app_disabled"),
        (Subject(org="acme", app="never-registered"), ""),
    ],
)
def test_an_issuers_token_counts_only_in_an_org_that_is_served(subject, error_type) -> None:
    """A claim makes no tenant; an app that nobody registered is only a name."""
    issuer = Issuer(Identity(subject))
    claims = presented(((b"authorization", f"Bearer {issuer.token()}".encode()),)).claims
    found = access(verifier=issuer).identify(claims, NOW)
    assert (found.error_type if isinstance(found, Rejected) else "") == error_type


def test_a_key_and_a_token_of_the_issuer_together_are_refused() -> None:
    """Two identities on one request are none."""
    issuer = Issuer()
    headers = ((b"authorization", f"Bearer {issuer.token()}".encode()), (b"x-api-key", KEY.encode()))
    found = access(TOKEN, verifier=issuer).identify(presented(headers).claims, NOW)
    assert isinstance(found, Rejected)


SURFACE = plane().surface


def find(of: Access, provider: str = "openai", org: str = "acme", salt: str = "d_1", resource: str = "res") -> str | None:
    """Return the id of the entry that serves, or None."""
    path = f"/azure/{resource}/openai/v1/responses" if provider == "azure" else f"/{provider}/v1/chat/completions"
    endpoint = SURFACE.resolve(RequestHead("POST", path, ()))
    assert isinstance(endpoint, Endpoint)
    found = of.credential(endpoint, org, SURFACE, salt=salt)
    return found.entry.id if found is not None else None


def test_an_orgs_own_credential_goes_before_the_shared_one() -> None:
    """And never to another org."""
    of = access(credentials=(credential(), credential(org="acme")))
    assert find(of) == "cred_openai_acme"
    assert find(of, org="other") == "cred_openai_"
    assert find(of, "anthropic") is None


def test_an_org_whose_own_credential_is_paused_or_lost_is_not_served_by_the_shared_one() -> None:
    """Its traffic would run on another account unasked."""
    assert find(access(credentials=(credential(), credential(org="acme", weight=0)))) is None
    lost = CredentialEntry(id="cred_x", provider="openai", org="acme")
    assert find(access(credentials=(credential(),), unavailable=(lost,))) is None


def test_resources_hold_a_credential_to_their_hosts() -> None:
    """Where the client names the host, only to those of the entry."""
    of = access(credentials=(credential("azure", resources=("mine",)),))
    assert find(of, "azure", resource="mine") == "cred_azure_"
    assert find(of, "azure", resource="evil") is None


def test_several_are_picked_by_weight_and_always_alike_for_one_decision() -> None:
    """Three to one over many decisions; the same one for the same decision."""
    of = access(credentials=(credential(id="a", weight=3), credential(id="b", weight=1), credential(id="c", weight=0)))
    picks = Counter(find(of, salt=f"d_{n}") for n in range(2000))
    assert set(picks) == {"a", "b"}
    assert 0.7 < picks["a"] / 2000 < 0.8
    assert all(find(of, salt=f"d_{n}") == find(of, salt=f"d_{n}") for n in range(20))


@pytest.mark.parametrize("secret", ["", "two\nlines", "two words", "schl\u00fcssel", "tab\t"])
def test_a_secret_that_no_header_takes_is_a_problem_and_not_used(secret) -> None:
    """It could end a header and begin another; the problem names the entry, never the secret."""
    of = access(credentials=(credential(secret=secret),))
    assert find(of) is None
    assert len(of.problems) == 1
    assert not secret or secret not in of.problems[0]


def test_no_secret_stands_in_a_repr() -> None:
    """Snapshots may end up in a log line or a traceback."""
    of = access(TOKEN, credentials=(credential(),))
    shown = repr(of) + repr(ask(of, KEY)) + repr(of._credentials) + repr(credential())
    assert STORED not in shown
    assert KEY not in shown
    assert PEPPER.hex() not in shown
