"""The settings of a file of thresholds, checked: one line says what is wrong."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from otel_ml.semconv import PREDICTION_DURATION

OFF: Final = math.inf
"""The value of a limit or objective that is switched off."""
PROFILE: Final = "profile"
"""The reference that alerts about drift compare with unless another one is chosen."""


class ThresholdsError(ValueError):
    """The settings are wrong; the message is one line that names the place."""


@dataclass(frozen=True)
class NumberRange:
    """The numbers that a setting takes."""

    least: float
    most: float
    can_be_off: bool = True


SHARE: Final = NumberRange(1e-6, 1)
BOUND_ACCURACY: Final = 0.01
"""How far a tolerance may be from the bound of a bin, so that 2 stands for 1.99526."""
LEAST_PAGING: Final = 0.84
"""Below it, a model whose calls all fail spends the budget less than 6 times too fast, and nothing would page."""
LIMITS: Final[Mapping[str, NumberRange]] = {
    "latency_seconds": NumberRange(1e-6, 1e6),
    "error_ratio": SHARE,
    "least_calls": NumberRange(1, 1e9, can_be_off=False),
    "psi": NumberRange(1e-6, 100),
    "score_ks": SHARE,
    "finding_share": SHARE,
    "figure_points": SHARE,
    "figure_share": NumberRange(1e-6, 100),
    "segment_points": SHARE,
    "segment_share": NumberRange(1e-6, 100),
    "fairness_ratio": SHARE,
    "gpu_memory_share": SHARE,
    "gpu_celsius": NumberRange(1, 200),
    "file_system_share": SHARE,
    "container_memory_share": SHARE,
    "throttled_share": SHARE,
    "network_errors": NumberRange(1e-6, 1e9),
    "network_drops": NumberRange(1e-6, 1e9),
    "queue_share": SHARE,
}
OBJECTIVES: Final[Mapping[str, NumberRange]] = {
    "errors": NumberRange(LEAST_PAGING, 0.999999),
    "latency": NumberRange(LEAST_PAGING, 0.999999),
    "latency_seconds": NumberRange(1e-6, 1e6, can_be_off=False),
    "quality": NumberRange(0.01, 0.999999),
    "error_tolerance": NumberRange(1e-6, 1e9),
    "least_bad": NumberRange(1, 1e9, can_be_off=False),
}
LABELS: Final[Mapping[str, str]] = {
    "job": "job",
    "environment": "deployment_environment_name",
    "cluster": "k8s_cluster_name",
    "namespace": "k8s_namespace_name",
    "team": "team",
    "model": "ml_model_name",
    "version": "ml_model_version",
    "role": "ml_model_role",
    "feature": "ml_feature_name",
}
"""The labels that an override selects by."""
OF_FEATURES: Final = ("psi", "finding_share")
OF_MACHINES: Final = (
    "gpu_memory_share",
    "gpu_celsius",
    "file_system_share",
    "container_memory_share",
    "throttled_share",
    "network_errors",
    "network_drops",
    "queue_share",
)
"""Limits of machines, containers and Collectors, which are of no model."""
_SECTIONS: Final = ("limits", "objectives", "reference")
_OF_VERSIONS: Final = ("version", "role")
_OF_MODELS: Final = ("model", *_OF_VERSIONS)


@dataclass(frozen=True)
class Override:
    """Settings of the models that a selector matches."""

    matchers: str
    """As PromQL has them, such as ``team="search"``."""
    limits: Mapping[str, float]
    objectives: Mapping[str, float]
    reference: str | None


@dataclass(frozen=True)
class Thresholds:
    """Limits, objectives and references of all models, and of some."""

    limits: Mapping[str, float]
    objectives: Mapping[str, float]
    reference: str
    overrides: tuple[Override, ...] = ()


def parse(content: object, defaults: Thresholds | None = None) -> Thresholds:
    """Checks the content of a file; what it does not have comes from the defaults.

    Raises:
        ThresholdsError: A setting is unknown, misplaced, no number, or out of range.
    """
    given = _mapping(content, "the file", (*_SECTIONS, "overrides"))
    limits = _limits(given.get("limits"), "limits")
    objectives = _objectives(given.get("objectives"), "objectives")
    overrides = given.get("overrides") or []
    if not isinstance(overrides, list):
        raise ThresholdsError("overrides: expected a list")
    reference = _reference(given.get("reference"), "reference")
    if defaults is not None:
        limits, objectives = {**defaults.limits, **limits}, {**defaults.objectives, **objectives}
        reference = reference or defaults.reference
    if missing := [*(LIMITS.keys() - limits), *(OBJECTIVES.keys() - objectives)]:
        raise ThresholdsError(f"{missing[0]}: missing")
    chosen = tuple(_override(each, f"overrides[{index}]") for index, each in enumerate(overrides))
    return Thresholds(limits, objectives, reference or PROFILE, chosen)


def _override(content: object, place: str) -> Override:
    given = _mapping(content, place, ("for", *_SECTIONS))
    selector = _mapping(given.get("for"), f"{place}.for", LABELS)
    if not selector:
        raise ThresholdsError(f"{place}.for: name at least one of {', '.join(LABELS)}")
    limits = _limits(given.get("limits"), f"{place}.limits")
    objectives = _objectives(given.get("objectives"), f"{place}.objectives")
    reference = _reference(given.get("reference"), f"{place}.reference")
    if "feature" in selector and (objectives or reference or limits.keys() - OF_FEATURES):
        raise ThresholdsError(f"{place}.for.feature: only {' and '.join(OF_FEATURES)} can differ by feature")
    if objectives and (narrow := [key for key in _OF_VERSIONS if key in selector]):
        raise ThresholdsError(f"{place}.for.{narrow[0]}: objectives are of a model in all its versions and roles")
    machines = [name for name in OF_MACHINES if name in limits]
    if machines and (of_models := [key for key in _OF_MODELS if key in selector]):
        raise ThresholdsError(f"{place}.for.{of_models[0]}: {machines[0]} is of no model")
    if objectives.get("error_tolerance") == OFF:
        raise ThresholdsError(f"{place}.objectives.error_tolerance: expected a number; quality: off leaves models out")
    matchers = ", ".join(_matcher(LABELS[key], value, f"{place}.for.{key}") for key, value in selector.items())
    if not (limits or objectives or reference):
        raise ThresholdsError(f"{place}: sets nothing; add {', '.join(_SECTIONS[:-1])} or {_SECTIONS[-1]}")
    return Override(matchers, limits, objectives, reference)


def _matcher(label: str, value: object, place: str) -> str:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, (str, int)) and not isinstance(each, bool) for each in values):
        raise ThresholdsError(f"{place}: {value!r} is not a text or a list of texts; put values in quotes")
    texts = [str(each) for each in values]
    if len(texts) == 1:
        return f"{label}={quoted(texts[0])}"
    escaped = (re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", each) for each in texts)
    return f"{label}=~{quoted('|'.join(escaped))}"


def error_bound(tolerance: float) -> str:
    """The nearest bound of the bins of `ml.eval.error_bin`: ten a decade, rounded to six digits."""
    return f"{10 ** (round(10 * math.log10(tolerance)) / 10):.6g}"


def quoted(value: str) -> str:
    """A PromQL string."""
    return json.dumps(value, ensure_ascii=False)


def _reference(value: object, place: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise ThresholdsError(f"{place}: expected profile, last_week, previous_version, or the name of a saved window")
    return value


def _limits(content: object, place: str) -> dict[str, float]:
    found = _numbers(content, place, LIMITS)
    longest = PREDICTION_DURATION.buckets[-1]
    if longest <= found.get("latency_seconds", OFF) < OFF:
        raise ThresholdsError(
            f"{place}.latency_seconds: {found['latency_seconds']:g} s can never be exceeded, since the histogram ends "
            f"at {longest:g} s; use less, or off"
        )
    return found


def _objectives(content: object, place: str) -> dict[str, float]:
    found = _numbers(content, place, OBJECTIVES)
    bound = found.get("latency_seconds")
    if bound is not None and bound not in PREDICTION_DURATION.buckets:
        bounds = ", ".join(f"{each:g}" for each in PREDICTION_DURATION.buckets)
        raise ThresholdsError(f"{place}.latency_seconds: {bound:g} is not a bucket bound; use one of {bounds}")
    tolerance = found.get("error_tolerance", OFF)
    if tolerance != OFF and abs(tolerance / float(error_bound(tolerance)) - 1) > BOUND_ACCURACY:
        near = " or ".join(error_bound(tolerance * factor) for factor in (0.88, 1.12))
        raise ThresholdsError(f"{place}.error_tolerance: {tolerance:g} is not a bin bound; use {near}")
    return found


def _numbers(content: object, place: str, known: Mapping[str, NumberRange]) -> dict[str, float]:
    given = _mapping(content, place, known)
    return {name: _number(value, f"{place}.{name}", known[name]) for name, value in given.items()}


def _number(value: object, place: str, bounds: NumberRange) -> float:
    if bounds.can_be_off and (value is False or value == "off"):
        return OFF
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not bounds.least <= value <= bounds.most:
        off = ", or off" if bounds.can_be_off else ""
        raise ThresholdsError(f"{place}: {value!r} is not a number from {bounds.least:.15g} to {bounds.most:.15g}{off}")
    return float(value)


def _mapping(content: object, place: str, known: Iterable[str]) -> dict[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ThresholdsError(f"{place}: expected names with values")
    for name in content:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ThresholdsError(f"{place}: {name!r} is not known; {hint}")
    return content
