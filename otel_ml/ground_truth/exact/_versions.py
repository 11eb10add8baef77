"""Two versions of a model beside each other: how often they agree, which one is better, and how their scores differ."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml._distances import psi, psi_noise
from otel_ml._figures import versions
from otel_ml._figures.intervals import mean, share
from otel_ml._figures.single import LARGEST_ERROR
from otel_ml._figures.vocabulary import find_spellings
from otel_ml._values.labels import SEVERAL
from otel_ml.ground_truth._vocabulary import describe_problem

SCORE_BINS: Final = 10
"""Bins of the scores, with equal shares of those of the baseline."""
KS_NOISE: Final = 1.95
"""Times the root of ``1 / n + 1 / m``: what 1 of 1,000 distances exceeds without a difference."""
_SIDES: Final = ("baseline", "challenger")


class SideRow(NamedTuple):
    """What is read of a prediction of one version."""

    task: str
    classes: str | None
    """Key of the declared classes."""
    predicted: str | None
    score: float | None
    value: float | None
    label: str | None
    number: float | None


Name = str | None


@dataclass(slots=True)
class SideRows:
    """The predictions of one version."""

    count: int = 0
    tasks: set[str] = field(default_factory=set)
    class_keys: set[str | None] = field(default_factory=set)
    outcomes: Counter[tuple[Name, Name]] = field(default_factory=Counter)
    """By predicted class and label, which is None without one."""
    scores: array[float] = field(default_factory=lambda: array("d"))
    """Of a regression the predicted numbers."""
    errors: array[float] = field(default_factory=lambda: array("d"))
    """Absolute errors of a regression."""

    def add(self, rows: Iterable[SideRow]) -> None:
        """Takes the next predictions."""
        for row in rows:
            self.count += 1
            self.tasks.add(row.task)
            self.class_keys.add(row.classes)
            score = row.value if row.task == "regression" else row.score
            if score is not None:
                self.scores.append(score)
            if row.task != "regression":
                self.outcomes[row.predicted, row.label] += 1
            elif (error := _error(row)) is not None:
                self.errors.append(error)

    @property
    def labelled(self) -> Counter[tuple[str, str]]:
        """Those with both a class and a label."""
        return Counter(
            {(left, right): times for (left, right), times in self.outcomes.items() if left is not None and right}
        )


@dataclass(slots=True)
class PairRows:
    """The predictions of both versions under the same ids."""

    count: int = 0
    outcomes: Counter[tuple[Name, Name, Name, Name]] = field(default_factory=Counter)
    """By the two classes, and the two labels."""
    predictions: array[float] = field(default_factory=lambda: array("d"))
    """Differences of the predicted numbers."""
    errors: array[float] = field(default_factory=lambda: array("d"))
    """Differences of the absolute errors."""
    baseline_errors: array[float] = field(default_factory=lambda: array("d"))

    def add(self, pairs: Iterable[tuple[SideRow, SideRow]]) -> None:
        """Takes the next pairs, the baseline first."""
        for one, other in pairs:
            self.count += 1
            if one.task != "regression":
                self.outcomes[one.predicted, other.predicted, one.label, other.label] += 1
                continue
            if one.value is not None and other.value is not None:
                self.predictions.append(other.value - one.value)
            error, other_error = _error(one), _error(other)
            if error is not None and other_error is not None:
                self.errors.append(other_error - error)
                self.baseline_errors.append(error)


def _error(row: SideRow) -> float | None:
    """Returns the absolute error of a regression; None if it is in no figure."""
    if row.value is None or row.number is None or abs(row.value - row.number) > LARGEST_ERROR:
        return None
    return abs(row.value - row.number)


def compare(
    sides: tuple[SideRows, SideRows], pairs: PairRows, declared: Collection[Sequence[str]], difference: float | None
) -> dict[str, Any]:
    """Returns how two versions differ.

    Args:
        sides: The predictions of baseline and challenger.
        pairs: Those under the same ids.
        declared: Their sets of declared classes.
        difference: What to look for; None for the usual one.
    """
    tasks = sides[0].tasks | sides[1].tasks
    scores = _compare_scores(*(sorted(side.scores) for side in sides))
    if "regression" in tasks:
        return {**_compare_numbers(sides, pairs, difference or versions.ERROR_DIFFERENCE), **scores}
    spelled = _Spelling(sides, pairs, declared)
    figure = "exact_match" if tasks & SEVERAL else "accuracy"
    found = _compare_classes(spelled, pairs.count, figure, difference or versions.DIFFERENCE)
    return {**found, **scores}


class _Spelling:
    """The classes of two versions in one spelling, and what does not fit together."""

    def __init__(self, sides: tuple[SideRows, SideRows], pairs: PairRows, declared: Collection[Sequence[str]]) -> None:
        predicted = {left for side in sides for left, _ in side.outcomes if left is not None}
        actual = {right for side in sides for _, right in side.outcomes if right is not None}
        names = find_spellings(declared, predicted, actual)
        self.sides: list[Counter[tuple[str, str]]] = [Counter(), Counter()]
        for counts, side in zip(self.sides, sides, strict=True):
            for (left, right), times in side.labelled.items():
                counts[names.get(left, left), names.get(right, right)] += times
        self.pairs = Counter[tuple[Name, ...]]()
        for row, times in pairs.outcomes.items():
            self.pairs[tuple(None if name is None else names.get(name, name) for name in row)] += times
        classes = {names.get(name, name) for each in declared for name in each}
        task = next(iter(sides[0].tasks | sides[1].tasks), "")
        self.problems = [
            f"{name}: {problem}"
            for name, counts in zip(_SIDES, self.sides, strict=True)
            if task not in SEVERAL  # a set that was never predicted may be of classes that were
            and (problem := describe_problem({a for a, _ in counts}, {b for _, b in counts}, classes, task)) is not None
        ]


def _compare_classes(spelled: _Spelling, count: int, figure: str, difference: float) -> dict[str, Any]:
    right = [sum(times for (left, label), times in side.items() if left == label) for side in spelled.sides]
    labelled = [side.total() for side in spelled.sides]
    outcomes = Counter[tuple[bool, bool]]()
    confusion: dict[str, dict[str, int]] = {}
    same = compared = 0
    for (one, other, label, other_label), times in spelled.pairs.items():
        if one is None or other is None:
            continue
        compared, same = compared + times, same + times * (one == other)
        row = confusion.setdefault(one, {})
        row[other] = row.get(other, 0) + times
        if label is not None and other_label is not None:
            outcomes[one == label, other == other_label] += times
    four = [outcomes[each] for each in ((True, True), (True, False), (False, True), (False, False))]
    is_paired = bool(outcomes) and outcomes.total() >= versions.PAIRED_SHARE * min(labelled)
    found = (
        versions.compare_pairs(four, difference)
        if is_paired
        else versions.compare_shares((right[0], right[1]), (labelled[0], labelled[1]), difference)
    )
    test = _mcnemar_name(four) if is_paired else "two proportions"
    return {
        "figure": figure,
        **{name: _share(part, whole) for name, part, whole in zip(_SIDES, right, labelled, strict=True)},
        "pairs": count,
        "labelled_pairs": outcomes.total(),
        "agreement": share(same, compared).value,
        "confusion": {one: dict(sorted(row.items())) for one, row in sorted(confusion.items())},
        "outcomes": dict(zip(semconv.PAIR_OUTCOME_VALUES, four, strict=True)),
        **_describe(found, outcomes.total() if is_paired else labelled[1], difference),
        "test": test,
        "notes": spelled.problems,
    }


def _compare_numbers(sides: tuple[SideRows, SideRows], pairs: PairRows, difference: float) -> dict[str, Any]:
    squares = math.fsum(each * each for each in pairs.errors)
    sums = math.fsum(pairs.errors), squares, math.fsum(pairs.baseline_errors)
    found = versions.compare_errors(len(pairs.errors), *sums, difference)
    notes = []
    if not pairs.errors and all(side.errors for side in sides):
        notes.append("the errors of a regression are compared under the same ids only, and no labelled id is shared")
    about = [mean(side.errors, 0.0) for side in sides]
    return {
        "figure": "mae",
        **{
            name: {"labelled": len(side.errors), "value": each.value, "interval": each.interval and list(each.interval)}
            for name, side, each in zip(_SIDES, sides, about, strict=True)
        },
        "pairs": pairs.count,
        "labelled_pairs": len(pairs.errors),
        "prediction_difference": mean(pairs.predictions).value,
        **_describe(found, len(pairs.errors), difference),
        "test": "paired differences",
        "notes": notes,
    }


def _share(part: float, whole: float) -> dict[str, Any]:
    found = share(part, whole)
    return {"labelled": int(whole), "value": found.value, "interval": found.interval and list(found.interval)}


def _describe(found: versions.Difference, count: int, difference: float) -> dict[str, Any]:
    """Returns a difference, and how many pairs or labels it still needs."""
    is_open = found.verdict == versions.NOT_ENOUGH and found.needed is not None and math.isfinite(found.needed)
    return {
        "difference": found.value,
        "interval": found.interval and list(found.interval),
        "p_value": found.p_value,
        "z": found.z,
        "boundary": found.boundary if found.boundary is not None and math.isfinite(found.boundary) else None,
        "looked_for": difference,
        "power": versions.POWER,
        "still_needed": math.ceil(max(found.needed - count, 1)) if is_open and found.needed is not None else None,
        "verdict": found.verdict,
    }


def _mcnemar_name(four: Sequence[int]) -> str:
    return "McNemar, exact" if four[1] + four[2] < versions.EXACT else "McNemar"


def _compare_scores(baseline: Sequence[float], challenger: Sequence[float]) -> Mapping[str, float | None]:
    """Compares two sorted samples of scores: PSI over tenths of the baseline, and the Kolmogorov-Smirnov distance."""
    names = ("score_psi", "score_psi_noise", "score_ks", "score_ks_noise")
    if not baseline or not challenger:
        return dict.fromkeys(names)
    size, other = len(baseline), len(challenger)
    edges = sorted({baseline[size * step // SCORE_BINS] for step in range(1, SCORE_BINS)} - {baseline[0]})
    counts, wanted = (_binned(scores, edges) for scores in (challenger, baseline))
    shares = [each / size for each in wanted]
    distance = max(
        abs(bisect_right(baseline, score) / size - bisect_right(challenger, score) / other)
        for score in {*baseline, *challenger}
    )
    noise = KS_NOISE * math.sqrt(1 / size + 1 / other)
    return dict(zip(names, (psi(counts, shares), psi_noise(shares, other, size), distance, noise), strict=True))


def _binned(ordered: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Returns how many scores are in each bin; a bin begins with its edge."""
    ends = [0, *(bisect_left(ordered, edge) for edge in edges), len(ordered)]
    return [end - start for start, end in pairwise(ends)]
