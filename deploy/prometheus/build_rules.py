"""Writes the recording rules: the same formulas for each window, all grouped by service, environment and model.

    python deploy/prometheus/build_rules.py           writes rules/*.yaml
    python deploy/prometheus/build_rules.py --check   exits with 1 if a file differs from what would be written

Every rule adds up the counts of all replicas first and applies the nonlinear function once, to the sums: a mean of
per-replica PSI, AUC or F1 would be wrong. An undefined quantity (a ratio without a denominator) is absent.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from recording.decay_rules import decay
from recording.estimate_rules import estimate, estimate_now
from recording.feature_rules import current, drift
from recording.liveness_rules import liveness
from recording.moving_reference_rules import previous_version, references
from recording.operation_rules import operation, quality, score
from recording.performance_rules import performance
from recording.reference_rules import worse_now
from recording.rule_parts import FAST, SLOW, SLOW_INTERVAL, RuleFile, text
from recording.segment_rules import segments, segments_now
from recording.version_rules import versions

from otel_ml.cli._thresholds.files import read
from otel_ml.cli._thresholds.files import rule_files as threshold_files

RULES = Path(__file__).resolve().parent / "rules"
THRESHOLDS = Path(__file__).resolve().parent / "thresholds.yaml"


def rule_files() -> list[RuleFile]:
    return [
        *threshold_files(read(THRESHOLDS)),
        RuleFile("operation", "Traffic, errors and latency of each model.", [operation()]),
        RuleFile("liveness", "What is alive: processes of each model, Collectors, samplers.", [liveness()]),
        RuleFile("score", "The score's distribution: the last hour against the last day.", [score()]),
        RuleFile("quality", "Violations of the input schema.", [quality()]),
        RuleFile("drift_1h", "Each feature against the training reference, 1 hour.", [drift(FAST)]),
        RuleFile("drift_24h", "The same over 24 hours, for models with little traffic.", [drift(SLOW, SLOW_INTERVAL)]),
        RuleFile(
            "references",
            "Each feature against last week and the previous version.",
            [previous_version(), references(FAST), references(SLOW)],
        ),
        RuleFile("verdict", "The verdicts that the alerts read.", [current()]),
        RuleFile("performance_1h", "Figures of performance from labels, and training, 1 hour.", [performance(FAST)]),
        RuleFile("performance_24h", "The same over 24 hours.", [performance(SLOW, SLOW_INTERVAL)]),
        RuleFile("segments_1h", "Each segment of a column against the rest, 1 hour.", [segments(FAST)]),
        RuleFile("segments_24h", "The same over 24 hours.", [segments(SLOW, SLOW_INTERVAL)]),
        RuleFile("segments", "The segments that are worse than the rest, which the alerts read.", [segments_now()]),
        RuleFile("estimate_1h", "Performance before labels, and how wrong it turns out, 1 hour.", [estimate(FAST)]),
        RuleFile("estimate_24h", "The same over 24 hours.", [estimate(SLOW, SLOW_INTERVAL)]),
        RuleFile("estimate", "The estimates that the alerts read.", [estimate_now()]),
        RuleFile("training", "The figures that are worse than in training, which the alerts read.", [worse_now()]),
        RuleFile("decay", "The trend of each figure over days, and when it crosses the limit.", [decay()]),
        RuleFile("versions", "Two versions of a model beside each other, and the verdict.", [versions()]),
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    options = parser.parse_args(arguments)
    stale = []
    for file in rule_files():
        path = RULES / f"{file.name}.yaml"
        if not options.check:
            path.write_text(text(file), encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text(file):
            stale.append(path.name)
    for name in stale:
        print(f"build_rules: rules/{name} is not what build_rules.py writes: run it", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
