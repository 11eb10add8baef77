"""Labels and predictions that are not one value: sets of classes, ordered lists of items, and gains of items, as text.

The canonical text is JSON, so that a database, a file and an event show it as it is. The texts in it are canonical
(`_values.class_text`): ``1``, ``1.0`` and ``"1"`` are one class. A list of 0 and 1, such as ``[1, 0, 1]``, stays one
until it is known which classes its model has.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final

from otel_ml._guard import attempt
from otel_ml._values.bounded import class_text, number
from otel_ml._values.equality import find_equal
from otel_ml._values.kinds import builtin, members, pairs, sequence

SEVERAL: Final = frozenset({"multilabel", "ranking"})
"""Tasks whose predictions and labels are several classes or items."""
ITEMS_LIMIT: Final = 1000
"""Entries read of a set, a list or a mapping."""
ITEMS_SHOWN: Final = 100
"""Entries that an event shows."""
_TEXT_LIMIT: Final = 65_536
"""Characters of a written list; a longer text is a class."""
_BETWEEN_TEXTS: Final = re.compile(r"""(?<=['"])\s+(?=['"])""")
_BETWEEN_NUMBERS: Final = re.compile(r"""(?<=[\d.])\s+(?=[\d-])""")
"""Between two entries of an array that numpy has written: ``['a' 'b']`` or ``[1. 0.]``."""


def set_text(classes: Iterable[object]) -> str:
    """Returns a set of classes, such as the label of a multilabel model: sorted, each once. Blank ones are left out."""
    return json.dumps(sorted({text for each in classes if (text := class_text(each)) is not None}), ensure_ascii=False)


def list_text(items: Iterable[object]) -> str:
    """Returns items in their order, such as a ranking; of one that comes twice the first place counts."""
    texts = dict.fromkeys(text for each in items if (text := class_text(each)) is not None)
    return json.dumps(list(texts), ensure_ascii=False)


def gains_text(gains: Mapping[object, object]) -> str:
    """Returns the gain of each relevant item, sorted by item; a gain that is no number above 0 is left out."""
    found = {class_text(item): number(gain) for item, gain in gains.items()}
    known = {item: gain for item, gain in found.items() if item is not None and gain is not None and gain > 0}
    return json.dumps(dict(sorted(known.items())), ensure_ascii=False)


def several_text(text: object) -> str | None:
    """Returns a canonical set or ranking as it is, and any other value as a set of one; None for a missing value."""
    if isinstance(text, str) and read_items(text) is not None:
        return text
    name = class_text(text)
    return name if name is None else json.dumps([name], ensure_ascii=False)


def find_set(text: str, classes: Container[str]) -> str | None:
    """Returns a canonical set in the spelling of the declared classes; None if one of its entries equals none."""
    found = [find_equal(item, classes) for item in read_items(text) or ()]
    return None if None in found else set_text(found)


def label_text(label: object) -> str | None:
    """Returns the canonical text of a label in any form that callers use; None for a missing or unreadable one.

    A set, list, tuple or array becomes a set, a mapping the gains of its items, and a list of 0 and 1 stays one. The
    same holds for a list or a mapping that JSON or Python has written, such as the cell of a CSV file; but a written
    list of numbers stays as it is, since it may be the name of an interval.
    """
    text = builtin(label)
    if type(text) is str:
        found = read_written(text)
        if found is None:
            return class_text(text)
        if found and all(isinstance(item, int | float) for item in found) and isinstance(found, list):
            return text.strip()
        label = found
    gains = pairs(label, ITEMS_LIMIT)
    if gains is not None:
        return gains_text({class_text(item): gain for item, gain in gains[0]})
    listed = sequence(label, ITEMS_LIMIT)
    if listed is not None and is_indicator(listed[0]):
        return json.dumps([int(number(item) or 0) for item in listed[0]])
    listed = members(label, ITEMS_LIMIT) if listed is None else listed
    if listed is None:
        return class_text(label)
    texts = [class_text(item) for item in listed[0]]
    return None if None in texts else set_text(texts)


def is_indicator(items: Sequence[object]) -> bool:
    """Whether a list may say of each class whether it is there: two or more of 0 and 1, or of booleans."""
    return len(items) > 1 and all(number(item) in (0.0, 1.0) for item in items)


def label_set(text: str, classes: Sequence[str] | None) -> str:
    """Returns the label of a multilabel prediction as a set: of a mapping the classes above 0, of a class itself.

    A list of 0 and 1 that is as long as the declared classes says which of them are there.
    """
    found = read_written(text)
    if isinstance(found, dict):
        return set_text(item for item, gain in found.items() if (number(gain) or 0.0) > 0)
    if found is not None and classes is not None and len(found) == len(classes) and is_indicator(found):
        return set_text(name for name, is_there in zip(classes, found, strict=True) if is_there)
    return set_text([text] if found is None else found)


def label_gains(text: str) -> str:
    """Returns the label of a ranking: the gains of its items, or the set of the relevant ones."""
    found = read_written(text)
    return gains_text(found) if isinstance(found, dict) else set_text([text] if found is None else found)


def is_several(text: str) -> bool:
    """Whether a label is a set, a mapping or a list of 0 and 1, and not one value."""
    found = _read(text)
    return isinstance(found, dict) or (
        isinstance(found, list) and (is_indicator(found) or all(isinstance(item, str) for item in found))
    )


def few_entries(text: str) -> Any:
    """Returns the first entries of a set, a ranking or gains, to be shown; any other text as it is."""
    found = _read(text)
    if isinstance(found, dict):
        return dict(list(found.items())[:ITEMS_SHOWN])
    return text if found is None else found[:ITEMS_SHOWN]


def few_text(text: str) -> str:
    """Returns the text of these entries."""
    return json.dumps(few_entries(text), ensure_ascii=False)


def read_items(text: str) -> tuple[str, ...] | None:
    """Returns the entries of a set or a list; None for a text that is neither."""
    found = _read(text)
    return tuple(found) if isinstance(found, list) and all(isinstance(each, str) for each in found) else None


def read_gains(text: str) -> dict[str, float] | None:
    """Returns the gain of each relevant item: as given, or 1 for each of a set or list; None for another text."""
    found = _read(text)
    if isinstance(found, dict):
        return {str(item): float(gain) for item, gain in found.items() if isinstance(gain, int | float)}
    items = read_items(text)
    return None if items is None else dict.fromkeys(items, 1.0)


def read_written(text: str) -> list[Any] | dict[Any, Any] | None:
    """Returns the list or the mapping that a text is, as JSON or Python writes it; None for any other text."""
    text = text.strip()
    if text[:1] not in {"[", "{", "("} or len(text) > _TEXT_LIMIT:
        return None
    found = _read(text)
    if found is None:
        between = _BETWEEN_TEXTS if "'" in text or '"' in text else _BETWEEN_NUMBERS
        found = attempt(ast.literal_eval, text if "," in text else between.sub(", ", text))
    if isinstance(found, set | tuple):
        found = list(found)
    return found if isinstance(found, list | dict) else None


def _read(text: str) -> list[Any] | dict[Any, Any] | None:
    if text[:1] not in {"[", "{"}:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list | dict) else None
