"""Figures of one class for each prediction: binary, multiclass, and models that did not declare a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from otel_ml._figures.confusion import SLOPES, Outcome, count_classes, macro, micro, weighted
from otel_ml._figures.intervals import NONE, Estimate, share
from otel_ml._figures.vocabulary import are_unrelated, find_spellings
from otel_ml._values.equality import find_positive
from otel_ml.ground_truth._vocabulary import describe_problem
from otel_ml.ground_truth.exact._groups import LabelledGroup, group_rows
from otel_ml.ground_truth.exact._probabilities import ClassFigures, measure_binary
from otel_ml.ground_truth.exact._rows import NOTES, Classes, Row, describe, describe_class
from otel_ml.ground_truth.exact._vectors import MULTICLASS, measure_vectors


class ClassRows:
    """Predicted and actual classes, and the probabilities."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str | None, ...], LabelledGroup] = {}

    def add(self, rows: Iterable[Row]) -> None:
        group_rows(self._groups, rows)

    def figures(self, classes: Classes) -> dict[str, Any]:
        groups = list(self._groups.values())
        declared = _unify_spelling(groups, {key: names for key, names in classes.items() if names})
        vocabulary = _Vocabulary(groups, {name for names in declared.values() for name in names})
        positive = _positive(groups)
        scored = [group for group in groups if group.probabilities and group.label in declared.get(group.class_key, ())]
        if positive is None and scored:
            actual = {group.label: (group.label,) for group in scored}
            scores = measure_vectors(scored, declared, actual, MULTICLASS)
        else:
            scores = measure_binary(groups, positive)
        of_classes = _of_classes(vocabulary, positive, scores)
        problem = vocabulary.problem
        notes = [*([] if problem is None else [problem]), *scores.notes]
        return {**of_classes, **({NOTES: notes} if notes else {})}


class _Vocabulary:
    """Predicted and actual classes, and how they fit together."""

    def __init__(self, groups: Collection[LabelledGroup], declared: Collection[str]) -> None:
        self.labelled = sum(group.count for group in groups)
        self.pairs = Counter[tuple[str, str]]()
        for group in groups:
            if group.predicted is not None:
                self.pairs[group.predicted, group.label] += group.count
        predicted, actual = {left for left, _ in self.pairs}, {right for _, right in self.pairs}
        self.names = sorted(predicted | actual)
        self.is_unrelated = are_unrelated(predicted, actual, declared)
        task = next((group.task for group in groups), "")
        self.problem = describe_problem(predicted, actual, declared, task)


def _unify_spelling(
    groups: Iterable[LabelledGroup], classes: Mapping[str | None, Collection[str]]
) -> dict[str | None, list[str]]:
    """Spells the classes of all groups alike; returns the declared ones, spelled so."""
    predicted = {group.predicted for group in groups if group.predicted is not None}
    others = {group.label for group in groups} | {group.positive for group in groups if group.positive is not None}
    names = find_spellings(list(classes.values()), predicted, others)
    for group in groups:
        group.label = names.get(group.label, group.label)
        group.predicted = group.predicted and names.get(group.predicted, group.predicted)
        group.positive = group.positive and names.get(group.positive, group.positive)
    return {key: [names.get(name, name) for name in declared] for key, declared in classes.items()}


def _positive(groups: Collection[LabelledGroup]) -> str | None:
    """Returns the declared positive class, or that of a pair such as no and yes; None for a multiclass task."""
    if any(group.task == "multiclass" for group in groups):
        return None
    declared = {group.positive for group in groups if group.positive is not None}
    if declared:
        return declared.pop() if len(declared) == 1 else None
    seen = {group.label for group in groups} | {group.predicted for group in groups if group.predicted is not None}
    return find_positive(seen)


def _of_classes(vocabulary: _Vocabulary, positive: str | None, scores: ClassFigures) -> dict[str, Any]:
    outcomes: dict[Outcome, int] = {
        (frozenset([left]), frozenset([right])): times for (left, right), times in vocabulary.pairs.items()
    }
    counts = count_classes(outcomes, vocabulary.names)
    count = sum(outcomes.values())
    correct = sum(of_class.tp for of_class in counts.values())
    estimates: dict[str, Estimate] = {"accuracy": share(correct, count)}
    for figure in SLOPES:
        if positive is None:
            estimates[figure] = macro(outcomes, counts, figure)
        else:
            estimates[figure] = getattr(counts[positive], figure)() if positive in counts else NONE
    if vocabulary.is_unrelated:
        estimates = dict.fromkeys(estimates, NONE)
    described = describe({**estimates, **scores.estimates})
    found = {
        "count": count,
        "labelled": vocabulary.labelled,
        "scored": scores.scored,
        "accuracy": described.pop("accuracy"),
        "positive": positive,
        **described,
    }
    if positive is None and counts and not vocabulary.is_unrelated:
        found |= {"micro": micro(counts), "weighted": weighted(counts)}
    found["per_class"] = {
        name: describe_class(counts.get(name), scores.per_class.get(name, {}), is_defined=not vocabulary.is_unrelated)
        for name in sorted({*counts, *scores.per_class})
    }
    return found if scores.calibration is None else {**found, "calibration": scores.calibration}
