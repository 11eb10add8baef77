"""Recording rules, groups and files, and the labels that they are grouped by."""

from __future__ import annotations

from otel_ml.cli._thresholds.parts import FEATURE, MODEL, MODEL_NAME, SERVICE, Rule, RuleFile, RuleGroup, text

__all__ = ["FEATURE", "MODEL", "MODEL_NAME", "SERVICE", "Rule", "RuleFile", "RuleGroup", "text"]

BIN = f"{FEATURE}, ml_feature_bin"
OUTCOME = f"{MODEL}, ml_eval_predicted, ml_eval_actual"
CLASS = f"{MODEL}, ml_eval_class"
FIGURE = f"{MODEL}, ml_eval_figure"
SEGMENT_COLUMN = f"{MODEL}, ml_segment_name"
"""A column whose values are segments."""
SEGMENT = f"{SEGMENT_COLUMN}, ml_segment_value"

FAST, SLOW = "1h", "24h"
SLOW_INTERVAL = "30s"
"""A day has many samples: the slow windows are evaluated less often than the global interval."""


def in_either_window(record: str) -> Rule:
    """1 if the rule of the last hour or that of the last day is 1; its name ends with `current`."""
    fast, slow = (record.replace("current", window) for window in (FAST, SLOW))
    return Rule(record, f"{fast} == 1\nor {slow} == 1\nor {fast}\nor {slow}")
