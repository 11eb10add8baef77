"""Rules about traffic, errors, latency, scores and violations of the input schema."""

from __future__ import annotations

from recording.feature_rules import NULL_Z
from recording.rule_parts import FAST, MODEL, MODEL_NAME, SLOW, Rule, RuleGroup


def operation() -> RuleGroup:
    """Traffic, errors and latency over 5 minutes: at least four exports at the SDK's default interval of 60 s."""
    calls = "model:ml_prediction_calls:rate5m"
    timed = f"sum by ({MODEL}) (rate(ml_prediction_duration_seconds_count[5m]))"
    untimed = f"sum by ({MODEL}) (rate(ml_prediction_untimed_total[5m]))"
    limit, finished = "model:ml_prediction_errors:limit", f"(300 * {calls} > 0)"
    return RuleGroup(
        "otel-ml-operation",
        [
            Rule("model:ml_predictions:rate5m", f"sum by ({MODEL}) (rate(ml_predictions_total[5m]))", "Rows a second."),
            Rule(
                calls,
                f"{timed} + {untimed}\nor {timed}\nor {untimed}",
                "Finished calls a second, also failed and untimed ones: the denominator of the error ratio.",
            ),
            Rule(
                "model:ml_prediction_errors:rate5m",
                f'sum by ({MODEL}) (rate(ml_prediction_errors_total{{error_type!="cancelled"}}[5m]))\nor 0 * {calls}',
                "0, not empty, without errors; a cancelled call is no error.",
            ),
            Rule("model:ml_prediction_errors:ratio5m", f"model:ml_prediction_errors:rate5m / ({calls} > 0)"),
            Rule(
                "model:ml_prediction_errors:highest_by_chance5m",
                f"{limit} + {NULL_Z} * sqrt({limit} * (1 - {limit}) / {finished})\n"
                f"+ {round((NULL_Z**2 - 1) / 6, 3)} / {finished}",
                "What 1 of 1,000 windows exceeds at the limit; corrected for few calls by Cornish and Fisher.",
            ),
            *map(_quantile, (50, 95, 99)),
            Rule(
                "serving:ml_prediction_calls:rate5m",
                f'sum by ({MODEL_NAME}) (\n  {calls}{{ml_model_role!="shadow"}})',
                "All versions and roles that serve callers: a new version that replaces an old one is no outage.",
            ),
        ],
    )


def _quantile(percent: int) -> Rule:
    buckets = f"sum by (le, {MODEL}) (rate(ml_prediction_duration_seconds_bucket[5m]))"
    return Rule(
        f"model:ml_prediction_duration_seconds:p{percent}_5m", f"histogram_quantile({percent / 100:g},\n  {buckets})"
    )


def score() -> RuleGroup:
    """The score's distribution in the last hour against the last day, for models without a training reference."""

    def cdf(window: str) -> Rule:
        return Rule(
            f"le:ml_prediction_score:cdf{window}",
            f"sum by (le, {MODEL}) (increase(ml_prediction_score_bucket[{window}]))\n"
            f"/ on ({MODEL}) group_left ()\n"
            f"(sum by ({MODEL}) (increase(ml_prediction_score_count[{window}])) > 0)",
        )

    def count(window: str) -> Rule:
        return Rule(
            f"model:ml_prediction_score:increase{window}",
            f"sum by ({MODEL}) (increase(ml_prediction_score_count[{window}]))",
        )

    return RuleGroup(
        "otel-ml-score",
        [
            cdf(FAST),
            cdf(SLOW),
            count(FAST),
            count(SLOW),
            Rule(
                "model:ml_prediction_score:ks1h",
                f"max by ({MODEL}) (abs(le:ml_prediction_score:cdf1h - le:ml_prediction_score:cdf24h))",
                "Kolmogorov-Smirnov distance on the histogram's bins. The day contains the hour, so a new model starts "
                "at 0.",
            ),
            Rule(
                "model:ml_prediction_score:ks_noise1h",
                "1.95 * sqrt(\n"
                "  1 / model:ml_prediction_score:increase1h\n"
                "  + 1 / model:ml_prediction_score:increase24h)",
                "The distance that 1 of 1000 windows exceeds by chance, without any change.",
            ),
        ],
    )


def quality() -> RuleGroup:
    """Violations of the input schema."""
    predictions = "model:ml_predictions:increase1h"
    return RuleGroup(
        "otel-ml-quality",
        [
            Rule(predictions, f"sum by ({MODEL}) (increase(ml_predictions_total[1h]))"),
            Rule(
                "model:ml_data_invalid_predictions:ratio1h",
                f"(sum by ({MODEL}) (increase(ml_data_invalid_predictions_total[1h])) or 0 * {predictions})\n"
                f"/ ({predictions} > 0)",
                "Rows with at least one violation.",
            ),
            Rule(
                "model:ml_data_violations:ratio1h",
                f"(sum by ({MODEL}) (increase(ml_data_violations_total[1h])) or 0 * {predictions})\n"
                f"/ ({predictions} > 0)",
                "Violations a row; more than 1 is possible.",
            ),
        ],
    )
