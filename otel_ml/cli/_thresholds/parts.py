"""Recording rules, groups and files, and the labels of a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

SERVICE: Final = "job, deployment_environment_name, k8s_cluster_name, k8s_namespace_name, team"
"""Who sends, and where it runs: two clusters never share a sum. A service without one of these has it empty."""
MODEL_NAME: Final = f"{SERVICE}, ml_model_name"
"""A model in all its versions and roles."""
MODEL: Final = f"{MODEL_NAME}, ml_model_version, ml_model_role"
FEATURE: Final = f"{MODEL}, ml_profile_id, ml_feature_name"


@dataclass(frozen=True)
class Rule:
    """One recording rule and the reason for its form."""

    record: str
    expr: str
    why: str = ""


@dataclass(frozen=True)
class RuleGroup:
    """Rules that are evaluated in this order, so that a later rule sees the results of the earlier ones."""

    name: str
    rules: list[Rule]
    interval: str = ""


@dataclass(frozen=True)
class RuleFile:
    """One file of the `rules` folder."""

    name: str
    about: str
    groups: list[RuleGroup] = field(default_factory=list)


def text(file: RuleFile, source: str = "build_rules.py: change it there") -> str:
    """The file as YAML.

    Args:
        file: What to write.
        source: Who writes it, for the first line.
    """
    lines = [f"# {file.about} Written by {source}.", "groups:" if file.groups else "groups: []"]
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


def any_of(parts: Iterable[str]) -> str:
    """The first part that has a series, for each set of labels."""
    return "\nor ".join(parts)
