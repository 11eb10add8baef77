"""The join of labels with predictions: one label settles every prediction of its model under its id."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from otel_ml._logged_prediction import LoggedPrediction
from otel_ml._values.equality import respell
from otel_ml._values.labels import is_several, label_gains, label_set, read_items
from otel_ml.ground_truth._pairs import find_pairs
from otel_ml.ground_truth._records import (
    ANY_MODEL,
    NO_REFERENCE,
    NOT_A_NUMBER,
    SEVERAL_MODELS,
    SEVERAL_VALUES,
    UNDECLARED_CLASS,
    Alias,
    Key,
    LabelOutcome,
    ReferenceFacts,
    Settled,
    State,
    StoredLabel,
    declared_class,
    key_of,
)

_WHOLE: Final = re.compile(r"(\d{1,15})\.0", re.ASCII)
_STRENGTH: Final[tuple[State, ...]] = ("matched", "revised", "duplicate", "outdated", "failed")
"""Of the states of several predictions under one label the first of these is that of the label."""


@dataclass(slots=True)
class KnownPrediction:
    """A stored prediction and the label that it has by now."""

    prediction: LoggedPrediction
    label: StoredLabel | None
    reference: ReferenceFacts = NO_REFERENCE
    """What is known of its model's reference."""


class Join:
    """Decides about labels, one after the other, from what the store holds under their ids.

    Args:
        known: The predictions that the labels may be for.
        aliases: Further ids of them.
    """

    def __init__(self, known: Iterable[KnownPrediction], aliases: Iterable[Alias] = ()) -> None:
        self._under: dict[str, list[KnownPrediction]] = {}
        for one in known:
            self._under.setdefault(one.prediction.id, []).append(one)
        self._batches: set[str] = set()
        for key, leads_to in aliases:
            target = self._find_known(key, leads_to)
            if leads_to is None:
                self._batches.add(key.id)
            elif target is not None and self._find_known(key, key.id) is None:
                self._under.setdefault(key.id, []).append(target)
        self._waiting: dict[tuple[str, str], dict[str, StoredLabel]] = {}

    def add_waiting(self, waiting: Iterable[StoredLabel]) -> None:
        """Takes labels that already wait under the ids of those to be decided."""
        for label in waiting:
            self._waiting.setdefault((label.id, label.model), {})[label.label] = label

    def find(self, given: StoredLabel) -> Sequence[KnownPrediction]:
        """Returns the predictions that a label is for."""
        for name in ids_of(given):
            found = self._under.get(name, ())
            if given.model != ANY_MODEL:
                found = [one for one in found if one.prediction.model == given.model]
            if found:
                return found
        return ()

    def settle(self, given: StoredLabel) -> LabelOutcome:
        """Decides about a label, and remembers it for the next one."""
        found = self.find(given)
        if not found:
            return self._wait(given)
        if len(found) > 1 and len({one.prediction.model for one in found}) > 1:
            return LabelOutcome("failed", given, reason=SEVERAL_MODELS)
        settled = tuple(_settle(given, one) for one in found)
        state = settled[0].state if len(settled) == 1 else min((one.state for one in settled), key=_STRENGTH.index)
        reason = settled[0].reason if state == "failed" else None
        pairs = find_pairs(settled) if len(settled) > 1 else ()
        return LabelOutcome(state, given, settled, reason, pairs=pairs)

    def _find_known(self, key: Key, name: str | None) -> KnownPrediction | None:
        """Returns the prediction with this id, and the model, version and role of a key."""
        wanted = key._replace(id=name or "")
        return next((one for one in self._under.get(wanted.id, ()) if key_of(one.prediction) == wanted), None)

    def _wait(self, given: StoredLabel) -> LabelOutcome:
        """Lets a label wait. Those that differ all wait: which of them are declared classes is not known yet."""
        names_batch = given.id in self._batches
        before = self._waiting.setdefault((given.id, given.model), {})
        last = max(before.values(), key=lambda label: label.labeled_at, default=None)
        same = before.get(given.label)
        if last is not None and (same is last or (same is not None and given.labeled_at < same.labeled_at)):
            return LabelOutcome("duplicate", given, names_batch=names_batch)
        if last is not None and given.labeled_at == last.labeled_at:  # the later one of the same moment is newer
            given = given._replace(labeled_at=math.nextafter(last.labeled_at, math.inf))
        before[given.label] = given
        return LabelOutcome("waiting", given, names_batch=names_batch)


def ids_of(given: StoredLabel) -> tuple[str, ...]:
    """Returns the ids of the predictions that a label may be for: its own, or else the whole number that it is.

    A CSV file has ``123.0`` where a merge has made floats of the ids ``123``.
    """
    whole = _WHOLE.fullmatch(given.id)
    return (given.id,) if whole is None else (given.id, whole[1])


def _settle(given: StoredLabel, known: KnownPrediction) -> Settled:
    """Gives one prediction its label."""
    prediction = known.prediction
    name, reason = _value_of(given, prediction)
    value = given.label if name is None else name
    label = StoredLabel(prediction.id, value, given.number, given.labeled_at, prediction.model)
    if name is None:
        return Settled("failed", prediction, label, reason=reason)
    state = _state(label, known)
    if state in {"matched", "revised"}:
        known.label = label
    return Settled(state, prediction, label, known.reference)


def _value_of(given: StoredLabel, prediction: LoggedPrediction) -> tuple[str | None, str]:
    """Returns what a label means for a prediction; None, and the reason, if it is no label of its task.

    It means a declared class, or else the class that is spelled as the predicted one.
    """
    text, task, classes, predicted = given.label, prediction.task, prediction.classes, prediction.predicted
    if task == "ranking":
        return label_gains(text), ""
    items = read_items(text) or ()
    if task != "multilabel" and len(items) == 1 and text not in (predicted, *(classes or ())):
        text = items[0]
    if task == "multilabel":
        text = label_set(text, classes)
    if classes is not None:
        name = declared_class(text, task, classes)
    else:
        name = text if predicted is None else respell(text, predicted)
    if task != "multilabel" and is_several(text) and (name is None or name not in (predicted, *(classes or ()))):
        return None, SEVERAL_VALUES
    if task == "regression" and given.number is None:
        return None, NOT_A_NUMBER
    return name, UNDECLARED_CLASS


def _state(label: StoredLabel, known: KnownPrediction) -> State:
    earlier = known.label
    if earlier is None:
        return "matched"
    before = earlier.label if known.prediction.classes is not None else respell(earlier.label, label.label)
    if before == label.label:
        return "duplicate"
    return "outdated" if label.labeled_at < earlier.labeled_at else "revised"
