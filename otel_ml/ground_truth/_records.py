"""Labels, their states, and the declared classes that they equal, as plain values."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, NamedTuple

from otel_ml._figures.label_bins import LabelBins
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml._values.equality import find_equal
from otel_ml._values.labels import find_set, read_items

State = Literal["matched", "waiting", "duplicate", "revised", "outdated", "failed"]
"""``revised``: another label was there, and this newer one has replaced it. ``outdated``: a newer one is there and
stays."""
ANY_MODEL: Final = ""
"""The model of a label that was given without one."""

# Why a label failed.
UNREADABLE: Final = "unreadable"
"""It has no id or no value."""
SEVERAL_VALUES: Final = "several_values"
"""It is a list or a mapping, and its model predicts single values."""
NOT_A_NUMBER: Final = "not_a_number"
"""Its model is a regression."""
INVALID_MOMENT: Final = "moment"
"""Its ``at`` is not a moment."""
UNDECLARED_CLASS: Final = "undeclared_class"
SEVERAL_MODELS: Final = "several_models"
"""Several models use its id, and it does not name one."""
STORE_ERROR: Final = "store"
"""The database refused it or could not be used. Also a reason why a prediction was not stored."""

_UNCHECKED: Final = frozenset({"regression", "ranking"})
"""Tasks whose labels are not declared classes."""


class Key(NamedTuple):
    """The key under which the store has one prediction."""

    id: str
    model: str
    version: str
    role: str


class Alias(NamedTuple):
    """A further id under which the label of a prediction may come."""

    key: Key
    """With the further id."""
    leads_to: str | None
    """The id of the prediction; None for the id of a batch of several rows."""


class StoredLabel(NamedTuple):
    """One true label: its canonical class text, and the number behind it where there is one."""

    id: str
    label: str
    number: float | None
    labeled_at: float
    model: str = ANY_MODEL
    """The model whose predictions it is for; `ANY_MODEL` if only one uses the id."""


class ReferenceFacts(NamedTuple):
    """What the reference of a model says of its labels and scores; None for what it does not have."""

    label_bins: LabelBins | None = None
    calibration: Calibration | None = None


NO_REFERENCE: Final = ReferenceFacts()


class Settled(NamedTuple):
    """One prediction that a label was for, and its state."""

    state: State
    prediction: LoggedPrediction
    label: StoredLabel
    """As stored: under the id of the prediction, and as the declared class that it equals."""
    reference: ReferenceFacts = NO_REFERENCE
    """What is known of the model's reference."""
    reason: str | None = None
    """Why it failed."""


class Pair(NamedTuple):
    """Two predictions of one model under one id, with their label."""

    baseline: Settled
    challenger: Settled


class LabelOutcome(NamedTuple):
    """A label, its state, and the predictions that it settles."""

    state: State
    label: StoredLabel
    """As it was given."""
    settled: tuple[Settled, ...] = ()
    """The predictions that it is for; none while no prediction is known."""
    reason: str | None = None
    """Why it failed."""
    names_batch: bool = False
    """Whether the id is that of a batch of several rows."""
    pairs: tuple[Pair, ...] = ()
    """The predictions of two versions or roles that have both their label now."""


def key_of(prediction: LoggedPrediction) -> Key:
    return Key(prediction.id, prediction.model, prediction.version, prediction.role)


def declared_class(name: str, task: str, classes: Collection[str]) -> str | None:
    """Returns the declared class, or of a multilabel task the set, that a canonical text equals; None if none."""
    if task == "multilabel":
        return find_set(name, classes)
    return name if task in _UNCHECKED else find_equal(name, classes)


def is_correct(prediction: LoggedPrediction, label: StoredLabel) -> bool | None:
    """Whether class, or set of classes, and label agree; None for a regression or ranking, or if none was predicted."""
    if prediction.task in _UNCHECKED or prediction.predicted is None:
        return None
    if prediction.task == "multilabel":
        predicted, actual = (set(read_items(text) or (text,)) for text in (prediction.predicted, label.label))
        return predicted == actual
    return prediction.predicted == label.label
