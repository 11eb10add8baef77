"""How values read on a page: short text, with the exact value on hover."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from markupsafe import Markup

from otel_ml import semconv
from otel_ml._report import figure_text, percent
from otel_ml._report import rounded as precise
from otel_ml.console.receiving._values import block, finite
from otel_ml.console.storage._queries import moment as iso
from otel_ml.console.web._json_text import indented

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_ml.console.web._view import PageView

_SHOWN: Final = 400
"""Characters of one value on the page."""
_TINY: Final = 0.0005
_THOUSAND: Final = 1000
_VAST: Final = 1e15
_MILLISECONDS: Final = 23
"""Characters of an ISO text up to its milliseconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONG: Final = 4000
"""Characters of one value where a page is about it."""
_WHOLE: Final = 40_000
"""Characters of a value that somebody asked for; texts of senders have at most 16,384, and JSON grows by its lines."""
_AGO: Final = Markup(" data-ago")
_FINE: Final = Markup(" data-fine")
UNKNOWN: Final = Markup("–")  # noqa: RUF001 - a dash for an unknown value


def seconds(given: float | None) -> str | None:
    """A duration with three significant figures, zeros too so that a column lines up, and a fitting unit."""
    if given is None:
        return None
    rounded = abs(float(f"{given:.3g}"))
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if rounded * factor >= 1:
            return f"{_three(given * factor)} {unit}"
    return f"{given * 1e9:.0f} ns" if given else "0 s"


def limit(given: float) -> str:
    """A duration that somebody chose, as the limit of a range: 10 ms, not 10.0 ms."""
    number, _, unit = str(seconds(given)).partition(" ")
    return f"{float(number.replace(',', '')):,g} {unit}"


def _three(given: float) -> str:
    """Three significant figures, or all whole ones up to where nobody reads them."""
    return f"{given:,.0f}" if 999.5 <= abs(given) < _VAST else f"{given:#.3g}".rstrip(".")


def clock(moment: str, length: int = 19) -> str:
    """The time of an ISO text to the second."""
    return moment[:length].rstrip("Z").replace("T", " ")


def figure(given: float | None) -> str | None:
    """A number: whole and large ones with thousands separators, others with four significant figures."""
    if given is None:
        return None
    if isinstance(given, int):
        return f"{given:,}"
    return f"{given:,.0f}" if _THOUSAND <= abs(given) < _VAST else f"{given:.4g}"


def decimal(given: float | None) -> str | None:
    """A figure of a model or its data with three decimals, so that a column lines up."""
    return None if given is None else precise(given)


def count(given: float | None) -> str | None:
    """A number of things, rounded to a whole one."""
    return None if given is None else figure(round(given))


def number_of(given: int, thing: str) -> str:
    """A number with the word for what it counts: 1 row, 2 rows."""
    return f"{figure(given)} {thing}" if given == 1 else f"{figure(given)} {thing}s"


def rate(given: float | None) -> str | None:
    """Something a second, three significant figures."""
    return None if given is None else f"{given:,.0f}" if given >= 100 else f"{given:.3g}"


def score(given: float | None) -> str | None:
    """A score with four decimals, so that a column lines up."""
    return None if given is None else f"{given:.4f}" if 0 <= given <= 1 else f"{given:.4g}"


def size(given: float | None) -> str | None:
    """Bytes with three significant figures and a fitting unit."""
    if given is None:
        return None
    for factor, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(given) >= factor:
            return f"{_three(given / factor)} {unit}"
    return f"{given:.3g} B" if abs(given) < 999.5 else f"{given:.0f} B"


def share(given: float | None) -> str | None:
    """A share as percent; one that is not zero does not look like zero."""
    return None if given is None else percent(given)


def value(given: Any) -> str | None:
    """Any plain value as short text."""
    if given is None or isinstance(given, str):
        return _short(given)
    return _short(json.dumps(finite(given), ensure_ascii=False))


def long(given: Any, *, whole: bool = False, lines: bool = True) -> str | None:
    """Any plain value as text, a longer one than `value` has, or nearly all of it; JSON over several lines."""
    if given is None:
        return None
    text = given if isinstance(given, str) else json.dumps(finite(given), ensure_ascii=False)
    text = indented(text) if lines else text
    most = _WHOLE if whole else _LONG
    return text if len(text) <= most else text[:most] + " …"


def is_cut(given: Any) -> bool:
    """Whether `long` leaves something out of a value."""
    return len(long(given, whole=True) or "") > _LONG


_UNITS: Final = {
    "seconds": (seconds, " s"),
    "share": (share, ""),
    "rate": (rate, " a second"),
    "figure": (figure, ""),
    "decimal": (decimal, ""),
    "score": (score, ""),
    "count": (count, ""),
    "bytes": (size, " bytes"),
}


def exact(given: float | None, unit: str) -> Markup:
    """A rounded number with the exact one on hover, and for the charts."""
    rounded, after = _UNITS[unit]
    if given is None:
        return UNKNOWN
    return Markup('<data value="{0}" title="{0}{1}">{2}</data>').format(f"{given:.6g}", after, rounded(given))


def rounded(given: float, unit: str) -> str | None:
    """A rounded number."""
    return _UNITS[unit][0](given)


def moment(given: str | None, *, ago: bool = False, fine: bool = False) -> Markup:
    """A moment in UTC; the script shows it in local time, to the millisecond if it is fine, or how long ago it was."""
    if given is None:
        return UNKNOWN
    flag = _AGO if ago else _FINE if fine else ""
    exact_time = clock(given, _MILLISECONDS)
    shown_time = exact_time if fine else exact_time[:19]
    return Markup('<time datetime="{}" title="{} UTC"{}>{}</time>').format(given, exact_time, flag, shown_time)


def period(view: PageView) -> Markup | str:
    """The time range of a page in words, or its start and end."""
    if view.range:
        return view.label
    start, end = (moment(iso(each)) for each in (view.window.since_ns, view.window.until_ns))
    return Markup("{} to {}").format(start, end)


def after(given: str, begin_ns: int) -> str:
    """How long after another moment one of an ISO text was."""
    elapsed = (datetime.fromisoformat(given.replace("Z", "+00:00")) - _EPOCH) // _MICROSECOND * 1000 - begin_ns
    return f"{'+' if elapsed >= 0 else ''}{seconds(elapsed / 1e9)}"


def shown(given: Any) -> Any:
    """What a template prints: a dash for None, and text without control characters."""
    if given is None:
        return UNKNOWN
    if isinstance(given, str) and not isinstance(given, Markup):
        return block(given, len(given))
    return given


def feature(name: str) -> str:
    """The name of a feature; the output and the label of a model are judged beside its features."""
    return {semconv.PREDICTION_FEATURE: "predicted values", semconv.LABEL_FEATURE: "labels"}.get(name, name)


def bin_name(label: str) -> str:
    """The name of a bin without the number that orders it."""
    named = {semconv.OTHER: "other values", semconv.UNSEEN: "other values"}
    return named.get(label) or re.sub(r"^\d+ (?=[\[(])", "", label)


def prediction_address(row: Mapping[str, Any], own_id: str | None = None, listed: str | None = None) -> str:
    """The address of a prediction, or of a row of this batch, and of the list in which it has neighbours.

    A canary may predict under the same id, and a call that was tried again has the same id and version.
    """
    given = {name: row[name] for name in ("model", "version", "role")} | {"trace": row.get("trace_id"), "list": listed}
    of = urlencode({name: text for name, text in given.items() if text})
    address = f"/predictions/{path(row['id'] if own_id is None else own_id)}"
    return f"{address}?{of}" if of else address


def capitalized(text: str) -> str:
    """Text with a capital first letter; the others stay as they are."""
    return text[:1].upper() + text[1:]


def unit_name(given: str | None) -> str:
    """The unit of a metric in words."""
    plain = (given or "").removeprefix("{").removesuffix("}")
    return {"1": "", "By": "bytes", "s": "seconds", "ms": "milliseconds"}.get(plain, plain)


def family(name: str) -> str:
    """What the names of related metrics begin with."""
    return re.split(r"[._/]", name, maxsplit=1)[0]


def path(given: Any) -> str:
    """Text as one part of an address."""
    return quote(str(given), safe="")


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _SHOWN else text[:_SHOWN] + " …"


def anchor(given: str) -> str:
    """An id for the element about a record, by which an update of the page finds it again."""
    return f"of-{hashlib.sha256(given.encode()).hexdigest()[:12]}"


def tones(names: list[str]) -> list[tuple[str, str]]:
    """The name of each series with the number of its colour."""
    return [(name, str(place % 6 + 1)) for place, name in enumerate(names)]


FILTERS: Final = {
    "seconds": seconds,
    "count": count,
    "figure": figure,
    "number_of": number_of,
    "decimal": decimal,
    "score": score,
    "share": share,
    "value": value,
    "long": long,
    "is_cut": is_cut,
    "exact": exact,
    "rounded": rounded,
    "moment": moment,
    "period": period,
    "after": after,
    "bin": bin_name,
    "iso": iso,
    "tones": tones,
    "anchor": anchor,
    "feature": feature,
    "path": path,
    "unit": unit_name,
    "named": figure_text,
    "capitalized": capitalized,
    "family": family,
    "prediction_address": prediction_address,
}
