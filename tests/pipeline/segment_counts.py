"""Counts of the segments of a column as replicas export them, and the figures that Python has of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import promtool

from otel_ml._figures import segments as figures
from otel_ml._figures.segments import Errors, SegmentOutcomes, Share

Array = np.ndarray[Any, Any]
Expected = tuple[str, dict[str, str], float | None]
"""A recorded series: its name, labels of its own, and its value; None if there must be none."""
REPLICAS: Final = "abc"
EDGES: Final = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "+Inf")
LEAST_ROWS, POINTS, SHARE, FOUR_FIFTHS = 30, 0.05, 0.2, 0.8
"""When a difference is worth an alert."""
RULES: Final = promtool.LIMITS | {
    "segments_1h": "otel-ml-segments-1h",
    "segments_24h": "otel-ml-segments-24h",
    "segments": "otel-ml-segments-worse",
}


@dataclass(frozen=True)
class Segment:
    """What was counted of one segment; what is None is not exported."""

    outcomes: SegmentOutcomes | None = None
    """Labelled predictions of a binary model; the positive class is ``1``."""
    right: tuple[int, int] | None = None
    """Correct and wrong labelled predictions of a model without a positive class."""
    errors: Array | None = None
    """Absolute errors of labelled predictions of a regression."""
    predicted: Mapping[str, int] = field(default_factory=dict)
    """Predictions by class; the class ``""`` is of a model that is not binary."""
    failed: int = 0
    scores: tuple[int, ...] | None = None
    """Scores in ten bins."""

    def counts(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yields the counters: name, labels of their own, and value."""
        for class_, count in self.predicted.items():
            yield "ml_segment_predictions_total", {"ml_prediction_class": class_}, count
        if self.predicted or self.failed:
            yield "ml_segment_errors_total", {}, self.failed
        outcomes: Mapping[str, float] = {} if self.outcomes is None else self.outcomes._asdict()
        if self.right is not None:
            outcomes = dict(zip(("correct", "wrong"), self.right, strict=True))
        for outcome, number in outcomes.items():
            yield "ml_eval_segment_outcomes_total", {"ml_eval_outcome": outcome}, number
        if self.errors is not None:
            yield "ml_eval_segment_predictions_total", {}, len(self.errors)
            yield "ml_eval_segment_absolute_error_total", {}, float(self.errors.sum())
            yield "ml_eval_segment_squared_error_total", {}, float((self.errors**2).sum())
        if self.scores is not None:
            for edge, below in zip(EDGES, np.cumsum(self.scores), strict=True):
                yield "ml_segment_score_bucket", {"le": edge}, int(below)

    def shares(self) -> dict[tuple[str, str], Share]:
        """Returns what each figure is a share of, by figure and class."""
        found = {}
        if self.outcomes is not None:
            of = self.outcomes
            found["accuracy", ""] = Share(of.fp + of.fn, sum(of))
            found["true_positive_rate", ""] = of.true_positives
            found["false_positive_rate", ""] = of.false_positives
        if self.right is not None:
            found["accuracy", ""] = Share(self.right[1], sum(self.right))
        total = sum(self.predicted.values())
        if self.predicted or self.failed:
            found["error_ratio", ""] = Share(self.failed, total + self.failed)
        return found

    def sums(self) -> Errors | None:
        if self.errors is None:
            return None
        return Errors(len(self.errors), float(self.errors.sum()), float((self.errors**2).sum()))


@dataclass
class Column:
    """The segments of one column of a model."""

    model: str
    segments: Mapping[str, Segment]
    seed: int = 0
    name: str = "region"
    has_reset: bool = False
    """Whether each process was restarted after half of its predictions."""

    @property
    def identity(self) -> dict[str, str]:
        model = {"ml_model_name": self.model, "ml_model_version": "1", "ml_model_role": "primary"}
        return {"job": "api", **model, "ml_segment_name": self.name}

    def series(self) -> Iterator[promtool.Sample]:
        """The counters of three replicas, of which one has few predictions; sums of buckets are kept."""
        shares = (0.5, 0.45, 0.05)
        for value, segment in self.segments.items():
            for name, own, total in segment.counts():
                rest = total
                for replica, share in zip(REPLICAS, shares, strict=True):
                    part = rest if replica == REPLICAS[-1] else _part(total, share)
                    rest -= part
                    before = _part(part, 0.5) if self.has_reset else None
                    labels = {**self.identity, "ml_segment_value": value, **own, "instance": replica}
                    yield promtool.Sample(name, labels, part - (before or 0), is_counter=True, before_reset=before)

    def wanted(self) -> Iterator[promtool.Sample]:
        """The recorded series that Python expects."""
        compared = [*self._of_shares(), *self._of_errors()]
        for record, labels, number in [*compared, *self._worst(compared), *self._of_scores(), *self._fairness()]:
            if number is not None:
                yield promtool.Sample("expected", {**self.identity, "record": record, **labels}, float(number))

    def worse(self) -> set[tuple[str, str]]:
        """Returns the segments that are worse than the rest, with the figure."""
        found = [*self._of_shares(), *self._of_errors()]
        return {
            (labels["ml_segment_value"], labels["ml_eval_figure"])
            for record, labels, number in found
            if record == "segment:ml_worse" and number
        }

    def unfair(self) -> set[tuple[str, str]]:
        """Returns the segments with too low a selection rate, with the class."""
        return {
            (labels["ml_segment_value"], labels["ml_prediction_class"])
            for record, labels, number in self._fairness()
            if record == "segment:ml_unfair" and number
        }

    def shares(self) -> dict[tuple[str, str], dict[str, Share]]:
        """Returns the shares of all segments by figure and class."""
        found: dict[tuple[str, str], dict[str, Share]] = {}
        for value, segment in self.segments.items():
            for key, share in segment.shares().items():
                found.setdefault(key, {})[value] = share
        for class_ in {each for segment in self.segments.values() for each in segment.predicted if each}:
            found["selection_rate", class_] = {
                value: Share(segment.predicted.get(class_, 0), sum(segment.predicted.values()))
                for value, segment in self.segments.items()
                if segment.predicted
            }
        return found

    def _of_shares(self) -> Iterator[Expected]:
        for (figure, class_), shares in self.shares().items():
            if figure == "accuracy":
                yield from (
                    ("segment:ml_labels", {"ml_segment_value": value}, share.whole) for value, share in shares.items()
                )
            known = {value: share for value, share in shares.items() if share.whole}
            if known:
                of_column = {"ml_prediction_class": class_, "ml_eval_figure": figure}
                yield "column:ml_gap_limit", of_column, figures.noise_limit(len(known))
            for value, share in known.items():
                labels = {"ml_segment_value": value, "ml_prediction_class": class_}
                yield f"segment:ml_{figure}", labels, share.value if figure != "accuracy" else 1 - (share.value or 0)
                labels = {**labels, "ml_eval_figure": figure}
                rest = Share(sum(each.part for each in shares.values()) - share.part, 0)
                rest = rest._replace(whole=sum(each.whole for each in shares.values()) - share.whole)
                z = figures.share_z(share, rest)
                if z is None:
                    continue
                gap = share.part / share.whole - rest.part / rest.whole
                yield "segment:ml_gap", labels, gap
                yield "segment:ml_gap_z", labels, z
                if figure in ("accuracy", "error_ratio"):
                    enough = min(share.whole, rest.whole) >= LEAST_ROWS
                    yield "segment:ml_worse", labels, gap > POINTS and z > figures.noise_limit(len(known)) and enough

    def _of_errors(self) -> Iterator[Expected]:
        errors = {value: sums for value, segment in self.segments.items() if (sums := segment.sums()) is not None}
        yield from (("segment:ml_labels", {"ml_segment_value": value}, sums.size) for value, sums in errors.items())
        known = {value: sums for value, sums in errors.items() if sums.size}
        if known:
            yield "column:ml_gap_limit", {"ml_eval_figure": "mae"}, figures.noise_limit(len(known))
        for value, own in known.items():
            labels = {"ml_segment_value": value}
            yield "segment:ml_mae", labels, own.total / own.size
            labels = {**labels, "ml_eval_figure": "mae"}
            rest = Errors(
                *(sum(column) - part for column, part in zip(zip(*errors.values(), strict=True), own, strict=True))
            )
            if not rest.size:
                continue
            gap, z = own.total / own.size - rest.total / rest.size, figures.mean_z(own, rest)
            yield "segment:ml_gap", labels, gap
            if z is None:
                continue
            yield "segment:ml_gap_z", labels, z
            is_beyond = z > figures.noise_limit(len(known)) and gap > SHARE * rest.total / rest.size
            yield "segment:ml_worse", labels, is_beyond and min(own.size, rest.size) >= LEAST_ROWS

    @staticmethod
    def _worst(compared: Sequence[Expected]) -> Iterator[Expected]:
        """The gap of the segment with the greatest z."""
        found: dict[str, list[tuple[float, dict[str, str]]]] = {}
        gaps = {tuple(labels.items()): number for record, labels, number in compared if record == "segment:ml_gap"}
        for record, labels, z in compared:
            if record == "segment:ml_gap_z" and labels["ml_eval_figure"] in ("accuracy", "error_ratio", "mae"):
                found.setdefault(labels["ml_eval_figure"], []).append((z or 0.0, labels))
        for segments in found.values():
            most = max(z for z, _ in segments)
            yield from (
                ("segment:ml_gap_worst", labels, gaps[tuple(labels.items())]) for z, labels in segments if z == most
            )

    def _of_scores(self) -> Iterator[Expected]:
        scores = {value: segment.scores for value, segment in self.segments.items() if segment.scores is not None}
        known = sum(any(each) for each in scores.values())
        for value, own in scores.items():
            rest = [sum(column) - part for column, part in zip(zip(*scores.values(), strict=True), own, strict=True)]
            labels = {"ml_segment_value": value}
            yield "segment:ml_score_shift", labels, figures.score_shift(own, rest)
            if known:
                yield "segment:ml_score_shift_noise", labels, figures.score_shift_noise(own, rest, known)

    def _fairness(self) -> Iterator[Expected]:
        for (figure, class_), shares in self.shares().items():
            if figure.endswith("positive_rate"):
                yield f"segment:ml_{figure}_difference", {}, figures.difference(shares)
            elif figure == "selection_rate":
                yield "segment:ml_selection_ratio", {"ml_prediction_class": class_}, figures.ratio(shares)
                yield from self._unfair(class_, {value: share for value, share in shares.items() if share.whole})

    def _unfair(self, class_: str, shares: Mapping[str, Share]) -> Iterator[tuple[str, dict[str, str], float]]:
        enough = [share.part / share.whole for share in shares.values() if share.whole >= LEAST_ROWS]
        for value, share in shares.items():
            rest = Share(
                sum(each.part for each in shares.values()) - share.part,
                sum(each.whole for each in shares.values()) - share.whole,
            )
            z = figures.share_z(share, rest)
            if z is None or not enough:
                continue
            is_low = share.part / share.whole < FOUR_FIFTHS * max(enough) and -z > figures.noise_limit(len(shares))
            labels = {"ml_segment_value": value, "ml_prediction_class": class_}
            yield "segment:ml_unfair", labels, is_low and share.whole >= LEAST_ROWS


def _part(total: float, share: float) -> float:
    """Returns a share of a count as a whole number, or of a sum as it is."""
    return int(total * share) if isinstance(total, int) or float(total).is_integer() else total * share
