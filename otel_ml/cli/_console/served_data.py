"""Predictions that a model has made, as columns that a profile is fitted on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from otel_ml.cli._console.client import ConsoleClient
from otel_ml.cli._data_arguments import OutcomeColumns
from otel_ml.cli._store_arguments import open_store
from otel_ml.cli._terminal import progress
from otel_ml.cli._window_arguments import read_window
from otel_ml.quality import ReferenceProfile

_SCORE: Final = "(score)"
_PREDICTION: Final = "(prediction)"
_LABEL: Final = "(label)"
_PAGE: Final = frozenset({"rows", "rows_omitted", "next"})
"""What a page of a console holds."""


@dataclass
class ServedData:
    """Features by column, and outputs and labels of the same rows; a missing value is None."""

    features: dict[str, list[Any]] = field(default_factory=dict)
    predictions: list[Any] = field(default_factory=list)
    """Classes as texts, numbers of a regression, or lists."""
    scores: list[float | None] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    task: str | None = None
    positive: str | None = None
    """The class that the score is the probability of, if that is known."""

    @property
    def rows(self) -> int:
        """Predictions."""
        return len(self.predictions)

    @property
    def labelled(self) -> int:
        """Predictions with a label."""
        return sum(label is not None for label in self.labels)

    def add(self, features: dict[str, Any], prediction: Any, score: float | None, label: Any) -> None:
        """Adds one prediction."""
        for name in features:
            if name not in self.features:
                self.features[name] = [None] * self.rows
        for name, values in self.features.items():
            values.append(features.get(name))
        self.predictions.append(prediction)
        self.scores.append(score)
        self.labels.append(label)

    def columns(self) -> tuple[dict[str, Any], OutcomeColumns]:
        """Returns the columns that there are, and which of them are outputs and labels."""
        given = {_PREDICTION: self.predictions, _SCORE: self.scores, _LABEL: self.labels}
        found = {name: values for name, values in given.items() if any(value is not None for value in values)}
        predicted = [value for value in self.predictions if value is not None]
        outcomes = OutcomeColumns(label=_LABEL if _LABEL in found else None, task=self.task)
        if predicted and all(isinstance(value, (int, float)) for value in predicted):
            outcomes.score, outcomes.task = _PREDICTION, "regression"
            found.pop(_SCORE, None)
        else:
            outcomes.prediction = _PREDICTION if predicted else None
            outcomes.score = self._score() if _SCORE in found else None
            if outcomes.score is None:
                found.pop(_SCORE, None)
        return {**self.features, **found}, outcomes

    def columns_for(self, profile: ReferenceProfile) -> tuple[dict[str, Any], str | None, str | None]:
        """Returns the columns, and which of them are output and label of a profile."""
        is_number = profile.output is not None and profile.output.kind == "number"
        output = self.predictions
        if is_number and not any(isinstance(value, (int, float)) for value in output):
            output = self.scores
        columns = {**self.features, _PREDICTION: output, _LABEL: self.labels}
        return (
            columns,
            _PREDICTION if any(value is not None for value in output) else None,
            _LABEL if self.labelled else None,
        )

    def _score(self) -> Any:
        """Returns how `fit` takes the scores; None for those of several classes, which are of another class each."""
        if any(isinstance(value, (list, dict)) for value in (*self.predictions, *self.labels)):
            return None
        classes = {value for value in (*self.predictions, *self.labels) if value is not None}
        if len(classes) > 2:
            return None
        positive = self.positive or self._higher_scored()
        return _SCORE if positive is None else {positive: _SCORE}

    def _higher_scored(self) -> str | None:
        """Returns the class that is predicted from the higher scores."""
        scores: dict[str, list[float]] = {}
        for predicted, score in zip(self.predictions, self.scores, strict=True):
            if predicted is not None and score is not None:
                scores.setdefault(predicted, []).append(score)
        return max(scores, key=lambda name: sum(scores[name]) / len(scores[name])) if len(scores) > 1 else None


def read_console(arguments: argparse.Namespace) -> ServedData:
    """Returns the predictions whose events a console keeps."""
    data, omitted, without_features = ServedData(), 0, 0
    for page in _pages(arguments):
        for row in page["rows"]:
            features = row["features"] if isinstance(row["features"], dict) else {}
            without_features += not features
            data.add(features, row["prediction"], row["score"], row["label"])
        omitted += page["rows_omitted"]
    if without_features:
        progress(f"{without_features:,} rows have no features: a service sends those of declared columns")
    if omitted:
        progress(f"{omitted:,} rows of large batches are left out: an event has the first 100")
    if any(isinstance(value, (int, float)) for value in data.predictions):
        data.labels = [None if label is None else _number(label) for label in data.labels]
    return data


def read_store(arguments: argparse.Namespace) -> ServedData:
    """Returns outputs and labels of the predictions in a store, which has no features."""
    with open_store(arguments.from_store, read_only=True) as truth:
        found = truth.read_outcomes(
            *read_window(arguments), model=arguments.model, version=arguments.version, role=arguments.role
        )
    return ServedData({}, found.predictions, found.scores, found.labels, found.task, found.positive)


def _pages(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    since, until = read_window(arguments)
    about = {"model": arguments.model, "version": arguments.version, "role": arguments.role}
    console = ConsoleClient(arguments.from_console, "--from-console", arguments.token_file)
    query = {"since": f"{since:.6f}", "until": f"{until:.6f}", **{key: text for key, text in about.items() if text}}
    while True:
        page = console.json("/api/rows", [*query.items()])
        if not page.keys() >= _PAGE:
            raise console.stranger()
        yield page
        if page["next"] is None:
            return
        query["after"] = page["next"]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
