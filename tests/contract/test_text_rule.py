"""One rule makes a text safe; the console, which knows nothing of the SDK, has its own copy of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml import _values
from otel_ml.console.receiving import _values as console

LONG = 100

RULE = [
    ("plain text", "plain text", "plain text"),
    ("größe 気 \U0001f600\xa0", "größe 気 \U0001f600\xa0", "größe 気 \U0001f600\xa0"),
    ("a\tb\nc", "a b c", "a\tb\nc"),
    ("a\r\nb\rc\r", "a  b c ", "a\nb\nc\n"),
    ("a\u2028b\u2029c", "a b c", "a b c"),
    (
        "\x00\x0b\x0c\x1b[31m\x1c\x7f",
        "\ufffd\ufffd\ufffd\ufffd[31m\ufffd\ufffd",
        "\ufffd\ufffd\ufffd\ufffd[31m\ufffd\ufffd",
    ),
    ("\x80\x85\x9b\x9f", "\ufffd" * 4, "\ufffd" * 4),
    ("\u202a\u202e\u2066\u2069", "\ufffd" * 4, "\ufffd" * 4),
    ("\ud800\udfff\udc80", "\ufffd" * 3, "\ufffd" * 3),
    ("x" * 200, "x" * LONG, "x" * LONG),
    ("\n" * 200, " " * LONG, "\n" * LONG),
]


@pytest.mark.parametrize(("given_text", "one_line", "lines"), RULE, ids=[ascii(row[0])[:20] for row in RULE])
@pytest.mark.parametrize("room", [_values, console], ids=["sdk", "console"])
def test_what_a_text_becomes(room, given_text, one_line, lines):
    """Nothing that steers a terminal, breaks a line or cannot be encoded gets through; a block keeps tabs and lines."""
    assert (room.line(given_text, LONG), room.block(given_text, LONG)) == (one_line, lines)


@given(st.text(st.characters(codec=None)), st.integers(0, 300))
def test_both_copies_of_the_rule_agree(text, limit):
    """The SDK and the console make the same of any text: valid UTF-8 that is no longer than allowed."""
    cleaned = _values.line(text, limit), _values.block(text, limit)

    assert cleaned == (console.line(text, limit), console.block(text, limit))
    assert max(map(len, cleaned)) <= limit
    "".join(cleaned).encode()


@pytest.mark.parametrize("limit", [-1, 0, 1, 5])
def test_the_limit_holds(limit):
    """A limit holds for texts and bytes, and a senseless one leaves nothing."""
    kept = "abcdefgh"[: max(limit, 0)]

    assert (_values.line("abcdefgh", limit), _values.block("abcdefgh", limit)) == (kept, kept)
    assert _values.line(b"abcdefgh", limit) == kept


def test_a_block_is_exactly_a_text():
    """Methods of a subclass of str are never called."""

    class Hostile(str):
        __slots__ = ()

        def isprintable(self):
            raise RuntimeError

    assert type(_values.block(Hostile("a\x00"), LONG)) is str
    assert _values.block(Hostile("a\x00"), LONG) == "a\ufffd"
