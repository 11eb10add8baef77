"""Short hashes that recognise a value without containing it."""

from __future__ import annotations

import hashlib


def digest(text: str, salt: str = "") -> str:
    """Returns a short hash of a category, keyed by the salt, which recognises a value without containing it.

    Anyone who also has the salt, as in the file of a profile, can still try values one by one.
    """
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, key=salt.encode()).hexdigest()
