"""Rules that record the limit of each alert, for each model, as a series."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from otel_ml.cli._thresholds.parts import FEATURE, MODEL, SERVICE, Rule, RuleGroup, any_of
from otel_ml.cli._thresholds.settings import OFF, PROFILE, Thresholds, quoted

ALL: Final = ""
"""The matchers of all models."""


@dataclass(frozen=True)
class Limit:
    """How a limit is recorded: one series for each series of its sources."""

    record: str
    sources: tuple[str, ...]
    """Series that exist wherever the limit is needed; ``{}`` stands for the matchers."""
    key: str = MODEL
    off: str = "Inf"
    """What no value passes."""


_CALLS: Final = ("ml_prediction_duration_seconds_count{}", "ml_prediction_untimed_total{}")
_FIGURES: Final = (
    "last_over_time(ml_eval_reference_size{}[30m])",
    "model:ml_eval_figure:1h{}",
    "model:ml_eval_figure:24h{}",
)
_FEATURES: Final = ("last_over_time(ml_feature_reference_size{}[30m])",)
_SEGMENTS: Final = (
    "ml_segment_predictions_total{}",
    "ml_segment_errors_total{}",
    "ml_eval_segment_outcomes_total{}",
    "ml_eval_segment_predictions_total{}",
    "segment:ml_gap:24h{}",
)
_MODELS: Final = "model:ml_feature_reference:info"
"""Models with a profile."""
LIMITS: Final = {
    "latency_seconds": Limit("model:ml_prediction_duration_seconds:limit", _CALLS),
    "error_ratio": Limit("model:ml_prediction_errors:limit", _CALLS),
    "least_calls": Limit("model:ml_prediction_calls:least", _CALLS),
    "psi": Limit("feature:ml_feature_psi:limit", _FEATURES, FEATURE),
    "score_ks": Limit("model:ml_prediction_score_ks:limit", ("ml_prediction_score_count{}",)),
    "finding_share": Limit("feature:ml_feature_share:limit", _FEATURES, FEATURE),
    "figure_points": Limit("model:ml_eval_points:limit", _FIGURES),
    "figure_share": Limit("model:ml_eval_share:limit", _FIGURES),
    "segment_points": Limit("model:ml_segment_points:limit", _SEGMENTS),
    "segment_share": Limit("model:ml_segment_share:limit", _SEGMENTS),
    "fairness_ratio": Limit("model:ml_segment_selection_ratio:limit", _SEGMENTS, off="0"),
    "gpu_memory_share": Limit("service:hw_gpu_memory_share:limit", ("hw_gpu_memory_limit_bytes{}",), SERVICE),
    "gpu_celsius": Limit("service:hw_temperature_celsius:limit", ("hw_temperature_celsius{}",), SERVICE),
    "file_system_share": Limit(
        "service:system_filesystem_share:limit", ("system_filesystem_utilization_ratio{}",), SERVICE
    ),
    "container_memory_share": Limit(
        "service:container_memory_share:limit", ("container_memory_working_set_bytes{}",), SERVICE
    ),
    "throttled_share": Limit(
        "service:container_cpu_throttled_share:limit", ("otelml_container_cpu_periods_total{}",), SERVICE
    ),
    "network_errors": Limit("service:system_network_errors:limit", ("system_network_errors_total{}",), SERVICE),
    "network_drops": Limit(
        "service:system_network_packet_dropped:limit", ("system_network_packet_dropped_total{}",), SERVICE
    ),
    "queue_share": Limit("service:otelcol_queue_share:limit", ("otelcol_exporter_queue_capacity{}",), SERVICE),
}


def limit_rules(thresholds: Thresholds) -> list[RuleGroup]:
    """The limit of each alert, and the reference of the alerts about drift."""
    rules = []
    for name, limit in LIMITS.items():
        chosen = [(each.matchers, each.limits[name]) for each in thresholds.overrides if name in each.limits]
        rules.append(Rule(limit.record, by_override(limit, [*chosen, (ALL, thresholds.limits[name])])))
    return [RuleGroup("otel-ml-limits", rules), RuleGroup("otel-ml-alert-reference", [_reference(thresholds)])]


def by_override(limit: Limit, values: Iterable[tuple[str, float]]) -> str:
    """The value of the first matchers that fit, for each series of the sources."""
    return any_of(_constant(limit, matchers, value) for matchers, value in values)


def _constant(limit: Limit, matchers: str, value: float) -> str:
    number = limit.off if value == OFF else f"{value:.12g}"
    sources = " or ".join(source.replace("{}", f"{{{matchers}}}" if matchers else "") for source in limit.sources)
    return f"{number} * group by ({limit.key}) ({sources})"


def _reference(thresholds: Thresholds) -> Rule:
    """What the alerts about drift compare with, of models that are not compared with their profile."""
    chosen = [(each.matchers, each.reference) for each in thresholds.overrides if each.reference]
    parts, earlier = [], ""
    for matchers, reference in [*chosen, (ALL, thresholds.reference)]:
        models = f"{_MODELS}{{{matchers}}}" if matchers else _MODELS
        if reference != PROFILE:
            name = quoted(reference.replace("$", "$$"))
            parts.append(f'label_replace({models}{earlier}, "ml_reference", {name}, "", "")')
        earlier += f" unless {models}"
    return Rule(
        "model:ml_alert_reference:info",
        any_of(parts or [f'{_MODELS}{{ml_model_name=""}}']),
        "The reference that the alerts about drift read instead of the profile.",
    )
