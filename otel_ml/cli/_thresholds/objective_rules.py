"""Rules about objectives: how fast each model spends its error budget, in several windows.

The windows and factors are those of chapter 5 of *The Site Reliability Workbook*, for objectives over 30 days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from otel_ml.cli._thresholds.limit_rules import ALL, Limit, by_override
from otel_ml.cli._thresholds.parts import MODEL_NAME, Rule, RuleGroup, any_of
from otel_ml.cli._thresholds.settings import OFF, Thresholds, error_bound

SERVING: Final = 'ml_model_role!="shadow"'
HOURS: Final = ("5m", "30m", "1h", "2h", "6h")
DAYS: Final = ("1d", "3d")
DAYS_INTERVAL: Final = "2m"
EVENTS, BAD, BURN = "slo:ml_events", "slo:ml_bad_events", "slo:ml_burn_rate"
BUDGET: Final = "slo:ml_error_budget:ratio"
OF_MODELS: Final = Limit("", (f"{EVENTS}:rate6h{{}}", f"{EVENTS}:rate3d{{}}"), f"{MODEL_NAME}, ml_slo")
"""Every model with events in the last three days."""

Branches = list[tuple[str, float]]
"""Matchers and a value each; the first that fits a model decides."""


def objective_rules(thresholds: Thresholds) -> list[RuleGroup]:
    """The objectives, and what each model has spent of its budgets; none if all are off."""
    slos = {name: models for name in EVENTS_OF if (models := _models(_branches(thresholds, name)))}
    if not slos:
        return []
    hours, days = (
        [rule for window in windows for rule in _events(thresholds, slos, window)] for windows in (HOURS, DAYS)
    )
    return [
        RuleGroup("otel-ml-objectives", [*hours, *_objectives(thresholds, slos), *map(_burn_rate, HOURS)]),
        RuleGroup("otel-ml-objectives-days", [*days, *map(_burn_rate, DAYS), _month()], DAYS_INTERVAL),
    ]


def _branches(thresholds: Thresholds, name: str) -> Branches:
    chosen = [(each.matchers, each.objectives[name]) for each in thresholds.overrides if name in each.objectives]
    return [*chosen, (ALL, thresholds.objectives[name])]


def _models(branches: Branches) -> list[str]:
    """Matchers of the models that have an objective."""
    chosen = [matchers for matchers, value in branches if value != OFF]
    return [ALL] if ALL in chosen else chosen


def _objectives(thresholds: Thresholds, slos: Iterable[str]) -> Iterator[Rule]:
    targets = any_of(
        by_override(
            OF_MODELS, [(_with(f'ml_slo="{name}"', each), value) for each, value in _branches(thresholds, name)]
        )
        for name in slos
    )
    least = by_override(OF_MODELS, _branches(thresholds, "least_bad"))
    yield Rule("slo:ml_objective:ratio", f"({targets}) < Inf", "The share of events that have to be good.")
    yield Rule(BUDGET, "1 - slo:ml_objective:ratio", "The share that may be bad.")
    yield Rule("slo:ml_bad_events:least", least, "Fewer bad events in the long window never alert.")


def _events(thresholds: Thresholds, slos: Mapping[str, list[str]], window: str) -> Iterator[Rule]:
    """Events and bad events a second."""
    events = [_named(name, EVENTS_OF[name](each, window)) for name, models in slos.items() for each in models]
    regressions = [_within(thresholds, each, window, "+Inf") for each in slos.get("quality", ())]
    yield Rule(f"{EVENTS}:rate{window}", any_of([*events, *(_named("quality", each) for each in regressions if each)]))
    yield Rule(f"{BAD}:rate{window}", any_of(_bad(name, each, thresholds, window) for name, each in slos.items()))


def _burn_rate(window: str) -> Rule:
    ratio = f"{BAD}:rate{window} / ({EVENTS}:rate{window} > 0)"
    return Rule(f"{BURN}:{window}", f"{ratio} / {BUDGET}", "At 1 the budget lasts for 30 days.")


def _month() -> Rule:
    spent, events = (f"sum_over_time({name}:rate1h[30d:1h])" for name in (BAD, EVENTS))
    return Rule(
        "slo:ml_error_budget_remaining:30d",
        f"1 - {spent} / ({events} > 0) / {BUDGET}",
        "By events, hour by hour; below 0 the objective is missed.",
    )


def _bad(name: str, models: list[str], thresholds: Thresholds, window: str) -> str:
    events = f'{EVENTS}:rate{window}{{ml_slo="{name}"}}'
    if name == "errors":
        failed = any_of(_rate("ml_prediction_errors_total", window, 'error_type!="cancelled"', each) for each in models)
        return f"{_named(name, failed)}\nor 0 * {events}"
    if name == "quality":
        parts = [part for each in models for part in (_right(each, window), _within(thresholds, each, window)) if part]
        return f"clamp_min({events} - ({_named(name, any_of(parts))}\n  or 0 * {events}), 0)"
    good = any_of(
        _rate("ml_prediction_duration_seconds_bucket", window, f"le={_bound(value)}", each)
        for each, value in _branches(thresholds, "latency_seconds")
    )
    return f"clamp_min({events} - {_named(name, good)}, 0)"


def _calls(models: str, window: str) -> str:
    """Finished calls, also failed and untimed ones."""
    timed, untimed = _timed(models, window), _rate("ml_prediction_untimed_total", window, models)
    return f"{timed} + {untimed}\nor {timed}\nor {untimed}"


def _timed(models: str, window: str) -> str:
    return _rate("ml_prediction_duration_seconds_count", window, models)


def _labelled(models: str, window: str) -> str:
    """Labelled predictions: of one class, of sets of classes, and rankings.

    Of the classes beyond the limit, which are counted together, it is unknown whether two are the same.
    """
    unknown = _rate(
        "ml_eval_outcomes_total", window, 'ml_eval_predicted="__other__", ml_eval_actual="__other__"', models
    )
    classes = _rate("ml_eval_class_outcomes_total", window, 'ml_eval_class!="__other__"', models, by="ml_eval_class")
    ranked = f"{_rate('ml_eval_predictions_total', window, models)} and {_rate('ml_eval_hits_total', window, models)}"
    return any_of(
        (
            f"{_rate('ml_eval_outcomes_total', window, models)} unless {unknown} > 0",
            f"max by ({MODEL_NAME}) ({classes})",
            f"({ranked})",
        )
    )


def _right(models: str, window: str) -> str:
    rate = f"rate(ml_eval_outcomes_total{{{_with(SERVING, models)}}}[{window}])"
    predicted, actual = (
        f'label_replace({rate}, "ml_eval_class", "$1", "ml_eval_{side}", "(.*)")' for side in ("predicted", "actual")
    )
    hits, matches = _rate("ml_eval_hits_total", window, models), _rate("ml_eval_exact_matches_total", window, models)
    return any_of((f"sum by ({MODEL_NAME}) ({predicted} and {actual})", matches, hits))


def _within(thresholds: Thresholds, models: str, window: str, bound: str = "") -> str:
    """Labelled predictions of regressions with an error up to the tolerance, or a bound; empty without a tolerance."""
    return any_of(
        _rate("ml_eval_error_bin_total", window, f'ml_eval_bin="{bound or error_bound(value)}"', models, each)
        for each, value in _branches(thresholds, "error_tolerance")
        if value != OFF
    )


def _rate(counter: str, window: str, *matchers: str, by: str = "") -> str:
    key = f"{MODEL_NAME}, {by}" if by else MODEL_NAME
    return f"sum by ({key}) (rate({counter}{{{_with(SERVING, *matchers)}}}[{window}]))"


def _with(*matchers: str) -> str:
    return ", ".join(each for each in matchers if each)


def _bound(seconds: float) -> str:
    """The matcher of a bucket bound; a scrape page writes 1 as 1.0."""
    return f'~"{seconds:g}([.]0)?"' if seconds.is_integer() else f'"{seconds:g}"'


def _named(name: str, expr: str) -> str:
    return f'label_replace({expr}, "ml_slo", "{name}", "", "")'


EVENTS_OF: Final[Mapping[str, Callable[[str, str], str]]] = {
    "errors": _calls,
    "latency": _timed,
    "quality": _labelled,
}
"""What each objective counts: the events of some models in a window."""
