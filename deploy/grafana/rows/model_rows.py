"""The rows about the model itself: its predictions, and the drift of its inputs, outputs and labels."""

from __future__ import annotations

from rows.feature_table import FEATURES
from rows.panels import (
    CALLS,
    CHOSEN,
    CHOSEN_REPLICAS,
    ERRORS,
    LIMIT,
    MODEL,
    NAME,
    RATE,
    Panel,
    Row,
    joined,
    limit,
    limit_of,
    newest,
    quantile,
    query,
)

PREDICTIONS = Row(
    "Predictions",
    [
        Panel(
            "Predictions per Second",
            "Rows predicted per second.",
            [query(f"sum by ({MODEL}) (rate(ml_predictions_total{{{CHOSEN_REPLICAS}}}[{RATE}]))")],
            unit="suffix: /s",
        ),
        Panel(
            "Prediction Latency (p95)",
            "95 % of calls took no longer than this. Each dot is one call: click it to open its trace.",
            [
                query(quantile(0.95, "ml_prediction_duration_seconds_bucket"), exemplar=True),
                limit_of("model:ml_prediction_duration_seconds:limit"),
            ],
            unit="s",
            overrides=[LIMIT],
        ),
        Panel(
            "Prediction Distribution",
            "How many scores fell into each of 20 bins. Each diamond is one prediction: click it to open its trace.",
            [
                query(
                    f"sum by (le) (increase(ml_prediction_score_bucket{{{CHOSEN_REPLICAS}}}[{RATE}]))",
                    "{{le}}",
                    format="heatmap",
                    exemplar=True,
                )
            ],
            kind="heatmap",
            options={
                "calculate": False,
                "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
                "yAxis": {"unit": "short"},
                "legend": {"show": False},
            },
        ),
        Panel(
            "Error Rate",
            "Share of finished calls that failed. Cancelled calls are not errors.",
            [query(f"({ERRORS} or 0 * {CALLS}) / {CALLS}"), limit_of("model:ml_prediction_errors:limit")],
            unit="percentunit",
            defaults={"min": 0},
            overrides=[LIMIT],
        ),
    ],
)
"""The four panels to look at first."""

ONE_FEATURE = f'{CHOSEN}, ml_feature_name=~"$feature"'
AGAINST = f'{CHOSEN}, ml_reference=~"$reference"'
PSI = f"feature:ml_feature_reference_psi:$window{{{AGAINST}}}"
NOISE = f"feature:ml_feature_reference_psi_noise:$window{{{AGAINST}}}"
_KEY = f"{MODEL}, ml_profile_id, ml_feature_name"
REFERENCE_SHARES = (
    f'bin:ml_feature_reference_share:$window{{{ONE_FEATURE}, ml_reference=~"$reference"}} '
    f"or on ({_KEY}, ml_feature_bin) (bin:ml_feature_reference_share:max{{{ONE_FEATURE}}} and on ({_KEY}) {PSI})"
)
DRIFT = Row(
    "Drift and data quality",
    [
        FEATURES,
        Panel(
            "PSI by Feature",
            "Distance from $reference: 0.1 is a shift by about a third, 0.2 by nearly half a standard "
            "deviation. __prediction__ is the output, __label__ the truth.",
            [query(PSI, "{{ml_feature_name}} {{ml_model_version}}"), limit_of("feature:ml_feature_psi:limit")],
            width=8,
            defaults={"min": 0},
            overrides=[LIMIT],
        ),
        Panel(
            "PSI over Its Noise Level",
            "Above 1: only 1 of 1000 windows of this size is that far from $reference without any drift.",
            [query(f"{PSI} / {NOISE}", "{{ml_feature_name}} {{ml_model_version}}")],
            width=8,
            defaults={"min": 0, **limit(1)},
        ),
        Panel(
            "Distribution of $feature",
            "Share of each bin now and in the reference: $reference.",
            [
                newest(f"max by (ml_feature_bin) ({REFERENCE_SHARES})"),
                newest(f"max by (ml_feature_bin) (bin:ml_feature_share:smoothed$window{{{ONE_FEATURE}}})"),
            ],
            kind="barchart",
            unit="percentunit",
            width=8,
            options={"xField": "ml_feature_bin", "xTickLabelRotation": -45},
            transformations=joined(("reference", "now")),
        ),
        Panel(
            "Missing Values",
            "Share of the rows without a value of each feature, those without the column included.",
            [
                query(
                    f'feature:ml_feature_share:$window{{{CHOSEN}, ml_feature_finding="missing"}}',
                    "{{ml_feature_name}} {{ml_model_version}}",
                )
            ],
            unit="percentunit",
            width=8,
            defaults={"min": 0},
        ),
        Panel(
            "Invalid Predictions",
            "Share of rows that violate the input schema, and violations per row, in the last hour.",
            [
                query(f"model:ml_data_invalid_predictions:ratio1h{{{CHOSEN}}}", f"rows {NAME}"),
                query(f"model:ml_data_violations:ratio1h{{{CHOSEN}}}", f"violations {NAME}"),
            ],
            unit="percentunit",
            width=8,
            defaults={"min": 0},
        ),
        Panel(
            "Score Shift",
            "Kolmogorov-Smirnov distance between the scores of the last hour and of the last day, and its noise level.",
            [
                query(f"model:ml_prediction_score:ks1h{{{CHOSEN}}}", f"distance {NAME}"),
                query(f"model:ml_prediction_score:ks_noise1h{{{CHOSEN}}}", f"noise {NAME}"),
                limit_of("model:ml_prediction_score_ks:limit"),
            ],
            width=8,
            defaults={"min": 0},
            overrides=[LIMIT],
        ),
        Panel(
            "Predictions by Class",
            "Share of each predicted class in the rows; empty for a regression.",
            [
                query(
                    f"sum by ({MODEL}, ml_prediction_class) "
                    f'(rate(ml_predictions_total{{{CHOSEN_REPLICAS}, ml_prediction_class!=""}}[{RATE}]))',
                    f"{{{{ml_prediction_class}}}} {NAME}",
                )
            ],
            unit="suffix: /s",
            width=8,
            defaults={"custom": {"fillOpacity": 40, "stacking": {"mode": "percent"}}},
        ),
        Panel(
            "Time since the Model Was Loaded",
            "A sawtooth is a service that keeps restarting.",
            [query(f"time() - max by ({MODEL}) (ml_model_load_timestamp_seconds{{{CHOSEN_REPLICAS}}})")],
            unit="s",
            width=8,
            defaults={"min": 0},
        ),
    ],
)
"""Inputs and outputs compared with the training reference."""
