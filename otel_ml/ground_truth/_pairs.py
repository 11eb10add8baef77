"""Pairs of predictions that a label settles under one id: a baseline, and a challenger beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from otel_ml.ground_truth._records import Pair, Settled

ROLES: Final = ("primary", "canary", "shadow")
"""The baseline is the first of these."""


def find_pairs(settled: Sequence[Settled]) -> tuple[Pair, ...]:
    """Returns each pair once: when the first label of the later one of the two has come.

    Args:
        settled: The predictions of a model under one id, with the label that was given.
    """
    labelled = [one for one in settled if one.state in {"matched", "duplicate"}]
    if not labelled:
        return ()
    baseline, *challengers = sorted(
        labelled, key=lambda one: baseline_order(one.prediction.version, one.prediction.role)
    )
    return tuple(Pair(baseline, one) for one in challengers if "matched" in {baseline.state, one.state})


def baseline_order(version: str, role: str) -> tuple[int, list[tuple[int, str]], str]:
    """Returns a sort key that puts the baseline first: the primary, and of two with one role the earlier version.

    ``1.10`` comes after ``1.9``.
    """
    place = ROLES.index(role) if role in ROLES else len(ROLES)
    numbers = [(int(digits or -1), text) for digits, text in re.findall(r"(\d{1,18})|(\D+)", version)]
    return place, numbers, version
