"""Counts of labels that are sets of classes or gains of items over whole columns, and the figures from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_ml._figures import single
from otel_ml._figures.confusion import ClassCounts
from otel_ml._figures.data_sets.outcome_columns import CountsError, listed, read_label, read_ranking
from otel_ml._figures.data_sets.score_counts import add_multilabel, score_figures
from otel_ml._figures.from_counts import macro_figures
from otel_ml._values.equality import find_equal
from otel_ml._values.labels import is_indicator, label_gains, label_set, read_gains, read_items, read_written

if TYPE_CHECKING:
    from otel_ml._figures.data_sets.tally import Tally
    from otel_ml._values.arrays import Array

_RANKED: Final = ("ndcg", "reciprocal_rank")


def add_sets(tally: Tally, label: Any, prediction: Any, probabilities: Array | None, classes: Sequence[str]) -> None:
    """Counts the rows with a set of actual classes, and a set of predicted ones or the probability of each class."""
    import numpy as np

    truth = [_read_set(value, classes) for value in listed(label)]
    if not classes:
        tally.count(sum(not is_indicator(_entries(value)) for value in listed(label)), "named")
    known = np.array([found is not None for found in truth], bool)
    if probabilities is not None:
        known &= ~np.isnan(probabilities).any(axis=1)
        tally.count(int(np.count_nonzero(~single.are_probabilities(probabilities).all(axis=1))), "outside")
    if prediction is not None:
        sets = [_read_set(value, classes) for value in listed(prediction)]
        known &= np.array([found is not None for found in sets], bool)
    elif probabilities is not None:
        above = probabilities > single.THRESHOLD
        sets = [frozenset(classes[place] for place in np.flatnonzero(row).tolist()) for row in above]
    else:
        raise CountsError("a multilabel task: give prediction=COLUMN of sets, or score={class: column, ...}")
    rows = np.flatnonzero(known).tolist()
    tally.count(len(rows), "rows")
    for row in rows:
        _count_set(tally, sets[row] or frozenset(), truth[row] or frozenset())
    if probabilities is not None:
        actual = np.array([[name in (truth[row] or ()) for name in classes] for row in rows], bool)
        add_multilabel(tally, list(classes), probabilities[known], actual.reshape(len(rows), len(classes)))


def _read_set(value: Any, classes: Sequence[str]) -> frozenset[str] | None:
    """Returns the classes of a label, read as in production; a bare class is a set of one."""
    text = read_label(value)
    if text is None:
        return None
    return frozenset(find_equal(name, classes) or name for name in read_items(label_set(text, classes or None)) or ())


def _entries(value: Any) -> list[Any]:
    text = read_label(value)
    found = None if text is None else read_written(text)
    return found if isinstance(found, list) else []


def _count_set(tally: Tally, predicted: frozenset[str], actual: frozenset[str]) -> None:
    tally.count(predicted == actual, "exact")
    for outcome, names in (("tp", predicted & actual), ("fp", predicted - actual), ("fn", actual - predicted)):
        for name in names:
            tally.count(1, outcome, name)


def set_figures(tally: Tally, classes: Sequence[str]) -> dict[str, float | None]:
    """Returns the figures of a multilabel task."""
    rows = tally.counts["rows",]
    if tally.counts["outside",]:
        raise CountsError("some scores are outside 0..1: give probabilities, as of predict_proba")
    if rows and not classes and not tally.counts["named",]:
        raise CountsError(
            "the labels are rows of 0 and 1, and their classes are not known: give score={class: column, ...}, or sets "
            "of names as label and prediction"
        )
    seen = sorted({*classes, *(key[1] for key in tally.counts if key[0] in {"tp", "fp", "fn"})})
    counts = {name: ClassCounts(*(tally.counts[kind, name] for kind in ("tp", "fp", "fn"))) for name in seen}
    wrong = sum(of_class.fp + of_class.fn for of_class in counts.values())
    return {
        **macro_figures(counts),
        "exact_match": tally.counts["exact",] / rows if rows else None,
        "hamming_loss": wrong / (rows * len(seen)) if rows and seen else None,
        **score_figures(tally),
    }


def add_rankings(tally: Tally, label: Any, prediction: Any) -> None:
    """Counts the rows with a ranking, and with the relevant items or the gain of each."""
    import numpy as np

    if prediction is None:
        raise CountsError("a ranking: give prediction=COLUMN with the items of each row in their order")
    scores: dict[str, list[float]] = {name: [] for name in _RANKED}
    for value, ranked in zip(listed(label), listed(prediction), strict=True):
        gains, items = _read_gains(value), read_ranking(ranked)
        if gains is None or items is None:
            continue
        tally.count(1, "rows")
        tally.count(single.is_hit(items, gains), "hits")
        scores["ndcg"].append(single.ndcg(items, gains))
        scores["reciprocal_rank"].append(single.reciprocal_rank(items, gains))
    for name, values in scores.items():
        tally.add_all(np.array(values, np.float64), name)


def _read_gains(value: Any) -> Mapping[str, float] | None:
    text = read_label(value)
    return None if text is None else read_gains(label_gains(text))


def ranking_figures(tally: Tally) -> dict[str, float | None]:
    """Returns the figures of a ranking."""
    rows = tally.counts["rows",]
    if not rows:
        return {}
    return {**{name: tally.value(name) / rows for name in _RANKED}, "hit_rate": tally.counts["hits",] / rows}
