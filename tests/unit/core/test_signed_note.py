"""Signed notes and checkpoints, held against the vector that all implementations share."""

from __future__ import annotations

import base64
import contextlib

import hypothesis.strategies as st
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings

from llmcp.core import signed_note
from llmcp.core.signed_note import CheckpointText, NoteError, VerifierKey

VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = f"{TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Check an Ed25519 signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_the_shared_vector_opens_and_comes_out_byte_for_byte():
    """The key, the note and its signature are those that other implementations publish."""
    key = signed_note.parse_vkey(VKEY)
    assert key.text == VKEY
    assert signed_note.open_note(NOTE, key, verify) == TEXT
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    assert VerifierKey("PeterNeumann", private.public_key().public_bytes_raw()) == key
    assert signed_note.seal(TEXT, key, private.sign) == NOTE


@given(st.integers(0, len(NOTE) - 1), st.characters(codec="utf-8"))
@settings(max_examples=150, deadline=None)
def test_no_altered_note_opens_to_another_text(at, letter):
    """Whatever single character is changed: refused, or it says the same."""
    altered = NOTE[:at] + letter + NOTE[at + 1 :]
    try:
        assert signed_note.open_note(altered, signed_note.parse_vkey(VKEY), verify) == TEXT
    except NoteError:
        assert altered != NOTE


@pytest.mark.parametrize("cut", [(0, 5), (3, None), (0, -1), (0, 20)])
def test_a_mangled_key_is_refused(cut):
    """A part of a key is none."""
    with pytest.raises(NoteError):
        signed_note.parse_vkey(VKEY[slice(*cut)])


def test_a_key_under_another_name_is_refused():
    """The id binds the name."""
    with pytest.raises(NoteError, match="altered"):
        signed_note.parse_vkey(VKEY.replace("Peter", "Paul"))


@given(st.binary(max_size=80))
@settings(max_examples=100)
def test_any_bytes_are_a_note_or_refused(data):
    """Reading never fails in another way."""
    text = data.decode("utf-8", "replace")
    for read in (signed_note.peek, signed_note.parse_checkpoint, signed_note.parse_vkey):
        with contextlib.suppress(NoteError):
            read(text)


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32))
@settings(max_examples=50)
def test_a_checkpoint_reads_back_as_written(size, root):
    """Text and value are one to one."""
    said = CheckpointText("example.com/log", size, root)
    assert signed_note.parse_checkpoint(said.text) == said


@pytest.mark.parametrize(
    "text",
    [
        "a\n1\n\n",
        "\n1\nAAAA\n",
        "a\n01\n" + "A" * 43 + "=\n",
        "a\n-1\n" + "A" * 43 + "=\n",
        "a\n1\nAAAA\n",
        "a\n1\n" + "A" * 43 + "=",
        "a\n1\n" + "A" * 42 + "B=\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text):
    """Empty lines, leading zeroes, short roots, a missing end, bits past the end of base64."""
    with pytest.raises(NoteError):
        signed_note.parse_checkpoint(text)
