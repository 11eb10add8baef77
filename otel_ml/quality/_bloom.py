"""A Bloom filter: a set of digests with one byte for each, no false negatives, and about 2 % false positives."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Final

BITS_EACH: Final = 8
"""Bits for each digest."""
_HASHES: Final = 6
_LOW: Final = 0xFFFFFFFF


class BloomFilter:
    """A set of digests of 16 hexadecimal digits. Looking one up needs no numpy."""

    __slots__ = ("_bits",)

    def __init__(self, bits: bytes) -> None:
        self._bits = bits

    @classmethod
    def build(cls, digests: Iterable[str]) -> BloomFilter:
        """Returns a filter with these digests; needs numpy."""
        import numpy as np

        hashes: Any = np.fromiter((int(digest, 16) for digest in digests), dtype=np.uint64)
        size = np.uint64(max(1, len(hashes)) * BITS_EACH)
        bits = np.zeros(int(size), dtype=bool)
        start, step = hashes & np.uint64(_LOW), (hashes >> np.uint64(32)) | np.uint64(1)
        for number in range(_HASHES):
            bits[(start + np.uint64(number) * step) % size] = True
        return cls(np.packbits(bits, bitorder="little").tobytes())

    @classmethod
    def from_text(cls, text: str) -> BloomFilter:
        """Reads what `to_text` wrote; raises a ValueError for any other text."""
        try:
            bits = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"a filter is not base64: {error}") from None
        if not bits:
            raise ValueError("a filter is empty")
        return cls(bits)

    def to_text(self) -> str:
        """Returns the filter as base64."""
        return base64.b64encode(self._bits).decode()

    def __contains__(self, digest: object) -> bool:
        found = int(str(digest), 16)
        start, step, size = found & _LOW, (found >> 32) | 1, len(self._bits) * 8
        places = ((start + number * step) % size for number in range(_HASHES))
        return all(self._bits[place >> 3] >> (place & 7) & 1 for place in places)
