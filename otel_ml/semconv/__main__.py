"""Prints every name of `otel_ml.semconv` as a Markdown page: ``python -m otel_ml.semconv > otel_ml/REFERENCE.md``."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml.semconv import standard_environment
from otel_ml.semconv._metric import Metric, prometheus_name

_SUBJECTS: Final = {
    "Predictions and models": semconv.predictions,
    "Segments": semconv.segments,
    "Inputs and their reference": semconv.data,
    "Labels and performance": semconv.evaluation,
    "Performance before labels": semconv.estimates,
    "Two versions": semconv.versions,
    "HTTP requests": semconv.http,
    "Host": semconv.host,
    "Process and interpreter": semconv.process,
    "Container": semconv.container,
    "GPU": semconv.gpu,
    "otel-ml itself": semconv.self_metrics,
    "Service, code and errors": semconv.general,
}
_METRICS: Final = ("Metric", "In Prometheus", "Instrument", "Unit", "Meaning")
_HEAD: Final = """\
# Reference

All names that otel-ml emits or reads; the constants are in `otel_ml.semconv`. In Prometheus `_bucket`, `_sum` and
`_count` follow the name of a histogram. To write this page again: `python -m otel_ml.semconv > otel_ml/REFERENCE.md`.
"""


class Name(NamedTuple):
    """One constant of a subject."""

    constant: str
    value: Any
    meaning: str


def names(subject: ModuleType) -> list[Name]:
    """Returns the constants of a subject with the strings below them."""
    found = []
    statements = ast.parse(inspect.getsource(subject)).body
    for statement, below in zip(statements, [*statements[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            constant = statement.target.id
            text = ast.literal_eval(below.value) if isinstance(below, ast.Expr) else ""
            found.append(Name(constant, getattr(subject, constant), text.replace("``", "`")))
    sets = {f"`{name.constant}`": name.value for name in found if isinstance(name.value, tuple)}
    return [name._replace(meaning=_with_values(name.meaning, sets)) for name in found]


def page() -> str:
    """Returns the page."""
    subjects = {title: names(subject) for title, subject in _SUBJECTS.items()}
    everything = [name for found in subjects.values() for name in found if isinstance(name.value, str)]
    events = [name for name in everything if _is_event(name)]
    values = [name for name in everything if not _is_event(name) and not _is_attribute(name)]
    sections = [_section(title, found) for title, found in subjects.items()]
    return "\n".join(
        (
            _HEAD,
            *sections,
            f"## Events and spans\n\n{_table(('Name', 'Meaning'), map(_row, events))}",
            f"## Fixed values\n\n{_table(('Value', 'Meaning'), map(_row, values))}",
            f"## Environment variables\n\n{_table(('Variable', 'Meaning'), map(_row, names(semconv.environment)))}",
            _standard_variables(),
        )
    )


def _standard_variables() -> str:
    honoured = ((_variables(names), meaning) for names, meaning in standard_environment.HONOURED.items())
    others: dict[str, list[str]] = {}
    for name, instead in standard_environment.WITHOUT_EFFECT.items():
        others.setdefault(instead, []).append(name)
    others["Set attributes of the current span in a middleware."] = list(standard_environment.REQUESTS_WITHOUT_EFFECT)
    rows = [(_variables(", ".join(names)), instead) for instead, names in others.items()]
    return (
        f"## Variables of OpenTelemetry\n\n{_table(('Variable', 'Meaning'), honoured)}\n"
        "These have no effect unless another SDK is in charge (guest mode). A line at the start names those that are "
        "set. Names of HTTP are always the stable ones, whatever `OTEL_SEMCONV_STABILITY_OPT_IN` says.\n\n"
        f"{_table(('Without effect', 'Instead'), rows)}"
    )


def _variables(names: str) -> str:
    """Returns the names as code; other words between them stay."""
    return re.sub("[A-Z_]{5,}", lambda found: f"`{found.group()}`", names)


def _section(title: str, found: Sequence[Name]) -> str:
    metrics = [name.value for name in found if isinstance(name.value, Metric)]
    attributes = [name for name in found if _is_attribute(name)]
    own = [name for name in attributes if name.meaning]
    standard = [f"`{name.value}`" for name in attributes if not name.meaning]
    parts = [f"## {title}\n"]
    if metrics:
        parts.append(_table(_METRICS, map(_metric_row, metrics)))
    if own:
        parts.append(_table(("Attribute", "Meaning"), map(_row, own)))
    if standard:
        parts.append(f"Attributes of the OpenTelemetry semantic conventions: {', '.join(standard)}.\n")
    return "\n".join(parts)


def _is_event(name: Name) -> bool:
    return name.constant.endswith(("_EVENT", "_SPAN"))


def _is_attribute(name: Name) -> bool:
    return isinstance(name.value, str) and "." in name.value and not _is_event(name)


def _with_values(meaning: str, sets: dict[str, Any]) -> str:
    for constant, values in sets.items():
        meaning = meaning.replace(constant, ", ".join(f"`{value}`" for value in values))
    return meaning


def _metric_row(metric: Metric) -> Sequence[str]:
    meaning = metric.description
    if metric.buckets:
        meaning += f" Buckets: {', '.join(f'{bound:.15g}' for bound in metric.buckets)}."
    return f"`{metric.name}`", f"`{prometheus_name(metric)}`", metric.instrument, f"`{metric.unit}`", meaning


def _row(name: Name) -> Sequence[str]:
    return f"`{name.value}`", name.meaning


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(page())
