"""Rules of `llmcp.engine.credentials`."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.engine.credentials import Presented, claim_of, presented

VIRTUAL = b"llmcp_" + b"0" * 20
JWT = b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.c2ln"


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer " + VIRTUAL),
        (b"authorization", b"bearer  " + VIRTUAL),
        (b"authorization", VIRTUAL),
        (b"x-api-key", VIRTUAL),
        (b"x-api-key", b" " + VIRTUAL + b" "),
        (b"api-key", VIRTUAL),
        (b"x-goog-api-key", VIRTUAL),
        (b"proxy-authorization", b"Bearer " + VIRTUAL),
        (b"proxy-authorization", b"Basic " + base64.b64encode(b"user:" + VIRTUAL)),
        (b"authorization", b"Basic " + base64.b64encode(VIRTUAL + b":")),
    ],
)
def test_a_virtual_key_is_found_wherever_an_sdk_puts_it(header) -> None:
    """Every place of CONTRACT section 2, without its scheme."""
    (claim,) = presented((header,)).claims
    assert claim.virtual
    assert claim.text == VIRTUAL
    assert claim.header == header


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.text("abcXYZ019_", max_size=60))
def test_a_virtual_key_in_any_letter_case_must_prove_itself(upper, rest) -> None:
    """A key whose case was changed is refused as ours; as somebody else's it would be passed on."""
    begin = "".join(c.upper() if up else c for c, up in zip("llmcp_", upper, strict=True))
    key = (begin + rest).encode()
    assert presented(((b"authorization", b"Bearer " + key),)).claims[0].virtual
    found = claim_of(key.decode())
    assert found is not None
    assert found.virtual


def test_what_only_holds_a_virtual_key_was_meant_to_be_one() -> None:
    """It is read as it stands, and proves nothing."""
    (claim,) = presented(((b"x-api-key", b"my key: " + VIRTUAL),)).claims
    assert claim.virtual
    assert claim.text != VIRTUAL


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"proxy-authorization"])
def test_three_parts_may_be_a_token_of_the_issuer(name) -> None:
    """Whose it is, is not asked here."""
    (claim,) = presented(((name, b"Bearer " + JWT),)).claims
    assert not claim.virtual
    assert claim.text == JWT


def test_a_providers_own_key_claims_nothing() -> None:
    """It is counted, and a proxy's password is not."""
    key = (b"authorization", b"Bearer sk-" + b"k" * 20)
    assert presented((key,)) == Presented(any=True)
    assert presented((key, (b"x-api-key", b"sk-ant-" + b"k" * 20))) == Presented(any=True, several=True)
    assert presented(((b"proxy-authorization", b"Basic dTpw"),)) == Presented(any=False)
    assert claim_of("AIza" + "x" * 10) is None
    assert claim_of("") is None


def test_the_text_of_a_claim_is_in_nothing_that_is_shown() -> None:
    """A traceback or a log line may have a claim's `repr`."""
    (claim,) = presented(((b"x-api-key", VIRTUAL),)).claims
    assert VIRTUAL.decode() not in repr(claim)
