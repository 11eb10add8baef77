"""Labels and predictions that are not one value: sets of classes, ordered lists of items, and gains of items, as text.

The canonical text is JSON, so that a database, a file and an event show it as it is. The texts in it are canonical
(`_values.class_text`): ``1``, ``1.0`` and ``"1"`` are one class.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from typing import Final

from otel_ml._equality import find_equal
from otel_ml._values import class_text, number

SEVERAL: Final = frozenset({"multilabel", "ranking"})
"""Tasks whose predictions and labels are several classes or items."""


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


def _read(text: str) -> object:
    if text[:1] not in {"[", "{"}:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
