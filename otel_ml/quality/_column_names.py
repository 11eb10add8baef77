"""The declared columns of a model, found under any spelling of their names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from otel_ml._values import line

NAME_LIMIT: Final = 256
"""Characters of a name that are compared."""
_KEPT: Final = frozenset("LMNS")
"""Unicode categories that distinguish names: letters, marks, numbers and symbols. The others only separate words."""
_PARTS: Final = re.compile(r"[.#/\[\]]+|__+")
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_MOST_PARTS: Final = 8
_MOST_WORDS: Final = 32
_REMEMBERED: Final = 1024
_PLANS: Final = 128


def column_key(name: object) -> str:
    """Returns the canonical form of a column's name: ``native-country`` and ``nativeCountry`` have the same.

    Case, punctuation, blanks and control characters are ignored. A name that has only these stays as it is.
    """
    text = line(name, NAME_LIMIT) or ""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = [char for char in folded if unicodedata.category(char)[0] in _KEPT and char != "\ufffd"]
    return "".join(kept) or text


@dataclass(frozen=True, slots=True)
class NamePlan:
    """Maps the names of one row to the declared columns."""

    names: Mapping[str, str]
    """Declared column of each name that has another form."""
    absent: frozenset[str]
    """Declared columns that the row does not have."""
    unclear: frozenset[str]
    """Absent columns that an ambiguous name of the row could mean."""

    @property
    def is_exact(self) -> bool:
        """Whether the row can stay as it is."""
        return not self.names and not self.unclear


class ColumnNames:
    """Compares names with the declared columns in one canonical form.

    Args:
        names: The declared columns.
        sensitive: Those that are sensitive, declared or not.
    """

    def __init__(self, names: Iterable[str], sensitive: Collection[str] = ()) -> None:
        self._given = (tuple(names), tuple(sensitive))
        self._by_key: dict[str, tuple[str, ...]] = {}
        for name in sorted(set(self._given[0])):
            self._by_key[column_key(name)] = (*self._by_key.get(column_key(name), ()), name)
        for name in sorted(sensitive):
            self._by_key.setdefault(column_key(name), (name,))
        self.declared: frozenset[str] = frozenset(name for found in self._by_key.values() for name in found)
        """All columns, including sensitive ones that are not declared otherwise."""
        self.sensitive_keys: frozenset[str] = frozenset(map(column_key, sensitive))
        """Canonical forms of the sensitive columns."""
        self._sensitive: dict[str, str | None] = {}
        self._derived: dict[str, bool] = {}
        self._plans: dict[tuple[str, ...], NamePlan] = {}

    def including(self, further: Iterable[str]) -> ColumnNames:
        """Returns these columns and further ones that none of them can mean."""
        names, sensitive = self._given
        new = [name for name in further if not self.candidates(name)]
        return ColumnNames((*names, *new), sensitive) if new else self

    def candidates(self, name: str) -> tuple[str, ...]:
        """Returns the declared columns that a name can mean; only itself if it is one."""
        return (name,) if name in self.declared else self._by_key.get(column_key(name), ())

    def find(self, name: str) -> str | None:
        """Returns the declared column that a name means; None if there is none, or more than one."""
        found = self.candidates(name)
        return found[0] if len(found) == 1 else None

    def find_field(self, names: Iterable[str]) -> str | None:
        """Returns the declared column of a field with several names, a sensitive one first; None if it is ambiguous."""
        found: dict[str, None] = {}
        for name in names:
            key = self.sensitive_key(name)
            if key is not None:
                return self._by_key[key][0]
            found.update(dict.fromkeys(self.candidates(name)))
        return next(iter(found)) if len(found) == 1 else None

    def is_sensitive(self, name: str) -> bool:
        """Whether a value under this name may be one of a sensitive column, or derived from one."""
        return self.sensitive_key(name) is not None or self._is_derived(name)

    def _is_derived(self, name: str) -> bool:
        """Whether an undeclared name has the words of a sensitive column in it, such as ``native-country_US``."""
        if not self.sensitive_keys:
            return False
        is_derived = self._derived.get(name)
        if is_derived is None:
            is_declared = bool(self.candidates(name) or self.candidates(_PARTS.split(name)[-1]))
            is_derived = not is_declared and self._has_sensitive_words(name)
            if len(self._derived) >= _REMEMBERED:
                self._derived.clear()
            self._derived[name] = is_derived
        return is_derived

    def _has_sensitive_words(self, name: str) -> bool:
        words = [key for word in _WORDS.findall(name[:NAME_LIMIT])[:_MOST_WORDS] if (key := column_key(word))]
        runs = ("".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1))
        return not self.sensitive_keys.isdisjoint(runs)

    def sensitive_key(self, name: str) -> str | None:
        """Returns the canonical form of the sensitive column that a name, or a part of a path, means."""
        if not self.sensitive_keys:
            return None
        try:
            return self._sensitive[name]
        except KeyError:
            key = self._find_sensitive(name)
        if len(self._sensitive) >= _REMEMBERED:
            self._sensitive.clear()
        self._sensitive[name] = key
        return key

    def _find_sensitive(self, name: str) -> str | None:
        parts = _PARTS.split(name)[-_MOST_PARTS:]
        runs = [parts[start:end] for start in range(len(parts)) for end in range(start + 1, len(parts) + 1)]
        keys = [column_key(name), *(column_key(".".join(run)) for run in runs if any(run))]
        return next((key for key in keys if key in self.sensitive_keys), None)

    def plan(self, names: tuple[str, ...]) -> NamePlan:
        """Maps the names of a row to the declared columns."""
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            plan = self._plans[names] = self._make_plan(names)
        return plan

    def _make_plan(self, names: tuple[str, ...]) -> NamePlan:
        found = self.declared.intersection(names)
        renamed: dict[str, str] = {}
        possible: set[str] = set()
        for name in names:
            candidates = () if name in found else self.candidates(name)
            free = [column for column in candidates if column not in found and column not in renamed.values()]
            if len(candidates) == 1 and free:
                renamed[name] = free[0]
            elif len(candidates) > 1:
                possible.update(free)
        absent = self.declared.difference(found, renamed.values())
        return NamePlan(renamed, absent, absent & possible)
