"""The join of labels with predictions: the first label of a prediction counts, later ones are only counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth._records import LabelOutcome, State, StoredLabel, declared_class


class KnownPrediction(NamedTuple):
    """A stored prediction and the label that it has."""

    prediction: LoggedPrediction
    label: str | None


def join(
    labels: Sequence[StoredLabel],
    known: Mapping[str, KnownPrediction],
    leads: Mapping[str, str | None],
    waiting: Mapping[str, str],
) -> list[LabelOutcome]:
    """Decides the state of each label, one after the other.

    Args:
        labels: Labels as they came.
        known: The predictions that they are for, by their own ids.
        leads: Ids of batches with the id of their only row, or None for a batch of several rows.
        waiting: Labels that already wait for their prediction, by its id.
    """
    first = dict(waiting)
    first.update((name, each.label) for name, each in known.items() if each.label is not None)
    outcomes: list[LabelOutcome] = []
    for given in labels:
        target = leads.get(given.id)
        label = given if target is None or given.id in known else given._replace(id=target)
        found = known.get(label.id)
        if found is not None:
            outcome = _match(label, found.prediction, first.get(label.id))
        else:
            state: State = _repeated(first[label.id], label) if label.id in first else "waiting"
            outcome = LabelOutcome(state, label, None, names_batch=given.id in leads and target is None)
        if outcome.state in {"matched", "waiting"}:
            first[label.id] = outcome.label.label
        outcomes.append(outcome)
    return outcomes


def _match(label: StoredLabel, prediction: LoggedPrediction, earlier: str | None) -> LabelOutcome:
    """Decides about a label whose prediction is known."""
    if prediction.classes is not None:
        name = declared_class(label.label, prediction.task, prediction.classes)
        if name is None:
            return LabelOutcome("failed", label, prediction)
        label = label._replace(label=name)
    return LabelOutcome("matched" if earlier is None else _repeated(earlier, label), label, prediction)


def _repeated(earlier: str, label: StoredLabel) -> State:
    return "duplicate" if earlier == label.label else "revised"
