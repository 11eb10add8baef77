"""What may leave the process: which features, which events, and what has to be redacted."""

from __future__ import annotations

import os
from typing import Any, Literal, get_args

from otel_ml import _guard, semconv
from otel_ml._json import flat_json
from otel_ml._telemetry import ports
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction._spec import ModelSpec
from otel_ml.prediction.boundary import _features
from otel_ml.prediction.boundary._columns import column_names, values_under, without
from otel_ml.prediction.boundary._feature_batches import FeatureBatch

Events = Literal["sampled", "all", "errors", "off"]
Capture = Literal["declared", "all", "none"]

SECRET_ROWS = 1000
"""Rows of a batch whose sensitive values are replaced in log lines."""
SECRET_LENGTH = 3
"""Shorter values are not replaced: they would be found everywhere."""
LOW_SCORE = 0.5
"""Below this confidence an event is kept even when its trace is not sampled."""


class ModelPolicy:
    """The decisions about one model's predictions, under the settings in force.

    Args:
        spec: The model.
        settings: The model's own keywords, or else those of `configure` or the environment.
        declared: Columns of profile and schema, sensitive ones too.
        sensitive: Columns whose values never leave the process.
    """

    def __init__(
        self, spec: ModelSpec, settings: ports.Policy, *, declared: frozenset[str], sensitive: frozenset[str]
    ) -> None:
        self.spec = spec
        self.events = settings.events
        self.capture = settings.capture_features
        self.sensitive = sensitive
        self._low_score = LOW_SCORE if settings.low_score is None else settings.low_score
        self._declared = declared
        self._columns = column_names(spec.profile, spec.schema)
        self._has_warned = False

    @property
    def is_sensitive(self) -> bool:
        """Whether any column is marked sensitive."""
        return bool(self.sensitive)

    @property
    def captures_all(self) -> bool:
        """Whether all features leave the process as they are."""
        return self.capture == "all" and not self.sensitive

    @property
    def captures_undeclared(self) -> bool:
        """Whether events carry features that no profile or schema declares."""
        return self.capture == "all" and self.events != "off"

    def snapshot(self, features: Any) -> dict[str, object] | FeatureBatch | None:
        """Returns a bounded plain copy of the features.

        Values without names get the names of the profile's or the schema's columns if there are as many of them. If
        not, it is unknown which of them are sensitive, and a model with sensitive columns keeps none.
        """
        names = self._columns
        if _features.is_positional(features):
            fits = names is not None and _features.width(features) == len(names)
            if not fits and self.sensitive:
                return None
            return _features.snapshot(features, names=names if fits else None)
        return _features.snapshot(features)

    def captured(self, features: dict[str, object], *, consent: bool = False) -> dict[str, object] | None:
        """Returns the features that may leave the process; None if none may."""
        if self.capture == "none":
            return None
        if consent or self.capture == "all":
            return without(features, self.sensitive) if self.sensitive else features
        if not self._declared:
            return None
        declared = {key: value for key, value in features.items() if key in self._declared}
        return without(declared, self.sensitive) if self.sensitive else declared

    def body(self, row: dict[str, object] | None, label: str, score: float) -> bytes:
        """Returns the JSON text of a fast record's event, UTF-8: what `json_text` gives for the same values."""
        captured = None if row is None else self.captured(row)
        if captured is None:
            return flat_json({"prediction": label, "score": score})
        return flat_json({"features": captured, "prediction": label, "score": score})

    def secrets(self, features: Any) -> tuple[str, ...]:
        """Returns the sensitive values among the features as texts, the longest first; bounded."""
        snapshot = self.snapshot(features)
        rows = [snapshot] if isinstance(snapshot, dict) else []
        if isinstance(snapshot, FeatureBatch):
            rows = [snapshot.row(index) for index in range(min(snapshot.rows, SECRET_ROWS))]
        texts = {str(value) for row in rows for value in values_under(row, self.sensitive)}
        return tuple(sorted((secret for secret in texts if len(secret) >= SECRET_LENGTH), key=len, reverse=True))

    def wants_event(self, outcome: Outcome, *, sampled: bool) -> bool:
        """Whether this prediction emits its event."""
        if self.events == "off":
            return False
        if self.events == "all" or (outcome.failure is not None and not outcome.failure.cancelled):
            return True
        if self.events == "errors":
            return False
        if sampled or outcome.output is None:
            return sampled
        return any(self.is_unsure(score) for score in outcome.output.scores if score is not None)

    def is_unsure(self, score: float) -> bool:
        """Whether the confidence behind this score is low; of a binary model it is that of the likelier class."""
        return (max(score, 1.0 - score) if self.spec.task == "binary" else score) < self._low_score

    def warn_undeclared(self) -> None:
        """Logs once why the features of this model are not in its events."""
        if self.capture == "declared" and self.events != "off" and not self._has_warned:
            self._has_warned = True
            _guard.warn_once(
                f"undeclared:{self.spec.name}",
                f"otel-ml: the features of model {self.spec.name!r} stay in the process; declare them with profile=... "
                "or schema=..., or set capture_features='all' (OTEL_ML_CAPTURE_FEATURES=all)",
            )


def settings_in_force(state: ports.State, events: Events | None, capture: Capture | None) -> ports.Policy:
    """Returns the settings of a model: its own keywords win over `configure`, and that over the environment."""
    settings = state.policy or _settings_of_environment()
    return settings._replace(
        events=settings.events if events is None else events,
        capture_features=settings.capture_features if capture is None else capture,
    )


def _settings_of_environment() -> ports.Policy:
    """Reads the settings of a process that did not call `configure`; a malformed variable counts as not set."""
    events = os.environ.get(semconv.ENV_EVENTS, "").strip().lower()
    capture = os.environ.get(semconv.ENV_CAPTURE_FEATURES, "").strip().lower()
    return ports.Policy(
        events if events in get_args(Events) else "sampled",
        capture if capture in get_args(Capture) else "declared",
        _guard.attempt(float, os.environ.get(semconv.ENV_LOW_SCORE, "")),
    )
