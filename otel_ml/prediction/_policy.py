"""Decides what may leave the process: which features, which events, and what has to be redacted."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, get_args

from otel_ml import _guard, semconv
from otel_ml._telemetry import ports
from otel_ml._values import few_names, line
from otel_ml._values.json_texts import flat_json
from otel_ml._values.unread import UNREAD
from otel_ml.config import exception_signal
from otel_ml.prediction._failure import Failure
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction._spec import ModelSpec
from otel_ml.prediction.boundary import _features
from otel_ml.prediction.boundary._columns import (
    column_names,
    is_known,
    is_uncertain,
    monitored_names,
    without_sensitive,
)
from otel_ml.prediction.boundary._described import InputDescriber
from otel_ml.prediction.boundary._feature_batch import FeatureBatch, Features
from otel_ml.prediction.boundary._feature_rows import PartialRow, scalar_row
from otel_ml.prediction.boundary._feature_slices import slices
from otel_ml.prediction.boundary._matching import match_row
from otel_ml.prediction.boundary._outputs import Output
from otel_ml.prediction.boundary._payloads import open_payload
from otel_ml.prediction.boundary._records import FEATURE_LIMIT
from otel_ml.prediction.boundary._secrets import secret_texts
from otel_ml.prediction.segments._columns import segment_names
from otel_ml.quality import ColumnNames, FeatureMonitor

Events = Literal["sampled", "all", "errors", "off"]
Capture = Literal["declared", "all", "none"]

_UNKNOWN = ("",)
NAMES_SHOWN = 5
NAME_SHOWN = 64
"""Columns that a log line names, and characters of each."""
LOW_SCORE = 0.5
"""Below this confidence an event is kept even when its trace is not sampled."""


class ModelPolicy:
    """The decisions about one model's predictions, under the settings in force.

    Args:
        spec: The model.
        settings: The model's own keywords, or else those of `configure` or the environment.
        monitor: Knows the columns of profile and schema; None if neither was declared.
    """

    def __init__(self, spec: ModelSpec, settings: ports.Policy, monitor: FeatureMonitor | None) -> None:
        self.spec = spec
        self.events = settings.events
        self.capture = settings.capture_features
        self.sensitive: frozenset[str] = monitor.sensitive if monitor is not None else frozenset()
        """Columns whose values never leave the process."""
        self.exceptions_on_spans = settings.exceptions != "logs"
        """Whether the span of a failed prediction has an event with the exception."""
        self._exceptions_as_logs = settings.exceptions != "spans"
        self._low_score = LOW_SCORE if settings.low_score is None else settings.low_score
        self._declared: frozenset[str] = monitor.declared if monitor is not None else frozenset()
        self._columns = monitor.names if monitor is not None else segment_names(spec.segments)
        described = () if spec.profile is None else spec.profile.described
        self.describes = bool(described)
        """Whether some columns are replaced by their descriptors."""
        self._positions = column_names(spec.profile, spec.schema, self.sensitive)
        self._monitored = monitored_names(spec.profile, self.sensitive)
        self._describer: InputDescriber | None = None
        if spec.profile is not None and self._columns is not None and described:
            self._describer = InputDescriber(described, self._columns, spec.profile.columns)
        self._has_warned = False

    @property
    def is_sensitive(self) -> bool:
        """Whether any column is marked sensitive."""
        return bool(self.sensitive)

    @property
    def columns(self) -> ColumnNames | None:
        """Finds the declared columns and the segment columns; None without any."""
        return self._columns

    @property
    def captures_all(self) -> bool:
        """Whether all features leave the process unchanged."""
        return self.capture == "all" and not self.sensitive

    @property
    def captures_undeclared(self) -> bool:
        """Whether events carry features that no profile or schema declares."""
        return self.capture == "all" and self.events != "off"

    def open_payload(self, request: Any) -> Any:
        """Returns the row or the rows in what the model was called with; texts and the like are described."""
        found = open_payload(request, self._columns)
        return found if self._describer is None else self._describer.describe(found)

    def snapshot(self, features: Any) -> Features | None:
        """Returns a bounded plain copy of the features, as `read` reads them."""
        found = self.read(features)
        return found.copy(found.rows) if isinstance(found, FeatureBatch) else found

    def read(self, features: Any) -> Features | None:
        """Returns a bounded plain copy of a row of features; of a batch the columns stay those of the caller.

        Other spellings and aliases are replaced by the names of the declared columns. Values without names get the
        names of the profile's or the schema's columns if the numbers agree, or else those of the monitored columns. If
        neither agrees, it is unknown which values are sensitive, and a model with sensitive columns keeps none.
        """
        if self._columns is None:
            return _features.read(features)
        if not _features.is_positional(features):
            return self._checked(_features.read(features, columns=self._columns))
        names = self._names_of(_features.width(features))
        if names is not None:
            found = _features.read(features, names=names)
            if found is None:
                self.warn_no_row()
            return found if len(names) <= FEATURE_LIMIT else _unread(found, frozenset(names[FEATURE_LIMIT:]))
        if self.sensitive:
            self.warn_uncertain()
            return None
        return _unread(_features.read(features), self._columns.declared)

    def _names_of(self, width: int | None) -> tuple[str, ...] | None:
        """Returns the names of values without names; None if their number fits no list of columns, which is logged."""
        names = self._positions
        if names is None or width is None:
            if not self.sensitive:
                self.warn_no_row()
            return None
        if width == len(names):
            return names
        fits = 0 < width == len(self._monitored)
        which = f"they are read as its monitored columns ({_few(self._monitored)})" if fits else "they are not read"
        _guard.warn_once(
            f"width:{self.spec.name}",
            f"otel-ml: rows of model {self.spec.name!r} have {width} values, the profile or schema has {len(names)} "
            f"columns ({_few(names)}): {which}; pass rows with names, or leave "
            "the other columns out when you fit the profile",
        )
        return self._monitored if fits else None

    def known_row(self, features: Any) -> dict[str, object] | None:
        """Returns `snapshot` of a dict of scalars with names seen before, at a tenth of its cost; None for others."""
        if type(features) is not dict or self.sensitive:
            return None
        row = scalar_row(features)
        return None if row is None else self.match(row)

    def slices(self, features: Any, first: FeatureBatch) -> Iterator[FeatureBatch]:
        """Yields the rows of a large batch that were not read yet, for counting only."""
        for part in slices(features, first):
            batch = self.read(part)
            if isinstance(batch, FeatureBatch):
                yield batch

    def match(self, row: dict[str, object]) -> dict[str, object]:
        """Returns a row of scalars under the names of the declared columns."""
        if self._columns is None:
            return row
        matched = self._checked(match_row(row, self._columns))
        return matched if isinstance(matched, dict) else row

    def _checked(self, features: Features | None) -> Features | None:
        """Returns the features; logs once if none of the declared columns is among them."""
        found = features.columns if isinstance(features, FeatureBatch) else features
        if self._columns is not None and (found is None or self._columns.declared.isdisjoint(found)):
            self.warn_no_row()
            return _unread(features, self._columns.declared)
        return features

    def captured(self, features: dict[str, object], *, consent: bool = False) -> dict[str, object] | None:
        """Returns the features that may leave the process; None if none may."""
        if self.capture == "none":
            return None
        kept = features if type(features) is dict else dict(features)
        if not consent and self.capture != "all":
            if not self._declared:
                return None
            kept = {key: value for key, value in features.items() if key in self._declared}
        if self._columns is None or not self.sensitive:
            return kept
        if is_uncertain(features, kept, self._columns):
            self.warn_uncertain()
            return None
        without: dict[str, object] = without_sensitive(kept, self._columns)
        return without

    def captured_rows(self, batch: FeatureBatch, count: int, *, consent: bool) -> Sequence[dict[str, object] | None]:
        """Returns what `captured` gives for each of the first rows of a batch."""
        if self.capture == "none" or (not consent and self.capture != "all" and not self._declared):
            return []
        every = consent or self.capture == "all"
        names = [name for name in batch.columns if every or name in self._declared]
        if self._columns is not None and self.sensitive:
            if not all(is_known(name, self._columns) for name in names):  # it depends on the values of each row
                rows = map(batch.row, range(min(count, batch.rows)))
                return [self.captured(row, consent=consent) for row in rows]
            names = [name for name in names if not self._columns.is_sensitive(name)]
        return batch.first_rows(names, count)

    def body(self, row: dict[str, object] | None, label: str, score: float) -> bytes:
        """Returns the JSON text of a fast record's event, UTF-8: what `json_text` gives for the same values."""
        captured = None if row is None else self.captured(row)
        if captured is None:
            return flat_json({"prediction": label, "score": score})
        return flat_json({"features": captured, "prediction": label, "score": score})

    def recognise(self, result: Any, rows: int | None) -> Output | None:
        """Reads what was predicted from a result; a sensitive column in it is no answer."""
        return self.spec.recognise(result, rows, self._columns if self.sensitive else None)

    def secrets(self, request: Any, snapshot: Features | None, *, is_whole: bool) -> tuple[str, ...]:
        """Returns the texts of values that are or may be sensitive; see `secret_texts`."""
        return () if self._columns is None else secret_texts(request, snapshot, self._columns, is_whole=is_whole)

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
        if outcome.is_unsure is None:
            outcome.is_unsure = self._has_unsure_row(outcome.output)
        return outcome.is_unsure

    def _has_unsure_row(self, output: Output) -> bool:
        if output.columns is None:
            return any(self.is_unsure(score) for score in output.scores if score is not None)
        scores = output.columns.scores
        if scores is None:
            return False
        low = scores < self._low_score
        return bool((low & (1.0 - scores < self._low_score) if self.spec.task == "binary" else low).any())

    def wants_exception_event(self, failure: Failure) -> bool:
        """Whether this exception becomes a log record; sampling of the trace does not matter."""
        return self._exceptions_as_logs and not failure.cancelled

    def count_events(self, outcome: Outcome, *, sampled: bool) -> int:
        """Returns how many events this prediction emits."""
        failure = outcome.failure
        return self.wants_event(outcome, sampled=sampled) + (
            failure is not None and self.wants_exception_event(failure)
        )

    def is_unsure(self, score: float) -> bool:
        """Whether the confidence is low; for a binary model it is the score of the likelier class."""
        return (max(score, 1.0 - score) if self.spec.task == "binary" else score) < self._low_score

    def warn_uncertain(self) -> None:
        """Logs once why the features of a row are not captured."""
        _guard.warn_once(
            f"uncertain:{self.spec.name}",
            f"otel-ml: features of model {self.spec.name!r} are not captured: it is not certain which of them "
            f"belong to its sensitive columns ({_few(self.sensitive)}); name them as in the profile or schema, "
            "or by an alias, and declare the other columns",
        )

    def warn_no_row(self) -> None:
        """Logs once that no declared column was found in what the model is called with."""
        if not self._declared:
            return
        _guard.warn_once(
            f"no row:{self.spec.name}",
            f"otel-ml: none of the declared columns of model {self.spec.name!r} ({_few(self._declared)}) was found in "
            "its features; pass a row with these names, say which argument it is with track(features='...'), or use "
            "`with model.prediction(row):`",
        )

    def warn_undeclared(self) -> None:
        """Logs once why the features of this model are not in its events."""
        if self.capture == "declared" and self.events != "off" and not self._has_warned:
            self._has_warned = True
            _guard.warn_few(
                "undeclared",
                self.spec.name,
                f"otel-ml: the features of model {self.spec.name!r} stay in the process; declare them with profile=... "
                "or schema=..., or set capture_features='all' (OTEL_ML_CAPTURE_FEATURES=all)",
                "otel-ml: the features of further models stay in the process too, for the same reason",
            )


def _few(names: Collection[str]) -> str:
    """Names some columns."""
    ordered = sorted(names) if isinstance(names, frozenset) else list(names)
    return few_names([line(name, NAME_SHOWN) or "" for name in ordered], NAMES_SHOWN)


def _unread(features: Features | None, columns: frozenset[str]) -> Features | None:
    """Returns the features, marked so that none of the columns counts as read."""
    if isinstance(features, FeatureBatch):
        features.marks = dict.fromkeys(columns, UNREAD)
        return features
    return None if features is None else PartialRow(features, dict.fromkeys(columns, UNREAD))


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
        exception_signal(),
    )
