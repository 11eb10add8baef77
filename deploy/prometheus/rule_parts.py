"""Recording rules, groups and files, and the labels that they are grouped by."""

from __future__ import annotations

from dataclasses import dataclass, field

SERVICE = "job, deployment_environment_name, k8s_cluster_name, k8s_namespace_name, team"
"""Who sends, and where it runs: two clusters never share a sum. A service without one of these has it empty."""
MODEL_NAME = f"{SERVICE}, ml_model_name"
"""A model in all its versions and roles."""
MODEL = f"{MODEL_NAME}, ml_model_version, ml_model_role"
FEATURE = f"{MODEL}, ml_profile_id, ml_feature_name"
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


@dataclass(frozen=True)
class Rule:
    """One recording rule and the reason for its form."""

    record: str
    expr: str
    why: str = ""


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated in this order, so that a later rule sees the results of the earlier ones."""

    name: str
    rules: list[Rule]
    interval: str = ""


@dataclass(frozen=True)
class RuleFile:
    """One file of the `rules` folder."""

    name: str
    about: str
    groups: list[Group] = field(default_factory=list)


def in_either_window(record: str) -> Rule:
    """1 if the rule of the last hour or that of the last day is 1; its name ends with `current`."""
    fast, slow = (record.replace("current", window) for window in (FAST, SLOW))
    return Rule(record, f"{fast} == 1\nor {slow} == 1\nor {fast}\nor {slow}")


def text(file: RuleFile) -> str:
    """The file as YAML."""
    lines = [f"# {file.about} Written by build_rules.py: change it there.", "groups:"]
    for group in file.groups:
        lines.append(f"  - name: {group.name}")
        if group.interval:
            lines.append(f"    interval: {group.interval}")
        lines.append("    rules:")
        for rule in group.rules:
            if rule.why:
                lines.append(f"      # {rule.why}")
            lines.append(f"      - record: {rule.record}")
            lines.append("        expr: |")
            lines += [f"          {line}" for line in rule.expr.splitlines()]
    return "\n".join(lines) + "\n"
