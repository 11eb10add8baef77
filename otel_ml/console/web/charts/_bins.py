"""Links from the bins of a feature, and from segments, to the predictions in them."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from otel_ml import semconv
from otel_ml._report import bin_text
from otel_ml.console.storage.lists._feature_condition import quoted
from otel_ml.console.storage.lists._segment_filter import is_withheld
from otel_ml.console.web._query_parameters import TEXT_MAX
from otel_ml.console.web.details._feature_rows import is_opaque

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_ml.console.web._view import PageView

_RANGE: Final = re.compile(r"\d+ (?P<begin>[\[(])(?P<low>\S+), (?P<high>\S+)(?P<end>[)\]])")
_OPERATORS: Final = {"[": ">=", "(": ">", "]": "<=", ")": "<"}
_RESERVED: Final = {semconv.OTHER, semconv.SEGMENT_MISSING_VALUE}


def bin_link(view: PageView, row: Mapping[str, Any], label: str) -> str | None:
    """Returns the address of the predictions of a version in a bin; None if no filter of the list can say it."""
    name, role = row["feature"], row["role"]
    if label == semconv.OTHER:
        return other_link(view, row)
    if label in _RESERVED or is_opaque(each["bin"] for each in row["bins"]):
        return None
    found = _RANGE.fullmatch(label)
    changes: dict[str, str | None] = {"version": row["version"], "role": role}
    if name in {semconv.PREDICTION_FEATURE, semconv.LABEL_FEATURE}:
        of = "class" if name == semconv.PREDICTION_FEATURE else "label"
        return None if found else view.link("/predictions", **changes, **{of: label})
    if found is None:
        return view.link("/predictions", **changes, feature=f"{quoted(name)}={label}")
    ends = ((found["begin"], found["low"]), (found["end"], found["high"]))
    limits = [f"{quoted(name)}{_OPERATORS[end]}{each}" for end, each in ends if each not in {"-inf", "inf"}]
    return f"{view.link('/predictions', **changes)}&{urlencode([('feature', each) for each in limits])}"


def other_link(view: PageView, row: Mapping[str, Any]) -> str | None:
    """Returns the address of the predictions whose value is in no bin of its own: rare or unseen in training."""
    name, known = row["feature"], [each["bin"] for each in row["bins"] if each["bin"] != semconv.OTHER]
    if name in {semconv.PREDICTION_FEATURE, semconv.LABEL_FEATURE} or is_opaque(known):
        return None
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(known)
    conditions = [f"{quoted(name)} not in {line.getvalue()}", f"{quoted(name)} is not missing"]
    if any(len(each) > TEXT_MAX for each in conditions):
        return None
    link = view.link("/predictions", version=row["version"], role=row["role"])
    return f"{link}&{urlencode([('feature', each) for each in conditions])}"


def share_links(view: PageView, row: Mapping[str, Any]) -> dict[str, str | None]:
    """Returns where the rows with a finding are, as far as the list can say it."""
    if row["feature"] in {semconv.PREDICTION_FEATURE, semconv.LABEL_FEATURE}:
        return {}
    missing = f"{quoted(row['feature'])} is missing"
    return {
        semconv.MISSING: view.link("/predictions", version=row["version"], role=row["role"], feature=missing),
        semconv.UNSEEN_CATEGORIES: other_link(view, row) if row.get("bins") else None,
    }


def link_segments(view: PageView, rows: Sequence[dict[str, Any]], shown: int, **changes: str | None) -> None:
    """Gives the first rows the text of their segment and the address of its predictions; None if it is withheld.

    Events do not have a withheld column at all, so its rare and missing values lead nowhere either.
    """
    withheld = {row["column"] for row in rows if is_withheld(row["value"])}
    for row in rows[:shown]:
        segment = f"{quoted(row['column'])}={row['value']}"
        link = None if row["column"] in withheld else view.link("/predictions", **changes, segment=segment)
        row |= {"text": bin_text(row["value"]), "link": link}
