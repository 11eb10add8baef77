"""Series and expected numbers for promtool, and promtool itself.

Every counter starts at 0 a minute after the test begins and has its whole count after an hour. `increase` is then exact over
an hour and over a day, for any count.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from otel_ml import semconv
from otel_ml._verdicts import Judgement

ROOT = Path(__file__).resolve().parents[1]
PROMETHEUS = ROOT / "deploy" / "prometheus"
TOLERANCE = 1e-9
LIMITS = {"limits": "otel-ml-limits"}
"""The limits that the other rules read."""
FEATURE_RULES = LIMITS | {
    "drift_1h": "otel-ml-drift-1h",
    "drift_24h": "otel-ml-drift-24h",
    "verdict": "otel-ml-verdict",
}
"""Rule files and their groups, in the order of their evaluation."""
PERFORMANCE_RULES = LIMITS | {f"performance_{window}": f"otel-ml-performance-{window}" for window in ("1h", "24h")}
WINDOWS = ("1h", "24h")
KEY = (
    "ml_model_name, ml_model_version, ml_model_role, ml_profile_id, ml_feature_name, ml_feature_finding, "
    "ml_eval_figure, ml_eval_class, calibration_bin, ml_segment_name, ml_segment_value, ml_prediction_class"
)
_METRICS = {metric.name: metric for metric in semconv.metrics()}


class Sample(NamedTuple):
    """One series with its value after an hour."""

    name: str
    labels: Mapping[str, str]
    value: float
    is_counter: bool = False
    before_reset: float | None = None
    """The count that a counter had reached when its process was restarted half an hour ago."""

    def as_input(self) -> dict[str, str]:
        pairs = ", ".join(f"{label}={json.dumps(text)}" for label, text in self.labels.items() if text)
        zero = "_ 0 _x58" if self.is_counter else "_x60"
        if self.before_reset is not None:
            zero = f"_ 0 _x27 {self.before_reset!r} 0 _x29"
        return {"series": f"{self.name}{{{pairs}}}", "values": f"{zero} {self.value!r}"}


@cache
def binary() -> str:
    """Returns the path of promtool; builds it first if necessary."""
    build = [sys.executable, str(ROOT / "deploy" / "local" / "build.py")]
    path = subprocess.run([*build, "--path", "promtool"], check=True, capture_output=True, text=True).stdout.strip()
    if not Path(path).exists():
        subprocess.run([*build, "promtool"], check=True)
    return path


def exported(metrics: Mapping[str, Sequence[Mapping[str, Any]]], **labels: str) -> list[Sample]:
    """Returns the series that Prometheus makes of exported points about features."""
    return [
        Sample(
            semconv.prometheus_name(_METRICS[name]),
            labels | {key.replace(".", "_"): str(text) for key, text in point["attributes"].items()},
            point["value"],
            _METRICS[name].instrument == "counter",
        )
        for name, points in metrics.items()
        if name.startswith(("ml.feature.", "ml.data."))
        for point in points
    ]


def expected(labels: Mapping[str, str], judgement: Judgement, rows: float) -> list[Sample]:
    """Returns what each recorded series has to be, as series of their own with the label `record`."""
    figures: list[tuple[str, str, float | None]] = [
        ("feature:ml_feature_psi", "", judgement.psi),
        ("feature:ml_feature_psi_noise", "", judgement.psi_noise),
        ("feature:ml_feature_jsd", "", judgement.jensen_shannon),
        ("feature:ml_feature_rows:increase", "", rows),
    ]
    for finding, figure in judgement.shares.items():
        figures += [
            ("feature:ml_feature_share", finding, figure.share),
            ("feature:ml_feature_share_noise", finding, figure.noise),
        ]
    if rows:
        judged = {semconv.ABSENT, semconv.DRIFTED, *judgement.shares}
        figures += [("feature:ml_feature_verdict", each, float(each in judgement.findings)) for each in judged]
    return [
        Sample("expected", {**labels, "record": record, "ml_feature_finding": finding}, value)
        for record, finding, value in figures
        if value is not None
    ]


def check(
    folder: Path, series: Iterable[Sample], wanted: Sequence[Sample], rules: Mapping[str, str] = FEATURE_RULES
) -> str:
    """Runs the rules over the series; returns promtool's complaints about recorded series that differ from `wanted`."""
    return run(folder, [compared(series, wanted)], rules)


def compared(series: Iterable[Sample], wanted: Sequence[Sample]) -> dict[str, Any]:
    """Returns the test that the recorded series are as wanted. One test may have at most 10,000 samples of a query."""
    records: dict[str, int] = {}
    for sample in wanted:
        record = sample.labels["record"]
        records[record] = records.get(record, 0) + 1
    cases = [case for record, count in sorted(records.items()) for case in _cases(record, count)]
    inputs = [sample.as_input() for sample in (*series, *wanted)]
    return {"interval": "1m", "input_series": inputs, "promql_expr_test": cases}


def run(
    folder: Path,
    tests: list[dict[str, Any]],
    rules: Mapping[str, str] = FEATURE_RULES,
    *,
    alerts: Mapping[str, str] | None = None,
    interval: str = "60m",
) -> str:
    """Runs promtool over tests of the recording rules, and of alerts that read them; returns its complaints."""
    file = folder / "verdicts.yaml"
    alerts = alerts or {}
    files = {
        **{f"rules/{name}": group for name, group in rules.items()},
        **{f"alerts/{n}": g for n, g in alerts.items()},
    }
    content = {
        "rule_files": [str(PROMETHEUS / f"{name}.yaml") for name in files],
        "evaluation_interval": interval,
        "group_eval_order": [*files.values()],
        "tests": tests,
    }
    file.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
    done = subprocess.run([binary(), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def _cases(record: str, count: int) -> Iterable[dict[str, Any]]:
    """All recorded series have an expected number, and none is farther from it than the tolerance."""
    for window in WINDOWS:
        series = f"{record}{window}" if record.endswith("increase") else f"{record}:{window}"
        wanted = f'expected{{record="{record}"}}'
        # the square root of a distance near 0 would enlarge its rounding
        power = " ^ 2" if record.endswith(("jsd", "gap_z")) else ""
        difference = f"abs({series}{power} - on ({KEY}) {wanted}{power}) / on ({KEY}) clamp_min(abs({wanted}), 1)"
        for expr, answer in ((f"count({series})", count), (f"count({difference} <= {TOLERANCE})", count)):
            yield {"eval_time": "60m", "expr": expr, "exp_samples": [{"value": answer}]}
        yield {"eval_time": "60m", "expr": f"{difference} > {TOLERANCE}", "exp_samples": []}
