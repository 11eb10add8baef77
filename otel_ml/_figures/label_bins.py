"""The bins of the labels of a reference as plain data, which a store keeps for processes without the reference."""

from __future__ import annotations

import json
from bisect import bisect_right
from math import isnan
from typing import NamedTuple

from otel_ml._digests import digest
from otel_ml._values.equality import find_equal, spellings


class LabelBins(NamedTuple):
    """The bins of the feature ``__label__`` of one profile. Labels lie where a value of that feature would."""

    profile_id: str
    kind: str
    """``number`` or ``category``."""
    labels: tuple[str, ...]
    """One text for each bin."""
    edges: tuple[float, ...] = ()
    """Inner edges of numbers, ascending."""
    categories: tuple[str, ...] = ()
    """Category of each bin except the last two, which are other and unseen."""
    rare: tuple[str, ...] | None = ()
    """Digests of the categories that are in the bin of the others; None if they are too many to be listed: then every
    category without a bin is there."""
    salt: str = ""
    """Key of these digests."""

    def find(self, label: str, number: float | None) -> int | None:
        """Returns the bin of a label, given as canonical text and as the number behind it; None if it has none."""
        if self.kind == "number":
            return None if number is None or isnan(number) else bisect_right(self.edges, number)
        equal = find_equal(label, self.categories)
        if equal is not None:
            return self.categories.index(equal)
        return len(self.labels) - (2 if self._is_rare(label) else 1)

    def to_text(self) -> str:
        """Returns all of it but the id of the profile as JSON."""
        return json.dumps(self[1:])

    @classmethod
    def from_text(cls, profile_id: str, text: str) -> LabelBins:
        """Reads what `to_text` has written."""
        return cls._make([profile_id, *(tuple(each) if isinstance(each, list) else each for each in json.loads(text))])

    def _is_rare(self, label: str) -> bool:
        if self.rare is None:
            return True
        return any(digest(each, self.salt) in self.rare for each in (label, *spellings(label)))
