"""Figures of sets of classes (multilabel)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from otel_ml._figures.confusion import SLOPES, Outcome, count_classes, macro, micro, weighted
from otel_ml._figures.intervals import mean, share
from otel_ml._values.labels import read_items
from otel_ml.ground_truth.exact._groups import LabelledGroup, group_rows
from otel_ml.ground_truth.exact._probabilities import NO_PROBABILITIES, ClassFigures
from otel_ml.ground_truth.exact._rows import NOTES, Classes, Row, describe, describe_class
from otel_ml.ground_truth.exact._vectors import MULTILABEL, DeclaredClasses, measure_vectors


class SetRows:
    """Predicted and actual sets of classes, and the probabilities."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str | None, ...], LabelledGroup] = {}

    def add(self, rows: Iterable[Row]) -> None:
        group_rows(self._groups, rows)

    def figures(self, classes: Classes) -> dict[str, Any]:
        groups = list(self._groups.values())
        declared = {key: names for key, names in classes.items() if names}
        outcomes: Counter[Outcome] = Counter()
        for group in groups:
            if group.predicted is not None:
                outcomes[_read(group.predicted), _read(group.label)] += group.count
        names = {name for each in declared.values() for name in each}
        names |= {name for pair in outcomes for side in pair for name in side}
        scores = _measure(groups, declared)
        counts = count_classes(outcomes, sorted(names))
        count = outcomes.total()
        missed = [len(left ^ right) / len(names) for left, right in outcomes if names]
        estimates = {
            "exact_match": share(sum(times for (left, right), times in outcomes.items() if left == right), count),
            "hamming_loss": mean(missed, 0.0, 1.0, times=list(outcomes.values())),
            **{figure: macro(outcomes, counts if count else {}, figure) for figure in SLOPES},
            **scores.estimates,
        }
        found = {
            "count": count,
            "labelled": sum(group.count for group in groups),
            "scored": scores.scored,
            **describe(estimates),
            "micro": micro(counts),
            "weighted": weighted(counts),
            "per_class": {name: describe_class(counts[name], scores.per_class.get(name, {})) for name in counts},
        }
        return {**found, NOTES: list(scores.notes)} if scores.notes else found


def _read(text: str) -> frozenset[str]:
    return frozenset(read_items(text) or ())


def _measure(groups: list[LabelledGroup], declared: DeclaredClasses) -> ClassFigures:
    scored = [group for group in groups if group.probabilities and group.class_key in declared]
    if not scored:
        return ClassFigures(notes=[NO_PROBABILITIES] if groups else [])
    return measure_vectors(scored, declared, {group.label: _read(group.label) for group in scored}, MULTILABEL)
