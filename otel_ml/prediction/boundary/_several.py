"""One prediction that is several values: the set of classes of a multilabel model, the items of a ranking in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from otel_ml._figures.single import THRESHOLD, is_probability
from otel_ml._values import class_text, number
from otel_ml._values.kinds import builtin, members, pairs, sequence
from otel_ml._values.labels import ITEMS_SHOWN, is_indicator, list_text, set_text
from otel_ml.prediction.boundary._named_shares import CLASSES_LIMIT, shares_in_order
from otel_ml.prediction.boundary._output_rows import OutputRules
from otel_ml.prediction.boundary._records import find_record
from otel_ml.prediction.boundary._result_names import EXACT, find_named

Names = list[str | None]


class SeveralRow(NamedTuple):
    """The canonical text of one prediction, and the probability of each declared class."""

    text: str | None = None
    shares: Sequence[float] | None = None


def read_row(prediction: Any, score: Any, how: OutputRules) -> SeveralRow:
    """Reads one prediction, with probabilities of its classes or scores of its items beside it or alone."""
    if how.task == "ranking":
        items = _items(prediction)
        return SeveralRow() if items is None else SeveralRow(list_text(items[:ITEMS_SHOWN]))
    names, shares = (None, None) if prediction is None else _set(prediction, how)
    if score is not None:
        pairwise = _paired(prediction, score)
        likely, of_score = _set(pairwise if _has_all(pairwise, how) else score, how, is_score=True)
        shares = of_score if shares is None else shares
        names = likely if names is None or _has_all(pairwise, how) else names
    if names is None or None in names:
        return SeveralRow()
    return SeveralRow(set_text(names), shares if how.wants_shares else None)


def is_mapping(result: Any, how: OutputRules) -> bool:
    """Whether a mapping has a number for each class or item, and does not name a prediction and a score."""
    found = pairs(result, CLASSES_LIMIT)
    if found is None or not found[0] or any(number(value) is None for _, value in found[0]):
        return False
    names = {class_text(name) or "" for name, _ in found[0]}
    return EXACT.isdisjoint(names) if how.task == "ranking" else names <= set(how.classes or ())


def _set(given: Any, how: OutputRules, *, is_score: bool = False) -> tuple[Names | None, list[float] | None]:
    """Returns the classes of a set, and the probabilities of all classes if it was given as these."""
    found = members(given, CLASSES_LIMIT)
    if found is not None:
        return [class_text(item) for item in found[0]], None
    named = pairs(given, CLASSES_LIMIT)
    listed = sequence(given, CLASSES_LIMIT)
    if named is None and listed is not None and listed[0] and find_record(listed[0][0]) is not None:
        named = _scored_labels(listed[0])
    if named is not None:
        return _of_mapping(dict(named[0]), how, is_score=is_score)
    if listed is None:
        return (None, None) if is_score or not _is_class(given) else ([class_text(given)], None)
    return _of_list(listed[0], how, is_score=is_score)


def _of_mapping(given: dict[Any, Any], how: OutputRules, *, is_score: bool) -> tuple[Names | None, list[float] | None]:
    shares = {class_text(name) or "": number(share) for name, share in given.items()}
    known = {name: share for name, share in shares.items() if share is not None and is_probability(share)}
    if len(known) < len(given):
        return None, None
    names: Names = [name for name, share in known.items() if share > THRESHOLD]
    if not is_score and all(type(builtin(share)) is not float for share in given.values()):
        return names, None
    ordered = shares_in_order(known, how.classes or ())
    how.unkept = len(known) if ordered is None else how.unkept
    return names, ordered


def _of_list(items: list[Any], how: OutputRules, *, is_score: bool) -> tuple[Names | None, list[float] | None]:
    classes = how.classes or ()
    if not is_score and is_indicator(items) and len(items) == len(classes):
        return [name for name, item in zip(classes, items, strict=True) if number(item)], None
    shares = [share for share in map(number, items) if share is not None and is_probability(share)]
    if len(shares) == len(items) > 0 and (is_score or any(type(builtin(item)) is float for item in items)):
        if len(shares) == len(classes):
            return [name for name, share in zip(classes, shares, strict=True) if share > THRESHOLD], shares
        how.unkept = len(shares)
        return None, None
    is_unknown = is_score or (is_indicator(items) and not classes) or not all(map(_is_class, items))
    return (None if is_unknown else [class_text(item) for item in items]), None


def _is_class(value: Any) -> bool:
    """Whether a value can be a class or an item: a fraction is none."""
    found = builtin(value)
    return type(found) is not float or found.is_integer()


def _scored_labels(items: list[Any]) -> tuple[list[tuple[Any, Any]], int] | None:
    """Returns labels with their scores, as a classification pipeline lists them; None for other records."""
    named = [find_named(item, "multilabel") for item in items]
    found = [(one.prediction, one.score) for one in named if one is not None and number(one.score) is not None]
    return (found, len(found)) if len(found) == len(items) else None


def _paired(prediction: Any, score: Any) -> dict[str, Any] | None:
    """Returns the score of each label of two lists that are equally long."""
    labels, scores = sequence(prediction, CLASSES_LIMIT), sequence(score, CLASSES_LIMIT)
    if labels is None or scores is None or labels[1] != scores[1] or is_indicator(labels[0]):
        return None
    return {class_text(label) or "": share for label, share in zip(labels[0], scores[0], strict=True)}


def _has_all(paired: dict[str, Any] | None, how: OutputRules) -> bool:
    """Whether labels with scores are all declared classes, and not only those that are predicted."""
    return (
        bool(paired and how.classes)
        and shares_in_order(dict.fromkeys(paired or (), 0.0), how.classes or ()) is not None
    )


def _items(given: Any) -> Names | None:
    """Returns the items of a ranking in their order; those of a mapping by their scores, the highest first."""
    named = pairs(given, CLASSES_LIMIT)
    if named is not None:
        scored = [(class_text(item), number(score)) for item, score in named[0]]
        known = [(item, score) for item, score in scored if item is not None and score is not None]
        ordered = sorted(known, key=lambda pair: -pair[1])
        return [item for item, _ in ordered] if len(known) == len(scored) > 0 else None
    listed = sequence(given, CLASSES_LIMIT)
    if listed is None:
        return [class_text(given)] if type(builtin(given)) is str else None
    items = [_item(entry) for entry in listed[0]]
    return None if None in items else items


def _item(entry: Any) -> str | None:
    """Returns an item, or that of a pair or a record of an item and its score."""
    record = None if builtin(entry) is not None else find_record(entry)
    pair = [value for _, value in record] if record is not None else (sequence(entry, 3) or ([], 0))[0]
    if len(pair) == 2 and type(builtin(pair[1])) is float:
        entry = pair[0]
    elif len(pair) == 2 and record is not None and type(builtin(pair[0])) is float:
        entry = pair[1]
    return class_text(entry) if _is_class(entry) else None
