"""Notes about the figures of a window: which models there are, and which labels wait or failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otel_ml.ground_truth.storage._database import StoreDatabase
from otel_ml.ground_truth.storage._waiting import WaitingLabel, count_waiting, list_waiting
from otel_ml.ground_truth.storage._windows import describe_models, list_models


def list_notes(database: StoreDatabase, model: str, labelled: int, failed: Mapping[str, int]) -> list[str]:
    """Returns notes about the figures of a model.

    Args:
        database: The store.
        model: The model.
        labelled: Its labelled predictions in the window; without any the notes name the models of the store.
        failed: How many labels of this process failed, by reason.
    """
    notes: list[str] = []
    if not labelled:
        notes.append(f"no labelled prediction of {model!r} in this window; {describe_models(list_models(database))}")
    waiting = count_waiting(database, model)
    if waiting:
        notes.append(_describe_waiting(waiting, list_waiting(database, model, 1)))
    return notes + _describe_failed(failed)


def _describe_waiting(reasons: Mapping[str, int], examples: Sequence[WaitingLabel]) -> str:
    """Says how many labels wait, why, and under which id, for example."""
    named = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    such = "".join(f", such as {one.id!r}" for one in examples)
    return f"{sum(reasons.values())} labels wait for a prediction ({named}{such})"


def _describe_failed(reasons: Mapping[str, int]) -> list[str]:
    """Says how many labels of this process failed, and why."""
    named = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return [f"{sum(reasons.values())} labels of this process failed ({named})"] if reasons else []
