"""What needs attention, the worst first: errors, changed features, and performance below training."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml._report import figure_text
from otel_ml.console.storage._queries import moment
from otel_ml.console.web._formats import clock, decimal, feature, figure, number_of, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ERROR_SHARE: Final = 0.01
"""The share of failed calls above which a model or service is listed; also that of the alert rules."""
_NAMED: Final = 3
_AROUND_NS: Final = 3600 * 10**9
"""How long before the newest late record the page begins that shows it."""
BAD, WARN = "bad", "warn"
_FOUND: Final = {
    semconv.ABSENT: ("no longer arrives", "no longer arrive"),
    semconv.INVALID: ("has values of another type", "have values of another type"),
    semconv.MISSING: ("has missing values", "have missing values"),
    semconv.UNSEEN_CATEGORIES: ("has unseen values", "have unseen values"),
    semconv.OUT_OF_RANGE: ("has values out of range", "have values out of range"),
}
"""A verdict as the end of a sentence about one feature, and about several."""
_PLURAL: Final = frozenset({semconv.PREDICTION_FEATURE, semconv.LABEL_FEATURE})


class Alert(NamedTuple):
    """One thing that needs attention, and the page that shows it."""

    kind: str
    subject: str
    text: str
    why: str
    page: str
    model: str | None
    filter: dict[str, str] = {}  # noqa: RUF012 - never changed
    """Parameters of the page beside model and time."""


def alerts(
    models: Iterable[dict[str, Any]], services: Iterable[dict[str, Any]], late: Iterable[dict[str, Any]] = ()
) -> list[Alert]:
    """Returns what needs attention; of equal kinds in the order of the models."""
    found = [alert for row in models for alert in _of_model(row)]
    found += [alert for row in services for alert in _of_service(row)]
    found += [_of_late(row) for row in late]
    return sorted(found, key=lambda alert: alert.kind != BAD)


def _of_model(row: dict[str, Any]) -> Iterator[Alert]:
    model = row["model"]
    changed = row["changed"]
    if changed:
        yield Alert(BAD, model, f"{number_of(len(changed), 'feature')} changed", _changes(changed), "/data", model)
    if row["calls"] and row["errors"] / row["calls"] > ERROR_SHARE:
        why = f"{figure(row['errors'])} of {figure(row['calls'])} calls"
        yield Alert(BAD, model, f"{share(row['errors'] / row['calls'])} of calls fail", why, "/model", model)
    yield from _of_figures(model, row["realised"], row["estimate"], row.get("figures_of") or {})


def _changes(changed: dict[str, str]) -> str:
    """Returns what happened to the first features; those of one verdict share a sentence."""
    alike: dict[str, list[str]] = {}
    for name, verdict in [*changed.items()][:_NAMED]:
        alike.setdefault(verdict, []).append(name)
    more = [f"and {len(changed) - _NAMED} more"] if len(changed) > _NAMED else []
    return ", ".join([*starmap(_sentence, alike.items()), *more])


def _sentence(verdict: str, names: list[str]) -> str:
    one, several = _FOUND.get(verdict, (verdict, verdict))
    *others, last = map(feature, names)
    listed = f"{', '.join(others)} and {last}" if others else last
    return f"{listed} {several if others or names[0] in _PLURAL else one}"


def needs_attention(realised: dict[str, Any] | None, estimate: dict[str, Any] | None) -> bool:
    """Whether a figure of a version is worse than in training, or labels contradict its estimate."""
    return any(found and found["is_worse"] for found in (realised, estimate)) or bool(
        estimate and estimate["is_beyond_noise"]
    )


def _of_figures(
    name: str, realised: dict[str, Any] | None, estimate: dict[str, Any] | None, version: dict[str, str]
) -> Iterator[Alert]:
    """Yields what the figures say; the version is named and linked if there are several."""
    of = f"version {version['version']}; " if version else ""
    for kind, found, what in ((BAD, realised, ""), (WARN, estimate, "estimated ")):
        if found and found["is_worse"]:
            text = f"{what}{figure_text(found['figure'])} is {decimal(found['value'])}"
            why = f"{of}training {decimal(found['training'])}; beyond noise"
            yield Alert(kind, name, text, why, "/performance", name, version)
    if estimate and estimate["is_beyond_noise"]:
        text = "a score no longer means what it did in training"
        why = f"{of}labels and estimate differ by {decimal(estimate['gap'])}"
        yield Alert(WARN, name, text, why, "/performance", name, version)


def _of_service(row: dict[str, Any]) -> Iterator[Alert]:
    if row["requests"] and row["errors"] / row["requests"] > ERROR_SHARE:
        text = f"{share(row['errors'] / row['requests'])} of requests fail"
        why = f"{figure(row['errors'])} of {figure(row['requests'])}"
        yield Alert(BAD, row["service"], text, why, "/requests", None, {"service": row["service"], "failed": "true"})


def _of_late(row: dict[str, Any]) -> Alert:
    text = f"{number_of(row['records'], 'record')} arrived from before this time"
    why = f"the newest is of {clock(moment(row['newest_ns']))} UTC; is the clock of its sender right?"
    around = {"from": moment(row["newest_ns"] - _AROUND_NS), "to": moment(row["newest_ns"] + 10**9)}
    return Alert(WARN, row["service"], text, why, f"/{row['kind']}", None, {"service": row["service"], **around})
