"""What the metrics of one model say: versions, errors, durations, scores and classes over time, without any event."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.storage._histograms import Histogram, histograms_over_time, quantiles
from otel_ml.console.storage._metric_points import increases
from otel_ml.console.storage._traffic import CLASSES_SHOWN, ERRORS_SHOWN, SCORE_BINS, VERSIONS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

    from otel_ml.console.storage._metric_points import Point, Span
    from otel_ml.console.storage._time_range import TimeRange

    Rows = list[dict[str, Any]]

_VERSION: Final = (semconv.MODEL_VERSION, semconv.MODEL_ROLE)
_NO_LATENCY: Final = [None, None, None]


class CountedModel:
    """The rows that `_traffic` reads from events, read from counters and histograms; they have a step's precision."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, window: TimeRange, span: Span) -> None:
        self._window = window
        self._starts = window.starts
        edges = self._starts[1:]
        points = increases(cursor, (semconv.PREDICTIONS.name, semconv.PREDICTION_ERRORS.name), span, edges)
        self._predicted = [each for each in points if each.name == semconv.PREDICTIONS.name and each.value > 0]
        self._failed = [
            each
            for each in points
            if each.name == semconv.PREDICTION_ERRORS.name
            and each.value > 0
            and each.attributes.get(semconv.ERROR_TYPE) != semconv.CANCELLED
        ]
        self._durations = histograms_over_time(cursor, semconv.PREDICTION_DURATION.name, span, _VERSION, edges)
        self._scores = histograms_over_time(cursor, semconv.PREDICTION_SCORE.name, span, _VERSION)
        self._batches = histograms_over_time(cursor, semconv.PREDICTION_BATCH_SIZE.name, span, (), edges).get((), [])

    def versions(self) -> Rows:
        """Each version and role with its counts, the one that was seen first first."""
        rows = []
        for version in dict.fromkeys(map(_version, [*self._predicted, *self._failed])):
            steps = [row for row in self.over_time() if (row["version"], row["role"]) == version]
            timed = _together(self._durations.get(version, ()))
            scored = _together(self._scores.get(version, ()))
            seen = [row["step"] for row in steps]
            rows.append(
                {
                    **dict(zip(("version", "role"), version, strict=True)),
                    **{name: sum(row[name] for row in steps) for name in ("calls", "rows", "errors")},
                    "latency": quantiles(timed) if timed else None,
                    "score": scored.total / scored.times if scored else None,
                    "first_ns": self._starts[min(seen)],
                    "newest_ns": min(self._starts[max(seen)] + self._window.step_ns, self._window.until_ns),
                }
            )
        return sorted(rows, key=lambda row: row["first_ns"])[:VERSIONS_LIMIT]

    def over_time(self) -> Rows:
        """The counts of each version and role in each step that has any."""
        rows: dict[tuple[tuple[str, ...], int], dict[str, Any]] = {}
        for points, name in ((self._predicted, "rows"), (self._failed, "errors")):
            for point in points:
                row = rows.setdefault((_version(point), point.period), {"rows": 0, "errors": 0})
                row[name] += round(point.value)
        for (version, step), row in rows.items():
            timed = self._durations.get(version, [None] * len(self._starts))[step]
            row |= {"version": version[0], "role": version[1], "step": step}
            row["calls"] = round(timed.times) if timed else row["rows"] + row["errors"]
        return list(rows.values())

    def errors(self) -> Rows:
        """The kinds of errors, the most frequent first, each with the steps in which it was first and last seen."""
        found: dict[str, dict[str, Any]] = {}
        for point in self._failed:
            kind = str(point.attributes.get(semconv.ERROR_TYPE, ""))
            row = found.setdefault(kind, {"error_type": kind, "calls": 0, "steps": []})
            row["calls"] += round(point.value)
            row["steps"].append(point.period)
        for row in found.values():
            steps = row.pop("steps")
            row |= {"first_ns": self._starts[min(steps)], "newest_ns": self._starts[max(steps)]}
        return sorted(found.values(), key=lambda row: -row["calls"])[:ERRORS_SHOWN]

    def latency(self) -> Rows:
        """The median, 95 % and 99 % duration in each step, and the mean batch size; of that no step has a largest."""
        rows = []
        for step, timed in enumerate(self._timed()):
            batch = self._batches[step] if self._batches else None
            if timed or batch:
                latency = quantiles(timed) if timed else _NO_LATENCY
                mean = batch.total / batch.times if batch else None
                rows.append({"step": step, "latency": latency, "batch_mean": mean, "batch_max": None})
        return rows

    def durations(self) -> Rows:
        """The calls in each step and band of durations; bands are the buckets of the histogram."""
        return [
            {"step": step, "band": band, "calls": round(times)}
            for step, timed in enumerate(self._timed())
            for band, times in enumerate(timed.buckets if timed else ())
            if times
        ]

    def band_start(self, band: int) -> float:
        """The shortest duration in a band, in seconds."""
        timed = _together(self._timed())
        return timed.bounds[band - 1] if timed and band else 0.0

    def scores(self) -> Rows:
        """The predictions in each of equal bins of the score from 0 to 1, by version and role."""
        rows = []
        for version, periods in self._scores.items():
            scored = _together(periods)
            lows = [0.0, *scored.bounds] if scored else []
            for low, times in zip(lows, scored.buckets if scored else (), strict=True):
                place = min(max(round(low * SCORE_BINS), 0), SCORE_BINS - 1)
                rows.append({"version": version[0], "role": version[1], "bin": place, "calls": times})
        return rows

    def classes(self) -> Rows:
        """The predictions of each class in each step; of the rarest classes together, under None."""
        named = [each for each in self._predicted if each.attributes.get(semconv.PREDICTION_CLASS) is not None]
        sums: dict[str, float] = {}
        for each in named:
            name = str(each.attributes[semconv.PREDICTION_CLASS])
            sums[name] = sums.get(name, 0.0) + each.value
        top = sorted(sums, key=lambda name: (-sums[name], name))[:CLASSES_SHOWN]
        found: dict[tuple[str | None, int], float] = {}
        for each in named:
            name = str(each.attributes[semconv.PREDICTION_CLASS])
            key = (name if name in top else None, each.period)
            found[key] = found.get(key, 0.0) + each.value
        return [{"class": name, "step": step, "calls": round(times)} for (name, step), times in found.items()]

    def _timed(self) -> list[Histogram | None]:
        """The durations of all versions in each step."""
        return [_together(periods) for periods in zip(*self._durations.values(), strict=True)]


def _version(point: Point) -> tuple[str, ...]:
    return tuple(str(point.attributes.get(key, "")) for key in _VERSION)


def _together(found: Iterable[Histogram | None]) -> Histogram | None:
    """All histograms as one; of other bounds than the first, nothing."""
    known = [each for each in found if each is not None]
    return reduce(Histogram.plus, [each for each in known if each.bounds == known[0].bounds]) if known else None
