"""Models with a reference profile, whose bins are counted for each prediction and exported.

A model with 30 features exports about 900 data points. Beside each service with profiles runs the same one without.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle
from typing import Any

from load import FEATURES, Flush, Load, Predict

WIDE = {f"feature_{index}": index * 1.37 for index in range(30)}
"""A row of the model that exports 900 points."""


def reference_profile(row: dict[str, float]) -> Any:
    """Returns a profile of 2,000 rows around this one."""
    from otel_ml.quality import ReferenceProfile

    chance = random.Random(7)
    return ReferenceProfile.fit({name: [chance.gauss(value, 1.0) for _ in range(2_000)] for name, value in row.items()})


def otel_ml_model(model: Predict, load: Load, **declared: Any) -> tuple[Predict, Flush]:
    """otel-ml with one model that is declared with these arguments."""
    (function,), flush = _models(model, load, 1, **declared)
    return function, flush


def ours_profile(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """otel-ml with everything on, and a profile of the 16 features."""
    return otel_ml_model(model, load, capture_features="all", events="all", profile=reference_profile(FEATURES))


def _service(models: int, *, has_profiles: bool) -> Callable[[Predict, Load], tuple[Predict, Flush]]:
    """Returns the set-up of a service of several models with 30 features, which are called in turn."""

    def set_up(model: Predict, load: Load) -> tuple[Predict, Flush]:
        declared = {"profile": reference_profile(WIDE)} if has_profiles else {}
        functions, flush = _models(model, load, models, capture_features="all", **declared)
        turns = cycle(functions)
        return lambda _: next(turns)(WIDE), flush

    set_up.__name__ = f"ours_{models}_{'profiled' if has_profiles else 'plain'}"
    return set_up


def _models(model: Predict, load: Load, count: int, **declared: Any) -> tuple[list[Predict], Flush]:
    import otel_ml

    telemetry = otel_ml.configure(
        service_name="bench",
        queue_size=load.queue,
        schedule_delay=load.delay,
        metric_export_interval=load.metrics,
    )
    names = ["m", *(f"m{number}" for number in range(1, count))]
    handles = [otel_ml.Model(name, "1", task="binary", **declared) for name in names]
    return [handle.track(model) for handle in handles], lambda: telemetry.force_flush(120.0)


SERVICES = [_service(models, has_profiles=has_profiles) for models in (1, 8) for has_profiles in (False, True)]
