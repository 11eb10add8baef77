"""Credentials in exception texts; the whole list of forms is tested in tests/field/pipeline/test_credentials.py."""

from __future__ import annotations

import pytest

from otel_ml._credentials import MASK, mask

ALONE = [
    *(f"{kind}_abcdefghijklmnopqrst" for kind in ("ghp", "gho", "ghu", "ghs", "ghr", "github_pat", "hf", "sk")),
    "glpat-abcdefghijklmnopqrst",
    "sk-abcdefghijklmnopqrst",
    "xoxb-1234567890",
    "AKIAABCDEFGHIJKLMNOP",
    "ASIAABCDEFGHIJKLMNOP",
    f"AIza{'a' * 35}",
    "eyJhbGciOi.eyJzdWIi.c2ln",
]
BESIDE_A_WORD = [
    "requirepass 'hunter2'",
    "masterauth 'hunter2'",
    "identified by 'hunter2'",
    "negotiate hunter2",
    "/x?auth=hunter2",
    "/x?x-goog-credential=hunter2",
    "--pin hunter2",
    "pwd=hunter2",
    "passport no. 1, passport_number=hunter2",
    "ssn: hunter2",
    "iban: hunter2",
    "passphrase: hunter2",
    "mobile_phone: hunter2",
]


@pytest.mark.parametrize("text", ALONE)
def test_a_key_of_fixed_form_is_masked_wherever_it_stands(text):
    """A key is masked in a line without any other word that hints at a credential."""
    assert mask(f"used {text} there") == f"used {MASK} there"


@pytest.mark.parametrize("text", BESIDE_A_WORD)
def test_a_word_that_is_alone_in_its_line_hints_at_its_credential(text):
    """No form depends on a second word in the same line."""
    assert "hunter2" not in mask(text)
