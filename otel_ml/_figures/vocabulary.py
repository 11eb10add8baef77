"""Predicted and actual classes in one spelling, and whether they are of one vocabulary."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from otel_ml._values import few_names
from otel_ml._values.equality import find_pair, find_spelling, has_two_spellings, respell


def find_spellings(
    sets: Collection[Collection[str]], predicted: Collection[str], others: Collection[str]
) -> dict[str, str]:
    """Returns how numbers and booleans are spelled alike: as declared, or else as predicted; only those that change.

    If declared classes tell ``1`` and ``True`` apart, all stay as they are.

    Args:
        sets: The declared classes of each version.
        predicted: The predicted classes.
        others: The actual and the positive ones.
    """
    declared = {name for names in sets for name in names}
    like = find_spelling(declared) or find_spelling(predicted) or find_spelling(others)
    if like is None or any(map(has_two_spellings, sets)):
        return {}
    spelled = {name: respell(name, like) for name in (*declared, *predicted, *others)}
    return {name: other for name, other in spelled.items() if name != other}


def are_unrelated(predicted: Collection[str], actual: Collection[str], declared: Collection[str] | None) -> bool:
    """Whether no actual class was ever predicted, and nothing shows that both are of one vocabulary.

    Declared classes show it, and a pair like no and yes: a model that is always wrong has figures.
    """
    if not predicted or not actual or not set(predicted).isdisjoint(actual):
        return False
    seen = {*predicted, *actual}
    return not (declared and seen <= set(declared)) and find_pair(seen) is None


def list_names(names: Iterable[str]) -> str:
    """Returns a few of the names in order, for a message."""
    return few_names(sorted(names))
