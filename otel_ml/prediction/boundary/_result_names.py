"""Finds the prediction and the score among the named values of a result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final, NamedTuple

from otel_ml._guard import attempt
from otel_ml._values.kinds import FRAMES, builtin, kind, pairs, sequence
from otel_ml.prediction.boundary._records import find_record
from otel_ml.quality import ColumnNames

ENTRIES_LIMIT: Final = 1000
"""Named values looked at of one result."""
PREDICTION_WORDS: Final = (
    *("prediction", "label", "class", "predictions", "labels", "classes"),
    *("predicted", "pred", "preds", "yhat", "ypred"),
    *("category", "outcome", "decision", "answer", "output", "outputs", "result", "results"),
)
"""Words of a prediction, the strongest first."""
SCORE_WORDS: Final = (
    *("probability", "score", "confidence", "probabilities", "scores", "confidences"),
    *("proba", "probas", "prob", "probs", "likelihood", "certainty"),
)
SHARE_WORDS: Final = frozenset(SCORE_WORDS) - {"probability"}
"""Words under which a result may have the probability of each class beside its score."""
_EXACT_PREDICTIONS: Final = PREDICTION_WORDS[:6]
_EXACT_SCORES: Final = SCORE_WORDS[:6]
EXACT: Final = frozenset((*_EXACT_PREDICTIONS, *_EXACT_SCORES))
"""Keys that need no further rule."""
_LABEL_SCORE: Final = frozenset({"label", "score"})
_NO_ANSWER: Final = frozenset(
    {
        *("id", "ids", "uuid", "guid", "status", "state", "error", "errors", "message", "messages", "detail"),
        *("details", "version", "model", "time", "timestamp", "date", "at", "created", "ms", "seconds", "latency"),
        *("duration", "elapsed", "count", "total", "threshold", "request", "trace", "success", "ok", "reason"),
        *("reasons", "explanation", "explanations", "currency", "unit", "units", "url"),
    }
)
"""Words of values that accompany a prediction but are not one."""
_ENVELOPES: Final = frozenset(
    {"data", "result", "results", "response", "output", "outputs", "body", "payload", "prediction", "predictions"}
)
_INPUTS: Final = frozenset(
    {"input", "inputs", "feature", "features", "request", "instance", "instances", "meta", "metadata"}
)
_WORD: Final = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SHOWN: Final = re.compile(r"[\w .-]{1,40}")
_KEYS_SHOWN: Final = 10
_OPAQUE: Final = (str, bytes, int, float, list, type, FunctionType, MethodType, ModuleType, BaseException)


class Named(NamedTuple):
    """The prediction and the score that were found by name."""

    prediction: object
    score: object
    is_open: bool = False
    """Whether several names may be the prediction or the score."""
    is_label_score: bool = False
    """Whether they are called label and score, as classification pipelines call a class and its own probability."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return self.prediction is None and self.score is None and not self.is_open


class _Plan(NamedTuple):
    """What the names of a result mean, whatever its values are."""

    prediction: str | None
    score: str | None
    rest: tuple[str, ...]
    """Names of values that may be the prediction if no word says so."""
    is_open: bool


def find_named(result: Any, task: str, columns: ColumnNames | None = None, *, depth: int = 1) -> Named | None:
    """Returns prediction and score of a mapping, a frame or an object; None if nothing is named so.

    Known words come first, then words in another spelling or as a part of a name, then the only plain value, then the
    same one level down. If several values are possible, none is chosen. A value under the name of a sensitive column is
    none unless a word says that it is the prediction.
    """
    family = kind(result)
    if family in FRAMES:
        return attempt(_in_frame, result, family, task, columns)
    if family or issubclass(type(result), _OPAQUE) or result is None:
        return None
    exact = attempt(_exact_entries, result) or {}
    found = Named(_first(exact, _EXACT_PREDICTIONS), _first(exact, _EXACT_SCORES))
    if found.prediction is not None and found.score is not None:
        return found._replace(is_label_score=exact.keys() == _LABEL_SCORE)
    entries = attempt(_plain_entries, result)
    if entries:
        found = _complete(found, entries, task, columns)
    if found.prediction is None and found.score is None and entries and depth and not found.is_open:
        return _one_level_down(entries, task, columns)
    return None if found.is_empty else found


def find_shares(result: Any) -> object:
    """Returns the vector or the mapping that a result has under a word for a score; None without one."""
    entries = dict(attempt(_plain_entries, result) or attempt(_exact_entries, result) or ())
    found = [entries[word] for word in SCORE_WORDS if word in SHARE_WORDS and word in entries]
    return next((value for value in found if sequence(value, 0) is not None or pairs(value, 0) is not None), None)


def keys_of(result: Any) -> str:
    """Returns a bounded text that says what a result looks like, without its values."""
    if kind(result) in FRAMES:
        names = attempt(_column_names, result, kind(result))
    else:
        names = None if issubclass(type(result), _OPAQUE) else [key for key, _ in attempt(_plain_entries, result) or []]
    if names:
        shown = [name for name in names[:_KEYS_SHOWN] if type(name) is str and _SHOWN.fullmatch(name)]
        return f"keys: {', '.join(shown)}{', ...' if len(names) > len(shown) else ''}"
    if attempt(_is_stream, type(result)):
        return "a stream: the prediction ended before it began; decorate the generator that it reads from"
    if attempt(hasattr, type(result), "__await__"):
        return "not finished: the prediction ended before it was awaited; decorate the coroutine that awaits it"
    listed = sequence(result, 0)
    name = type.__dict__["__name__"].__get__(type(result))
    return f"type: {name}" if listed is None else f"{name} of {listed[1]}"


def _is_stream(cls: type) -> bool:
    return any(hasattr(cls, name) for name in ("__next__", "__anext__", "body_iterator"))


def _first(found: dict[str, object], names: Sequence[str]) -> object:
    return next((found[name] for name in names if found.get(name) is not None), None)


def _exact_entries(result: Any) -> dict[str, object]:
    cls = type(result)
    if cls is dict:
        return {name: result[name] for name in EXACT if name in result}
    found = pairs(result, ENTRIES_LIMIT)
    if found is not None:
        return {key: value for key, value in found[0] if type(key) is str and key in EXACT}
    known = {name for base in type.mro(cls) for name in EXACT if name in base.__dict__}
    stored = attempt(object.__getattribute__, result, "__dict__")
    if type(stored) is dict:
        known |= {name for name in stored if type(name) is str and name in EXACT}
    return {name: attempt(getattr, result, name) for name in known}


def _plain_entries(result: Any) -> list[tuple[str, Any]]:
    """The named values of a mapping or of a class of records; of other objects only the known words count."""
    cls = type(result)
    found = pairs(result, ENTRIES_LIMIT)
    if found is None and not any(
        name in base.__dict__
        for base in type.mro(cls)
        for name in ("__dataclass_fields__", "__pydantic_fields__", "__fields__", "__attrs_attrs__", "_fields")
    ):
        return []
    entries = found[0] if found is not None else find_record(result) or []
    return [(key, value) for key, value in entries if type(key) is str]


def _in_frame(frame: Any, family: str, task: str, columns: ColumnNames | None) -> Named | None:
    names = [name for name in _column_names(frame, family) if type(name) is str]
    column: Callable[[str], Any] = frame.column if family == "arrow" else frame.__getitem__
    if not names and family == "pandas" and frame.shape[1] == 1:  # the only column, without a name
        return Named(frame.iloc[:, 0], None)
    entries = {name: column(name) for name in names[:ENTRIES_LIMIT] if name in EXACT}
    found = Named(_first(entries, _EXACT_PREDICTIONS), _first(entries, _EXACT_SCORES))
    if entries.keys() == _LABEL_SCORE:
        return found._replace(is_label_score=True)
    if found.prediction is None or found.score is None:
        plan = _plan(tuple(names[:ENTRIES_LIMIT]))
        wanted = {plan.prediction, plan.score, *(plan.rest if len(plan.rest) == 1 else ())} - {None}
        found = _complete(found, [(name, column(name)) for name in names if name in wanted], task, columns)
    return None if found.is_empty else found


def _column_names(frame: Any, family: str) -> list[Any]:
    return list(frame.column_names if family == "arrow" else frame.columns)


def _complete(found: Named, entries: list[tuple[str, Any]], task: str, columns: ColumnNames | None) -> Named:
    """Adds values found by other spellings, or else the only plain value."""
    prediction, score = found.prediction, found.score
    plan = _plan(tuple(key for key, _ in entries))
    values = dict(entries)
    is_open = plan.is_open and (prediction is None or score is None)
    if score is None and plan.score is not None and plan.score not in EXACT and _is_share(values[plan.score]):
        score = values[plan.score]
    if prediction is None and plan.prediction is not None:
        prediction = values[plan.prediction]
    if prediction is None and not is_open:
        rest = [key for key in plan.rest if columns is None or not columns.is_sensitive(key)]
        plain = [values[key] for key in rest if values[key] is not score and _is_answer(values[key], task)]
        if len(plain) == 1:
            prediction = plain[0]
    return Named(prediction, score, is_open)


def _one_level_down(entries: list[tuple[str, Any]], task: str, columns: ColumnNames | None) -> Named | None:
    found: list[Named] = []
    for key, value in entries:
        if columns is not None and columns.is_sensitive(key):
            continue
        words = set(_words(key))
        if builtin(value) is None and not words & _INPUTS and sequence(value, 0) is None:
            inner = find_named(value, task if words & _ENVELOPES else "", columns, depth=0)
            if inner is not None:
                found.append(inner)
    return found[0] if len(found) == 1 else None


def _is_share(value: object) -> bool:
    """Whether a value whose name contains a word for a score is one: a number in 0..1, or a column of them."""
    listed = sequence(value, 1)
    single = builtin(listed[0][0] if listed is not None and listed[0] else value)
    if listed is not None and listed[0] and sequence(listed[0][0], 0) is not None:
        return True
    return type(single) in (int, float) and 0 <= single <= 1  # type: ignore[operator]


def _is_answer(value: object, task: str) -> bool:
    """Whether a plain value can be what a model of this task predicts."""
    listed = sequence(value, 1)
    single = builtin(listed[0][0]) if listed is not None and listed[0] else builtin(value)
    if task == "regression":
        return type(single) in (int, float)
    return bool(task) and type(single) in (str, bool, int, float)


@lru_cache(maxsize=256)
def _plan(keys: tuple[str, ...]) -> _Plan:
    prediction, is_open = _best(keys, PREDICTION_WORDS, lambda words: not words & {*SCORE_WORDS, *_NO_ANSWER})
    score, has_several = _best(keys, SCORE_WORDS, lambda words: not words & _NO_ANSWER)
    rest = tuple(
        key for key in keys if key not in (prediction, score) and not set(_words(key)) & {*_NO_ANSWER, *SCORE_WORDS}
    )
    return _Plan(prediction, score, rest, is_open or has_several)


def _best(keys: Iterable[str], known: Sequence[str], allows: Callable[[set[str]], bool]) -> tuple[str | None, bool]:
    """Returns the key with the strongest word, and whether several keys have it; then the key is None."""
    ranked: dict[tuple[int, int], list[str]] = {}
    for key in keys:
        words = _words(key)
        joined = "".join(words)
        if joined in known:
            ranked.setdefault((0, known.index(joined)), []).append(key)
        elif allows(set(words)):
            places = [known.index(word) for word in words if word in known]
            if places:
                ranked.setdefault((1, min(places)), []).append(key)
    if not ranked:
        return None, False
    best = ranked[min(ranked)]
    return (best[0], False) if len(best) == 1 else (None, True)


def _words(key: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(key[:256])]
