"""An upstream change as it happened: in 2019 the survey gave the relation to the householder (RELP) new codes.

Until 2018 they were 0 to 17, since then 20 to 38 (socialfoundations/folktables#22). The model has never seen the new
ones, and nobody changed its service.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

CODES_OF_2019 = {
    0: 20, 1: 21, 2: 25, 3: 26, 4: 27, 5: 28, 6: 29, 7: 30, 8: 31,
    9: 32, 10: 33, 11: 36, 12: 34, 13: 22, 14: 35, 15: 36, 16: 37, 17: 38,
}  # fmt: skip
"""A boarder (11) has no code of his own any more and is among the other nonrelatives (36)."""
HOUSEHOLD = 6
"""People of one batch."""
BETWEEN_HOUSEHOLDS = 40
BETWEEN_MISTAKES = 50
"""Requests between two that the service refuses."""

Item = tuple[str, Any, Any]
"""Path, body and label of a request; a list of labels of a batch, None of a request that has to be refused."""


def drifting(people: Iterator[Item], seconds: float) -> Iterator[Item]:
    """Yields each person, after some seconds with the codes of 2019; now and then a batch, and a caller's mistake."""
    renumbered = _renumbered(people, time.monotonic() + seconds)
    for number in itertools.count(1):
        if number % BETWEEN_MISTAKES == 0:
            yield "/predict", {"AGEP": "forty"}, None
        if number % BETWEEN_HOUSEHOLDS == 0:
            household = [*itertools.islice(renumbered, HOUSEHOLD)]
            yield "/batch", [features for _, features, _ in household], [label for _, _, label in household]
        yield next(renumbered)


def _renumbered(people: Iterator[Item], begin: float) -> Iterator[Item]:
    for path, features, label in people:
        code = features["RELP"] if time.monotonic() < begin else CODES_OF_2019[int(features["RELP"])]
        yield path, {**features, "RELP": code}, label
