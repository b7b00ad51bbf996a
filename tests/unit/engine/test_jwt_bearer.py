"""Rules of `llmcp.engine.jwt_bearer`, `jwt_claims` and `jwt_keys`: what an issuer's token proves, and what proves nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.oidc_issuer import NOW, claims_of, private_key, public_jwk, signed
from llmcp.core.identity import Identity, NotProven
from llmcp.core.settings import JwtClaimSettings, JwtSettings
from llmcp.core.subject import Subject
from llmcp.engine.credentials import presented
from llmcp.engine.jwt_bearer import MAX_TOKEN, JwtBearer
from llmcp.engine.jwt_claims import find_claim
from llmcp.engine.jwt_keys import NO_KEYS, KeySet, read_keys
from llmcp.errors import UnreachableError

ISSUER = "https://login.example/realms/x"
ALL = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SETTINGS = JwtSettings(issuer=ISSUER, audience=("llmcp", "llmcp-test"))
ONE_KEY = [public_jwk("RSA", kid="k1")]


def key_set(keys: list[Any] | None = None, algorithms: tuple[str, ...] = SETTINGS.algorithms) -> KeySet:
    """Return the keys as they are read from a document."""
    return read_keys(json.dumps({"keys": ONE_KEY if keys is None else keys}).encode(), algorithms)


class Asking:
    """Counts who asks for newer keys, and says whether they come."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.count = 0

    def __call__(self) -> bool:
        """Answer as planned, else no."""
        self.count += 1
        return self.answers.pop(0) if self.answers else False


def bearer(keys: list[Any] | None = None, asking: Asking | None = None, **changed: Any) -> JwtBearer:
    """Return a verifier over `keys`."""
    said = SETTINGS.model_copy(update=changed)
    return JwtBearer(said, key_set(keys, said.algorithms), asking or Asking())


def why(proven: Identity | NotProven) -> str:
    """Return why nothing was proven."""
    assert isinstance(proven, NotProven), proven
    return proven.why


def b64(data: bytes | dict[str, Any]) -> str:
    """Return base64url without padding, of JSON where it is an object."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_good_token_proves_org_app_user_and_groups() -> None:
    """And for how long: its end and the leeway."""
    proven = bearer().verify(signed(claims_of(ISSUER)), NOW)
    assert proven == Identity(Subject("acme", "billing", "u-1", ("eng", "ops"), "jwt:k1"), expires="2026-05-01T12:10:30.000000Z")


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [(kind, name) for name in ALL for kind in ("RSA", "P-256", "P-384", "P-521", "Ed25519")],
)
def test_each_algorithm_goes_with_its_own_kind_of_key_only(kind: str, algorithm: str) -> None:
    """A token that names an algorithm of another kind finds no key."""
    fits = {"R": "RSA", "P": "RSA"}.get(algorithm[0]) or {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}.get(
        algorithm, "Ed25519"
    )
    verifier = bearer([public_jwk(kind, kid="k1")], algorithms=ALL)
    proven = verifier.verify(signed(claims_of(ISSUER), fits, algorithm), NOW)
    assert isinstance(proven, Identity) is (kind == fits)


def test_only_tokens_that_name_the_issuer_letter_by_letter_are_recognised() -> None:
    """Coding agents send other people's JWTs, which are their own keys."""
    verifier = bearer()
    assert verifier.recognises(signed(claims_of(ISSUER)))
    assert verifier.recognises(signed(claims_of(ISSUER, exp=1, aud="other"), number=1)), "what is ours to refuse is ours"
    for other in (ISSUER + "/", ISSUER.upper(), ISSUER[:-1], "https://auth.openai.com", "", ISSUER + "\u200b"):
        assert not verifier.recognises(signed(claims_of(other)))
    for listed in ([ISSUER], None, 7, {"iss": ISSUER}):
        assert not verifier.recognises(f"{b64({'alg': 'RS256'})}.{b64({'iss': listed})}.AAAA")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "sk-" + "x" * 20,
        "..",
        "a.b",
        "a.b.c.d",
        "....",
        "é.é.é",
        "{}.{}.{}",
        "sk.ant.x",
        "\ud800.\ud800.a",
        b64({"iss": ISSUER}),
    ],
)
def test_what_is_no_jwt_is_not_recognised_and_proves_nothing(key: str) -> None:
    """Nothing raises, whatever stands in a header."""
    verifier = bearer()
    assert not verifier.recognises(key)
    assert isinstance(verifier.verify(key, NOW), NotProven)


@given(st.text(max_size=80), st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=70))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_token_whatever_raises(text: str, head: bytes, claims: bytes, signature: bytes) -> None:
    """Neither garbage nor garbage in three parts."""
    verifier = bearer()
    good_head = b64({"alg": "RS256", "kid": "k1"})
    for token in (text, f"{b64(head)}.{b64(claims)}.{b64(signature)}", f"{good_head}.{b64(claims)}.{text}"):
        verifier.recognises(token)
        assert isinstance(verifier.verify(token, NOW), NotProven)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda x: st.lists(x, max_size=3)
    ),
    st.data(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_claims_of_any_type_are_read_or_refused_but_never_raise(value: Any, data: st.DataObject) -> None:
    """Whatever the issuer signed."""
    name = data.draw(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "org", "azp", "sub", "groups"]))
    token = _raw_signed(json.dumps({**claims_of(ISSUER), name: value}).encode(), "Ed25519", "EdDSA")
    verifier = bearer([public_jwk("Ed25519", kid="k1")])
    assert isinstance(verifier.verify(signed(claims_of(ISSUER), "Ed25519", "EdDSA"), NOW), Identity)
    verifier.recognises(token)
    proven = verifier.verify(token, NOW)
    assert isinstance(proven, Identity | NotProven)
    if isinstance(proven, Identity):
        assert all(isinstance(part, str) for part in (proven.subject.org, proven.subject.user, *proven.subject.groups))


def _raw_signed(payload: bytes, kind: str = "RSA", algorithm: str = "RS256") -> str:
    """Sign bytes that need not be JSON."""
    return jwt.PyJWS().encode(payload, private_key(kind), algorithm, headers={"kid": "k1"})


@pytest.mark.parametrize("change", ["{}=", "{}==", " {}", "{}\n", "{}.", ".{}", "{}!", "+{}", "{}\u00e9"])
def test_a_token_has_exactly_its_three_parts(change: str) -> None:
    """No padding, no blank, no fourth part: whoever reads it more leniently could read something else."""
    assert "compact form" in why(bearer().verify(change.format(signed(claims_of(ISSUER))), NOW))


def test_no_token_without_a_signature_is_taken() -> None:
    """`none` in all its spellings, with and without the old signature."""
    good = signed(claims_of(ISSUER))
    _, claims, signature = good.split(".")
    for name in ("none", "None", "NONE", "nOnE", ""):
        head = b64({"alg": name, "kid": "k1", "typ": "JWT"})
        assert isinstance(bearer().verify(f"{head}.{claims}.", NOW), NotProven)
        for last in (signature, "AA"):
            assert "algorithm" in why(bearer().verify(f"{head}.{claims}.{last}", NOW))
    assert isinstance(bearer().verify(f"{b64({'kid': 'k1'})}.{claims}.{signature}", NOW), NotProven)


def test_the_public_key_is_never_an_hmac_secret() -> None:
    """The classic confusion: HS256 with what everybody can read, as PEM, as JWK, as number."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = private_key("RSA").public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, claims = b64({"alg": "HS256", "kid": "k1", "typ": "JWT"}), b64(claims_of(ISSUER))
    for secret in (pem, pem.strip(), json.dumps(ONE_KEY[0]).encode(), ONE_KEY[0]["n"].encode(), b""):
        signature = hmac.new(secret, f"{head}.{claims}".encode(), hashlib.sha256).digest()
        assert "algorithm" in why(bearer().verify(f"{head}.{claims}.{b64(signature)}", NOW))


def test_an_algorithm_that_settings_do_not_name_is_refused_even_if_the_key_could() -> None:
    """The list is the settings', not the token's and not the issuer's."""
    assert isinstance(bearer(algorithms=("RS256", "RS512")).verify(signed(claims_of(ISSUER), algorithm="RS512"), NOW), Identity)
    assert "algorithm" in why(bearer().verify(signed(claims_of(ISSUER), algorithm="RS512"), NOW))
    wider = JwtBearer(SETTINGS, key_set(None, ALL), Asking())
    assert "`auth.jwt.algorithms`" in why(wider.verify(signed(claims_of(ISSUER), algorithm="RS512"), NOW))
    bound = [public_jwk("RSA", kid="k1", alg="RS256")]
    assert "not one for its algorithm" in why(
        bearer(bound, algorithms=ALL).verify(signed(claims_of(ISSUER), algorithm="PS256"), NOW)
    )


@pytest.mark.parametrize(
    "kid",
    ["../../dev/null", "/etc/passwd", "k1\x00", "k1 ", "K1", "' OR 1=1 --", "", "k" * 5000, "https://evil.example/k1", "k2"],
)
def test_a_kid_is_looked_up_and_nothing_else(kid: str) -> None:
    """It is no path, no query and no address; a key that has no id does not answer to one."""
    asking = Asking(True)
    proven = bearer(asking=asking).verify(signed(claims_of(ISSUER), kid=kid), NOW)
    assert why(proven) == "the token's key is none of the issuer's"
    assert asking.count == 1


@pytest.mark.parametrize("kid", [7, ["k1"], {"k1": 1}, True])
def test_a_kid_that_is_no_text_is_refused(kid: Any) -> None:
    """A list is not its first element."""
    head, claims, signature = signed(claims_of(ISSUER)).split(".")
    del head
    assert "not text" in why(bearer().verify(f"{b64({'alg': 'RS256', 'kid': kid})}.{claims}.{signature}", NOW))


def test_keys_that_a_token_brings_along_are_not_read() -> None:
    """`jwk`, `jku`, `x5u`: the signer may be anybody."""
    mine = public_jwk("RSA", 1)
    for member in ({"jwk": mine}, {"jku": "https://evil.example/keys"}, {"x5u": "https://evil.example/cert"}, {"x5c": ["AA"]}):
        token = signed(claims_of(ISSUER), number=1, **member)
        assert why(bearer().verify(token, NOW)) == "the signature is not the issuer's"


def test_without_a_kid_the_key_must_be_the_only_one_of_its_kind() -> None:
    """Two could have signed: which one is not for us to try."""
    token = signed(claims_of(ISSUER), kid=...)
    assert isinstance(bearer().verify(token, NOW), Identity)
    assert isinstance(bearer([*ONE_KEY, public_jwk("P-256", kid="k2")]).verify(token, NOW), Identity)
    assert isinstance(bearer([*ONE_KEY, public_jwk("RSA", 1, kid="k2")]).verify(token, NOW), NotProven)
    assert isinstance(bearer([*ONE_KEY, public_jwk("RSA", 1, kid="k1")]).verify(signed(claims_of(ISSUER)), NOW), NotProven)


@pytest.mark.parametrize(
    "head",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"typ": "logout+jwt"},
        {"typ": "secevent+jwt"},
        {"typ": "dpop+jwt"},
    ],
)
def test_tokens_of_another_purpose_are_refused(head: dict[str, Any]) -> None:
    """A logout token has an issuer, an audience and a signature too."""
    first, claims, signature = signed(claims_of(ISSUER)).split(".")
    del first
    token = f"{b64({'alg': 'RS256', 'kid': 'k1', **head})}.{claims}.{signature}"
    assert "kind that is not taken" in why(bearer().verify(token, NOW))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", ...])
def test_access_tokens_and_plain_ones_are_taken(typ: Any) -> None:
    """RFC 9068's type, the common one, and none."""
    assert isinstance(bearer().verify(signed(claims_of(ISSUER), typ=typ), NOW), Identity)


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"exp": ...}, "no `exp`"),
        ({"exp": None}, "`exp` is not a time"),
        ({"exp": "2026"}, "`exp` is not a time"),
        ({"exp": True}, "`exp` is not a time"),
        ({"exp": -1}, "`exp` is not a time"),
        ({"exp": 10**30}, "`exp` is not a time"),
        ({"exp": float("inf")}, "signature"),
        ({"exp": int(NOW.timestamp()) - 30}, "expired"),
        ({"nbf": int(NOW.timestamp()) + 31}, "not valid yet"),
        ({"nbf": "soon"}, "`nbf` is not a time"),
        ({"iat": int(NOW.timestamp()) + 31}, "issued in the future"),
        ({"iat": int(NOW.timestamp()) + 20, "exp": int(NOW.timestamp()) + 10}, "ended before"),
        ({"aud": "llm"}, "audience"),
        ({"aud": "llmcp2"}, "audience"),
        ({"aud": ["a", "b"]}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": ...}, "audience"),
        ({"aud": {"llmcp": 1}}, "audience"),
        ({"aud": [["llmcp"]]}, "audience"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": ...}, "another issuer"),
        ({"org": ...}, "no claim `org`"),
        ({"org": ""}, "no claim `org`"),
        ({"org": ["acme"]}, "`org` is not a name"),
        ({"org": 7}, "`org` is not a name"),
        ({"org": "a\nb"}, "`org` is not a name"),
        ({"sub": "x" * 257}, "`sub` is not a name"),
        ({"azp": {"a": 1}}, "`azp` is not a name"),
        ({"groups": ["a", 7]}, "`groups` is not a list"),
        ({"groups": {"a": 1}}, "`groups` is not a list"),
        ({"groups": ["x"] * 513}, "`groups` is not a list"),
        ({"groups": [""]}, "`groups` is not a list"),
    ],
)
def test_a_signed_token_that_says_the_wrong_thing_proves_nothing(claims: dict[str, Any], word: str) -> None:
    """And says in words why, without quoting itself."""
    said = why(bearer().verify(_raw_signed(json.dumps(claims_of(ISSUER, **claims)).encode()), NOW))
    assert word in said
    assert "x" * 20 not in said


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": int(NOW.timestamp()) - 29, "iat": ...}, {}),
        ({"exp": NOW.timestamp() + 0.5}, {}),
        ({"nbf": int(NOW.timestamp()) + 30}, {}),
        ({"aud": ["other", "llmcp-test"]}, {}),
        ({"azp": ..., "sub": ...}, {"app": "", "user": ""}),
        ({"groups": "eng ops  sre"}, {"groups": ("eng", "ops", "sre")}),
        ({"groups": ...}, {"groups": ()}),
        ({"groups": []}, {"groups": ()}),
        ({"groups": None}, {"groups": ()}),
    ],
)
def test_what_a_signed_token_may_say_in_several_ways(claims: dict[str, Any], expected: dict[str, Any]) -> None:
    """The leeway, lists of audiences, groups as words, and claims that are not there."""
    proven = bearer().verify(signed(claims_of(ISSUER, **claims)), NOW)
    assert isinstance(proven, Identity)
    for name, value in expected.items():
        assert getattr(proven.subject, name) == value


def test_claims_are_found_by_their_name_and_by_their_way() -> None:
    """A name with dots may be one claim (a URL) or lead into objects; the plain one comes first."""
    claims = {"a.b": 1, "a": {"b": 2, "c.d": {"e": 3}}, "https://x.example/org": "acme", "resource": {"llmcp": {"roles": ["r"]}}}
    assert find_claim(claims, "a.b") == 1
    assert find_claim(claims, "a.c.d.e") == 3
    assert find_claim(claims, "https://x.example/org") == "acme"
    assert find_claim(claims, "resource.llmcp.roles") == ["r"]
    assert find_claim(claims, "resource.llmcp.none") is None
    assert find_claim(claims, "a.b.c") is None


def test_claims_of_other_names_are_read_as_settings_say() -> None:
    """And an empty name reads nothing: the org is then `default`."""
    names = JwtClaimSettings(org="", app="client.id", user="email", groups="realm.roles")
    token = signed(claims_of(ISSUER, client={"id": "cli"}, email="u@x.example", realm={"roles": ["r1"]}))
    proven = bearer(claims=names).verify(token, NOW)
    assert isinstance(proven, Identity)
    assert proven.subject == Subject("default", "cli", "u@x.example", ("r1",), "jwt:k1")


def test_without_an_audience_nothing_is_proven() -> None:
    """The issuer makes tokens for other services; those are recognised, so they do not go upstream either."""
    verifier = bearer(audience=())
    token = signed(claims_of(ISSUER))
    assert verifier.recognises(token)
    assert "audience" in why(verifier.verify(token, NOW))


def test_an_unknown_key_asks_for_newer_ones_and_says_whether_to_come_again() -> None:
    """While the issuer's keys are not there at all, coming again always helps."""
    token = signed(claims_of(ISSUER), kid="k2")
    asking = Asking(True, False)
    verifier = bearer(asking=asking)
    assert verifier.verify(token, NOW) == NotProven("the token's key is none of the issuer's", again=True)
    assert verifier.verify(token, NOW) == NotProven("the token's key is none of the issuer's", again=False)
    assert asking.count == 2
    empty = JwtBearer(SETTINGS, NO_KEYS, Asking())
    assert empty.recognises(token)
    assert empty.verify(token, NOW) == NotProven("the issuer's keys are not known yet", again=True)


def test_a_false_signature_never_asks_for_keys() -> None:
    """Else anybody could make the daemon ask."""
    asking = Asking(True)
    proven = bearer(asking=asking).verify(signed(claims_of(ISSUER), number=1), NOW)
    assert proven == NotProven("the signature is not the issuer's")
    assert not asking.count


@given(st.integers(0, 10**6), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.="))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_changed_letter_of_a_token_is_taken(at: int, letter: str) -> None:
    """Neither in the head, the claims nor the signature: even one that decodes to the same bytes."""
    token = _GOOD
    at %= len(token)
    changed = token[:at] + letter + token[at + 1 :]
    if changed != token:
        verifier = bearer()
        assert isinstance(verifier.verify(token, NOW), Identity)
        assert isinstance(verifier.verify(changed, NOW), NotProven)


_GOOD = signed(claims_of(ISSUER))


def test_a_remembered_token_ends_when_it_ends() -> None:
    """The memory saves the signature, not the clock."""
    verifier = bearer()
    token = signed(claims_of(ISSUER))
    first = verifier.verify(token, NOW)
    assert verifier.verify(token, NOW + timedelta(seconds=629)) is first
    assert "expired" in why(verifier.verify(token, NOW + timedelta(seconds=630)))


def test_the_memory_is_bounded() -> None:
    """However many tokens come."""
    verifier = bearer([public_jwk("Ed25519", kid="k1")])
    for number in range(200):
        verifier._known.put(number.to_bytes(32), (0.0, Identity(Subject())))
    for number in range(9000):
        verifier._known.put(number.to_bytes(32), (0.0, Identity(Subject())))
    assert len(verifier._known) <= 4096


def test_a_huge_token_is_recognised_and_refused() -> None:
    """It is refused before it is hashed or checked; it still never goes upstream."""
    token = signed(claims_of(ISSUER, more="x" * MAX_TOKEN))
    verifier = bearer()
    assert verifier.recognises(token)
    assert "longer than" in why(verifier.verify(token, NOW))
    deep = f"{b64(b'{' + b'[' * 8000)}.{b64(b'[' * 3000)}.AA"
    assert not verifier.recognises(deep)
    assert isinstance(verifier.verify(deep, NOW), NotProven)


def test_a_long_kid_is_cut_for_the_record() -> None:
    """A record names the key in at most 64 characters, printable ones."""
    kid = "k\n" + "x" * 100
    proven = bearer([public_jwk("RSA", kid=kid)]).verify(signed(claims_of(ISSUER), kid=kid), NOW)
    assert isinstance(proven, Identity)
    assert proven.subject.key_id == "jwt:k?" + "x" * 62


@pytest.mark.parametrize(
    ("entry", "word", "faulty"),
    [
        (public_jwk("RSA-1024", kid="k1"), "1024 bits", True),
        (public_jwk("RSA", kid="k1", d="AQAB"), "private", True),
        (public_jwk("RSA", kid=7), "id is not text", True),
        (public_jwk("RSA", kid="k1", n="%%%"), "no key", True),
        (public_jwk("RSA", kid="k1", n=7), "no key", True),
        (public_jwk("RSA", kid="k1", e="AA"), "no key", True),
        (public_jwk("P-256", kid="k1", x="AAAA"), "no key", True),
        (public_jwk("P-256", kid="k1", y=public_jwk("P-256")["x"]), "no key", True),
        (public_jwk("Ed25519", kid="k1", x="AAAA"), "no key", True),
        ("k1", "not an object", True),
        (public_jwk("RSA", kid="k1", use="enc"), "not for signatures", False),
        (public_jwk("RSA", kid="k1", use=None), "not for signatures", False),
        (public_jwk("RSA", kid="k1", key_ops=["encrypt"]), "verify", False),
        (public_jwk("RSA", kid="k1", alg="RSA-OAEP"), "none that it is good for", False),
        (public_jwk("RSA", kid="k1", alg="HS256"), "none that it is good for", False),
        (public_jwk("P-256", kid="k1", crv="secp256k1"), "none that it is good for", False),
        ({"kty": "oct", "kid": "k1", "k": "AAAA"}, "none that it is good for", False),
        ({"kty": "oct", "kid": "k1", "k": "AAAA", "alg": "HS256"}, "none that it is good for", False),
        ({}, "none that it is good for", False),
    ],
)
def test_a_key_that_does_not_fit_is_left_out_and_named(entry: Any, word: str, faulty: bool) -> None:
    """The others stand. What is for another purpose is no fault."""
    keys = key_set([entry, public_jwk("RSA", 1, kid="k9")])
    assert [key.kid for key in keys.keys] == ["k9"]
    (left_out,) = keys.left_out
    assert word in left_out.why
    assert left_out.faulty is faulty


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b"[]", b"{}", b'{"keys":{}}', b'"keys"', b"[" * 100_000, b"\xff\xfe", b"null"]
)
def test_what_is_no_jwks_raises_an_error_that_can_be_said(document: bytes) -> None:
    """And it does not quote the document."""
    with pytest.raises(UnreachableError) as caught:
        read_keys(document, ALL)
    assert caught.value.fix


def test_a_home_without_an_issuer_loads_no_jwt_library() -> None:
    """PyJWT and `cryptography` cost 60 ms."""
    code = (
        "import sys, llmcp.engine.jwt_bearer, llmcp.wiring.jwt as w; from llmcp.core.settings import Settings; "
        "s = w.start(Settings()); assert s.verifier() is None and not s.problems(); s.stop(); "
        "assert not {'jwt', 'httpx', 'cryptography'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ), timeout=60)


@pytest.mark.parametrize("rest", [".", ".x", "..", ".AAAA.AAAA"])
def test_a_token_with_parts_too_many_is_refused_and_does_not_pass_for_another_key(rest: str) -> None:
    """A provider that saw it would have only to cut it."""
    token = signed(claims_of(ISSUER), kid="k1") + rest
    verifier = bearer()
    assert verifier.recognises(token)
    assert isinstance(verifier.verify(token, NOW), NotProven)
    claims = presented(((b"authorization", b"Bearer " + token.encode()),)).claims
    assert [claim.text for claim in claims] == [token.encode()]


@pytest.mark.parametrize("gap", [" ", "\t", "=", "  "])
def test_a_token_with_something_between_its_parts_is_refused_and_does_not_pass_for_another_key(gap: str) -> None:
    """Where it was copied with a line's end, say."""
    token = signed(claims_of(ISSUER), kid="k1").replace(".", f".{gap}", 1)
    verifier = bearer()
    assert verifier.recognises(token)
    assert isinstance(verifier.verify(token, NOW), NotProven)
