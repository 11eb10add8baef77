"""The recording rules about decay give what the Python functions give from the same figures of days."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import promtool

from otel_ml._figures import trends

RULES = promtool.LIMITS | {"decay": "otel-ml-decay"}
RNG = np.random.default_rng(18)
DAYS = 34
NOW = DAYS - 1
RISING = {"mae"}


def series(name: str, model: str, figure: str, values: Any) -> dict[str, str]:
    """A recorded series with one value a day."""
    text = " ".join("_" if value is None else repr(value) for value in values)
    labels = {"job": "api", "ml_model_name": model, "ml_eval_figure": figure}
    pairs = ", ".join(f"{key}={json.dumps(each)}" for key, each in labels.items())
    return {"series": f"{name}{{{pairs}}}", "values": text}


def test_the_rules_and_python_agree_about_decay(tmp_path: Path) -> None:
    """Slope, interval, noise, the line now, and the days until the limit are the same; days with few labels do not count."""
    inputs, queries = [], []

    def expect(name: str, model: str, value: float | None, tolerance: float = 1e-6) -> None:
        expr = f'model:ml_eval_figure_{name}{{ml_model_name="{model}"}}'
        wanted = [] if value is None else [{"value": 1}]
        close = f"abs({expr} - {value or 0!r}) <= {tolerance * max(abs(value or 0), 1e-3)!r}"
        query = f"count({expr})" if value is None else f"count({close})"
        queries.append({"eval_time": f"{NOW}d", "expr": query, "exp_samples": wanted})

    for number, (figure, slope, noise) in enumerate(
        [("accuracy", -0.004, 0.003), ("accuracy", 0.0, 0.02), ("mae", 0.05, 0.2), ("auc", 0.002, 0.01)]
    ):
        model = f"model {number}"
        base = 5.0 if figure in RISING else 0.9
        values = (base + slope * np.arange(DAYS) + RNG.normal(0, noise, DAYS)).tolist()
        labels = [50.0 if day % 9 == 4 else 400.0 for day in range(DAYS)]
        inputs += [
            series("model:ml_eval_figure:24h", model, figure, values),
            series("model:ml_eval_figure_labels:24h", model, figure, labels),
        ]
        is_known = number != 1
        if is_known:
            inputs += [
                series("model:ml_eval_reference:max", model, figure, [base] * DAYS),
                series("model:ml_eval_figure_limit:max", model, figure, [base / 10] * DAYS),
            ]
        for window in (14, 30):
            days = [day for day in range(NOW - window + 1, NOW + 1) if labels[day] >= 100]
            found = trends.fit(days, [values[day] for day in days], NOW)
            assert found is not None
            assert found.interval is not None
            sign = 1 if figure in RISING else -1
            start = base if is_known else float(np.mean([values[day] for day in days]))
            limit = start + sign * (base / 10 if is_known else 0.05)
            left = trends.days_until(found, limit) if sign * found.slope > 0 else None
            is_bad = sign * found.slope > found.noise and left is not None and left < 30
            expect(f"trend:{window}d", model, found.slope)
            expect(f"trend_low:{window}d", model, found.interval[0])
            expect(f"trend_high:{window}d", model, found.interval[1])
            expect(f"trend_noise:{window}d", model, found.noise)
            expect(f"trend_level:{window}d", model, found.level)
            expect(f"days_left:{window}d", model, left)
            expect(f"decay:{window}d", model, float(is_bad))
    few = [0.9 - day / 100 for day in range(9)] + [None] * (DAYS - 9)
    inputs += [series(f"model:ml_eval_figure{name}:24h", "few", "accuracy", few) for name in ("", "_labels")]
    for name in ("trend:14d", "decay:30d"):
        expect(name, "few", None)
    test = {"interval": "1d", "input_series": inputs, "promql_expr_test": queries}
    assert promtool.run(tmp_path, [test], RULES, interval="1d") == ""
