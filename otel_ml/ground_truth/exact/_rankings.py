"""Figures of rankings."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

from otel_ml._figures import single
from otel_ml._figures.intervals import mean, share
from otel_ml._values.labels import read_gains, read_items
from otel_ml.ground_truth.exact._rows import Classes, Row, describe


class RankingRows:
    """The figures of each ranking whose relevant items are known."""

    def __init__(self) -> None:
        self._labelled = 0
        self._ndcg = array("d")
        self._reciprocal_rank = array("d")
        self._hits = 0

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._labelled += 1
            items, gains = read_items(row[3] or ""), read_gains(row[4])
            if items is not None and gains is not None:
                self._ndcg.append(single.ndcg(items, gains))
                self._reciprocal_rank.append(single.reciprocal_rank(items, gains))
                self._hits += single.is_hit(items, gains)

    def figures(self, classes: Classes) -> dict[str, Any]:  # noqa: ARG002 - a ranking has none
        estimates = {
            "ndcg": mean(self._ndcg, 0.0, 1.0),
            "reciprocal_rank": mean(self._reciprocal_rank, 0.0, 1.0),
            "hit_rate": share(self._hits, len(self._ndcg)),
        }
        return {"count": len(self._ndcg), "labelled": self._labelled, **describe(estimates)}
