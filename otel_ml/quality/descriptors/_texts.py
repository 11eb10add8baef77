"""Describes a text by its size and characters, and by one of its words."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from zlib import crc32

from otel_ml._values.kinds import builtin

TEXT_PARTS: Final = ("length", "words", "digit_share", "upper_share", "non_ascii_share", "word")
READ: Final = 4096
"""Characters of a text that are read; only `length` is that of the whole text."""
_CODES: Final = 1 << 18
"""Codes of words, so that a vocabulary is bounded."""
_NO_WORD: Final = "none"
_DIGITS: Final = b"0123456789"
_CAPITALS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ASCII: Final = re.compile("[\x00-\x7f]+")
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Characters of scripts without blanks between words: Thai, Lao, Burmese, Khmer, kana and Han."""
_WORD: Final = re.compile(f"[{_UNSPACED}]|[^\\W\\d_{_UNSPACED}]+")


def describe_text(value: object) -> tuple[object, ...] | None:
    """Returns the values of `TEXT_PARTS` for a text; None for anything else.

    The word is chosen by a checksum of the text and replaced by a code. Over many texts its distribution is that of
    all words, and the share of codes that training did not have is the share of words out of vocabulary.
    """
    text = builtin(value)
    if type(text) is not str:
        return None
    text = text.strip()
    part = text[:READ]
    if not part.isascii():
        part = unicodedata.normalize("NFC", part)
    plain, other = part.encode("ascii", "ignore"), _ASCII.sub("", part)
    size = len(part) or 1
    digits = len(plain) - len(plain.translate(None, _DIGITS)) + sum(map(str.isdigit, other))
    capitals = len(plain) - len(plain.translate(None, _CAPITALS)) + sum(map(str.isupper, other))
    words = _WORD.findall(part.casefold())
    word = _code(words[_checksum(part) % len(words)]) if words else _NO_WORD
    return float(len(text)), float(len(words)), digits / size, capitals / size, len(other) / size, word


def _code(word: str) -> str:
    return f"w{_checksum(word) % _CODES:05x}"


def _checksum(text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass"))
