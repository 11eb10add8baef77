"""Names of metrics and labels in Prometheus, the same whether they are pushed over OTLP or scraped.

The rules are those of the default strategy, `UnderscoreEscapingWithSuffixes`, in prometheus/otlptranslator 1.0.0:
`metric_namer.go`, `unit_namer.go`, `label_namer.go`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

Instrument = Literal["counter", "updowncounter", "histogram", "gauge"]

_NAMES_KEPT: Final = 4096
_UNITS: Final = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
_PER_UNITS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS: Final = re.compile(r"[^a-zA-Z0-9_]")


@lru_cache(_NAMES_KEPT)
def metric_name(name: str, unit: str, instrument: Instrument) -> str:
    """Returns the name of a metric with the suffixes of unit and instrument; empty if it has no character to keep.

    Of a histogram it is the common part: ``_bucket``, ``_sum`` and ``_count`` follow it.

    Args:
        name: The name of the instrument.
        unit: Its unit, in UCUM.
        instrument: Its kind; only a gauge of unit ``1`` is a ratio.
    """
    tokens = [token for token in _NOT_IN_NAMES.split(name) if token]
    for suffix in _unit_suffixes(unit):
        if suffix and suffix not in tokens:
            tokens.append(suffix)
    if instrument == "counter":
        tokens = [*(token for token in tokens if token != "total"), "total"]
    if instrument == "gauge" and unit == "1":
        tokens = [*(token for token in tokens if token != "ratio"), "ratio"]
    joined = "_".join(tokens)
    return f"_{joined}" if joined[:1].isdigit() else joined


@lru_cache(_NAMES_KEPT)
def label_name(key: str) -> str:
    """Returns the label of an attribute."""
    label = _NOT_IN_LABELS.sub("_", key)
    if label[:1].isdigit():
        return f"key_{label}"
    return f"key{label}" if label.startswith("_") and not label.startswith("__") else label


def _unit_suffixes(unit: str) -> tuple[str, str]:
    """Returns the suffixes of `By/s`, for example `bytes` and `per_second`; annotations in braces have none."""
    main, _, per = (part.strip() for part in unit.partition("/"))
    main = "" if "{" in main or "}" in main else _UNITS.get(main, main)
    per = "" if "{" in per or "}" in per else _PER_UNITS.get(per, per)
    return _clean(main), _clean(f"per_{per}") if per else ""


def _clean(suffix: str) -> str:
    return _NOT_IN_NAMES.sub("_", suffix).strip("_")
