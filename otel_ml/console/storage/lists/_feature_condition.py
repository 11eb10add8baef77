"""Comparisons with the value of a feature, of a row of JSON."""

from __future__ import annotations

import csv
import re
from typing import Any, Final, NamedTuple

_NUMBERS: Final = "('UBIGINT', 'BIGINT', 'DOUBLE')"
_NAME: Final = r'(?:"(?P<quoted>[^"]+)"|(?P<name>(?!"[^"]+").+?))'
_SIGN: Final = re.compile(_NAME + r"(?P<blank>\s+)?(?P<operator>>=|<=|!=|=|>|<)(?(blank)\s*)(?P<value>.*)", re.DOTALL)
_WORD: Final = re.compile(
    _NAME + r"\s+(?P<operator>is missing|is not missing|not in\b|in\b)\s*(?P<value>.*)", re.DOTALL
)
_CODE: Final = re.compile(r"[+-]?0\d")
"""How a text begins that has only digits and is no number, such as a postal code."""
_MISSING: Final = {"is missing": "=", "is not missing": "!="}


class FeatureCondition(NamedTuple):
    """A comparison with the value of a feature; an empty value stands for a missing one."""

    name: str
    operator: str
    values: tuple[str, ...]
    """One; of `in` and `not in` any number."""

    @classmethod
    def read(cls, text: str) -> FeatureCondition | None:
        """Returns the condition that a text says, such as ``age>=60`` or ``country in DE, FR``; None if it says none.

        A name with an operator in it stands in double quotes.
        """
        found = _SIGN.fullmatch(text) or _WORD.fullmatch(text)
        if found is None:
            return None
        name, operator, value = found["quoted"] or found["name"], found["operator"], found["value"]
        if operator in _MISSING:
            return None if value else cls(name, _MISSING[operator], ("",))
        if operator in {"in", "not in"}:
            values = tuple(each.strip() for each in next(csv.reader([value], skipinitialspace=True), ()))
            return cls(name, operator, values) if values else None
        return cls(name, operator, (value,)) if operator in {"=", "!="} or _number(value) is not None else None

    def sql(self, row: str) -> tuple[str, list[Any]]:
        """The condition on a row of JSON, with its parameters."""
        path = "/features/" + self.name.replace("~", "~0").replace("/", "~1")
        if self.operator in {"=", "!=", "in", "not in"}:
            parts = [equal(row, path, value) for value in self.values]
            either = " or ".join(sql for sql, _ in parts)
            is_negative = self.operator in {"!=", "not in"}
            return f"{'not ' if is_negative else ''}({either})", [value for _, values in parts for value in values]
        # a database sorts NaN above all numbers
        number = f"nullif(try_cast(json_extract_string({row}, ?) as double), 'nan'::double)"
        return f"{number} {self.operator} ?", [path, _number(self.values[0])]


def equal(row: str, path: str, text: str) -> tuple[str, list[Any]]:
    """The condition that a value of a row of JSON is what a text says, with its parameters.

    Blanks around a text do not count. 1 and 1.0 are equal if the row has a number there, since the text `1.0` is
    another one than `1`. An empty text stands for a missing value.
    """
    found, kind = f"json_extract_string({row}, ?)", f"json_type({row}, ?)"
    text = text.strip()
    if not text:
        return f"coalesce(trim({found}), '') = ''", [path]
    if text.lower() in {"true", "false"}:
        is_boolean = f"({kind} = 'BOOLEAN' and {found} = ?)"
        return f"coalesce(trim({found}) = ? or {is_boolean}, false)", [path, text, path, path, text.lower()]
    number = None if _CODE.match(text) else _number(text)
    if number is None:
        return f"coalesce(trim({found}) = ?, false)", [path, text]
    is_number = f"({kind} in {_NUMBERS} and try_cast({found} as double) = ?)"
    return f"coalesce(trim({found}) = ? or {is_number}, false)", [path, text, path, path, number]


def quoted(name: str) -> str:
    """Returns the name of a feature as a condition has it."""
    found = FeatureCondition.read(f"{name}=1")
    return name if found is not None and found.name == name else f'"{name}"'


def _number(given: str) -> float | None:
    try:
        found = float(given)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None
