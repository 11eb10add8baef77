"""The handle of a model: its identity, what may leave the process, and the ways to record its predictions."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

from otel_ml import _guard, semconv
from otel_ml._json import flat_json
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml._telemetry import ports, withholding
from otel_ml._values import class_text, line, number
from otel_ml.config import ConfigError
from otel_ml.prediction import _features, _outputs
from otel_ml.prediction._binding import Unbound
from otel_ml.prediction._columns import columns_of, of_names, without
from otel_ml.prediction._prediction import NoopPrediction, Prediction
from otel_ml.prediction._tracking import tracked
from otel_ml.quality import FeatureMonitor, ReferenceProfile, Schema

if TYPE_CHECKING:
    from otel_ml.prediction._outcome import Outcome

Role = Literal["primary", "canary", "shadow"]
Task = Literal["binary", "multiclass", "multilabel", "regression", "ranking", "other"]
Events = Literal["sampled", "all", "errors", "off"]
Capture = Literal["declared", "all", "none"]
Function = TypeVar("Function", bound=Callable[..., Any])

NAME_LIMIT = 128
SECRET_ROWS = 1000
"""Rows of a batch whose sensitive values are replaced in log lines."""
SECRET_LENGTH = 3
"""Shorter values are not replaced: they would be found everywhere."""
LOW_SCORE = 0.5
"""Below this confidence an event is kept even when its trace is not sampled."""


class PredictionStore(Protocol):
    """What a model needs of `otel_ml.GroundTruth`."""

    def log_prediction(self, prediction: LoggedPrediction) -> None:
        """Takes one prediction without blocking and without raising."""

    def drain_first(self, drain: Callable[[float], object]) -> None:
        """Names a function that hands over, within some seconds, the predictions still on their way to the store."""


class Model:
    """A handle under which predictions are recorded. It is not the estimator and never calls it.

    Args:
        name: Name of the model, at most 128 characters.
        version: Its version.
        role: Shadow models never page.
        task: How bare numbers in results are understood.
        classes: The closed set of classes, in the estimator's order; the last one of two is the positive class.
        trained_at: When the model was trained, a datetime or seconds since the epoch.
        profile: The training reference; turns on bins, missing values and `ml.data.violations`.
        schema: Declared columns; by default those of the profile.
        ground_truth: Where predictions wait for their labels.
        id: Callable on the features that gives the prediction id.
        output: Callable on the result that gives what was predicted.
        batch: Whether a sequence in a result is always a batch.
        events: Which predictions emit an event; failed ones and low scores always do, unless ``off``.
        capture_features: Which raw values may leave the process; columns marked sensitive never do.

    Raises:
        ConfigError: An argument is not one of its allowed values.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, each with a default
        self,
        name: str,
        version: str = "",
        *,
        role: Role = "primary",
        task: Task = "other",
        classes: Sequence[Any] | None = None,
        trained_at: datetime | float | None = None,
        profile: ReferenceProfile | None = None,
        schema: Schema | None = None,
        ground_truth: PredictionStore | None = None,
        id: Callable[[Any], Any] | None = None,  # noqa: A002 - the public name
        output: Callable[[Any], Any] | None = None,
        batch: bool = False,
        events: Events | None = None,
        capture_features: Capture | None = None,
    ) -> None:
        self.name = _name(name)
        self.version = _version(version)
        self.role = _one_of("role", role, Role)
        self.task = _one_of("task", task, Task)
        self.classes = None if classes is None else _classes(self.task, classes)
        self.trained_at = trained_at.timestamp() if isinstance(trained_at, datetime) else trained_at
        self.loaded_at: float | None = None
        self.id_source = id
        self.batch = batch
        self._output = output
        self._asked = (
            None if events is None else _one_of("events", events, Events),
            None if capture_features is None else _one_of("capture_features", capture_features, Capture),
        )
        self._store = ground_truth
        if ground_truth is not None:
            ground_truth.drain_first(_drain)
        self.attributes: dict[str, Any] = {
            semconv.MODEL_NAME: self.name,
            semconv.MODEL_VERSION: self.version,
            semconv.MODEL_ROLE: self.role,
        }
        self._reference = (profile, schema)
        self.monitor = self._make_monitor()
        self._declared = self.monitor.declared if self.monitor else frozenset()
        self._sensitive = self.monitor.sensitive if self.monitor else frozenset()
        self._columns = columns_of(profile, schema)
        self._told = False
        self._bound: ports.State | None = None
        self.binding = Unbound()
        """What the handle is tied to now: the engine in force, the OTel API, or nothing."""
        _MODELS.add(self)
        while self.binding.state is not (state := ports.state()):  # another thread may enter one meanwhile
            self._bind(state)

    # --- recording -------------------------------------------------------------------------------------------------

    def track(self, function: Function) -> Function:
        """Decorator: every call of the function is one prediction of this model, its first argument the features.

        Works on functions, coroutines, generators, asynchronous generators and methods.
        """
        return tracked(self, function)

    def prediction(self, features: Any = None, *, id: Any = None) -> Prediction:  # noqa: A002
        """A block that is one prediction; ``with`` and ``async with``."""
        made = _guard.call("prediction.create", self._predict, features, id)
        return made if made is not None else NoopPrediction(self, None, id)

    def record(  # noqa: PLR0913
        self,
        features: Any = None,
        *,
        prediction: Any = None,
        score: Any = None,
        duration: float | None = None,
        id: Any = None,  # noqa: A002
        batch: bool = False,
    ) -> Prediction:
        """Records a prediction that was made elsewhere. Passing the features is consent to capture them.

        Args:
            features: Its inputs.
            prediction: The class or number; a sequence of shape (rows,) with ``batch``.
            score: The score in 0..1; a sequence of shape (rows,) with ``batch``.
            duration: Seconds it took; 0 if unknown.
            id: Its id, or a list of ids for the rows of a batch.
            batch: Whether the outputs are sequences.
        """
        made = self.prediction(features, id=id)
        made._consent = True  # noqa: SLF001 - one room
        made.start(ago=_seconds(duration))
        if prediction is not None or score is not None:
            made.set_output(prediction, score, batch=batch is True)
        made.finish(duration=_seconds(duration))
        return made

    def record_error(self, error: BaseException | str, features: Any = None, *, id: Any = None) -> Prediction:  # noqa: A002
        """Records a prediction that failed elsewhere."""
        made = self.prediction(features, id=id)
        made._consent = features is not None  # noqa: SLF001
        made.start()
        made.finish(error=error, duration=0.0)
        return made

    @contextmanager
    def load(self) -> Iterator[None]:
        """A block that loads the model: `ml.model.load.duration` and `ml.model.load.timestamp`."""
        began = time.perf_counter()
        yield
        self.loaded_at = time.time()
        _guard.call("model.load", self.binding.record_load, time.perf_counter() - began)

    # --- decisions, used by the predictions ------------------------------------------------------------------------

    @property
    def wants_features(self) -> bool:
        """Whether anything is done with the features."""
        return self._wants_features

    @property
    def has_observers(self) -> bool:
        """Whether bins or ground truth want predictions at all."""
        return self.monitor is not None or self._store is not None

    @property
    def captures_all(self) -> bool:
        """Whether all features leave the process as they are."""
        return self._capture == "all" and not self._sensitive

    @property
    def reads_mappings(self) -> bool:
        """Whether a mapping with a class and a score needs no more than a look."""
        return self._output is None and not self.batch and self.task in ("binary", "multiclass", "other")

    @property
    def is_sensitive(self) -> bool:
        """Whether any column is marked sensitive."""
        return bool(self._sensitive)

    def secrets(self, features: Any) -> tuple[str, ...]:
        """Texts of the sensitive values among the features, the longest first; bounded."""
        snapshot = self.snapshot(features)
        rows = [snapshot] if isinstance(snapshot, dict) else []
        if isinstance(snapshot, _features.Batch):
            rows = [snapshot.row(index) for index in range(min(snapshot.rows, SECRET_ROWS))]
        texts = {str(value) for row in rows for value in of_names(row, self._sensitive)}
        return tuple(sorted((secret for secret in texts if len(secret) >= SECRET_LENGTH), key=len, reverse=True))

    def snapshot(self, features: Any) -> dict[str, object] | _features.Batch | None:
        """A bounded plain copy of the features.

        Values without names get those of the profile's or the schema's columns if there are as many; otherwise they
        are not known, and with sensitive columns among them nothing of them is kept.
        """
        names = self._columns
        if _features.is_positional(features):
            fits = names is not None and _features.width(features) == len(names)
            if not fits and self._sensitive:
                return None
            return _features.snapshot(features, names=names if fits else None)
        return _features.snapshot(features)

    def recognise(self, result: Any, rows: int | None) -> _outputs.Output | None:
        """What was predicted, read from a result; None if it cannot be made out."""
        if self._output is not None:
            result = _guard.attempt(self._output, result)
        return _outputs.recognise(result, task=self.task, classes=self.classes, batch=self.batch, rows=rows)

    def captured(self, features: dict[str, object], *, consent: bool = False) -> dict[str, object] | None:
        """The features that may leave the process; None if none may."""
        if self._capture == "none":
            return None
        if consent or self._capture == "all":
            return without(features, self._sensitive) if self._sensitive else features
        if not self._declared:
            return None
        declared = {key: value for key, value in features.items() if key in self._declared}
        return without(declared, self._sensitive) if self._sensitive else declared

    def body_of(self, row: dict[str, object] | None, label: str, score: float) -> bytes:
        """The JSON text of an everyday event, UTF-8: what `json_text` gives for the same values."""
        captured = None if row is None else self.captured(row)
        if captured is None:
            return flat_json({"prediction": label, "score": score})
        return flat_json({"features": captured, "prediction": label, "score": score})

    def wants_event(self, outcome: Outcome, *, sampled: bool) -> bool:
        """Whether this prediction emits its event."""
        if self._events == "off":
            return False
        if self._events == "all" or (outcome.failure is not None and not outcome.failure.cancelled):
            return True
        if self._events == "errors":
            return False
        return sampled or self._is_unsure(outcome)

    @property
    def event_policy(self) -> str:
        """The `events` keyword in force."""
        return self._events

    def is_unsure(self, score: float) -> bool:
        """Whether the confidence behind this score is low; of a binary model it is that of the likelier class."""
        return (max(score, 1.0 - score) if self.task == "binary" else score) < self._low_score

    def observes(self, outcome: Outcome) -> bool:
        """Whether bins or ground truth want this prediction."""
        has_output = outcome.output is not None and outcome.failure is None
        return (self.monitor is not None and (outcome.features is not None or has_output)) or (
            self._store is not None and has_output
        )

    def observe(self, outcome: Outcome, ids: tuple[int, int, int]) -> None:
        """Counts the features' bins and hands the prediction to the store; off the hot path in own mode."""
        if self.monitor is not None:
            _guard.call("quality.observe", self._count_features, self.monitor, outcome)
        if self._store is not None and outcome.output is not None and outcome.failure is None:
            _guard.call("ground_truth.log", self._store_rows, self._store, outcome, ids)

    def note_unrecognised(self) -> None:
        """Counts a result in which nothing was recognised, and says once what to do."""
        _guard.call("prediction.unrecognised", self.binding.note_unrecognised)
        _guard.warn_once(
            f"unrecognised:{self.name}",
            f"otel-ml: no prediction was recognised in a result of model {self.name!r}; "
            "pass output=..., or call set_output(); further ones are counted in otelml.unrecognised.outputs",
        )

    def note_undeclared(self) -> None:
        """Says once why the features of this model are not in its events."""
        if self._capture == "declared" and self._events != "off" and not self._told:
            self._told = True
            _guard.warn_once(
                f"undeclared:{self.name}",
                f"otel-ml: the features of model {self.name!r} stay in the process; declare them with profile=... or "
                "schema=..., or set capture_features='all' (OTEL_ML_CAPTURE_FEATURES=all)",
            )

    def _count_features(self, monitor: FeatureMonitor, outcome: Outcome) -> None:
        output, features = outcome.output, outcome.features
        if outcome.rows is None and not isinstance(features, _features.Batch):
            prediction, score = _result(output, 0)
            monitor.observe_row(features or {}, prediction, score)
            return
        columns: Mapping[str, Sequence[object]] = features.columns if isinstance(features, _features.Batch) else {}
        kept = features.rows if isinstance(features, _features.Batch) else outcome.rows or 0
        predictions = scores = None
        if output is not None:
            pairs = [_result(output, index) for index in range(len(output.classes))]
            predictions, scores = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        monitor.observe_batch(columns, predictions, scores, kept)

    def _store_rows(self, store: PredictionStore, outcome: Outcome, ids: tuple[int, int, int]) -> None:
        output = outcome.output
        if output is None:
            return
        positive = self.classes[-1] if self.classes and len(self.classes) == 2 else None
        rows = outcome.rows if outcome.rows is not None else 1 if output.is_list else None
        for index in range(len(output.classes)):
            logged = LoggedPrediction(
                id=outcome.prediction_id if outcome.rows is None else outcome.row_id(index),
                model=self.name,
                version=self.version,
                role=self.role,
                task=self.task,
                positive=positive,
                predicted_at=outcome.end_ns / 1e9,
                predicted=output.classes[index],
                value=output.values[index],
                score=output.scores[index],
                trace_id=ids[0],
                span_id=ids[1],
                sampled=bool(ids[2] & 1),
                classes=self.classes,
                batch_id=None if rows is None else outcome.prediction_id,
                batch_rows=rows,
            )
            store.log_prediction(logged)

    def _is_unsure(self, outcome: Outcome) -> bool:
        if outcome.output is None:
            return False
        return any(self.is_unsure(score) for score in outcome.output.scores if score is not None)

    # --- binding ---------------------------------------------------------------------------------------------------

    def _make_monitor(self) -> FeatureMonitor | None:
        """A new engine counts from zero, the features too."""
        profile, schema = self._reference
        if profile is None and schema is None:
            return None
        return FeatureMonitor(dict(self.attributes), profile=profile, schema=schema)

    def _predict(self, features: Any, given_id: Any) -> Prediction:
        return self.binding.predict(self, features, given_id)

    def _bind(self, state: ports.State) -> None:
        if self._sensitive:
            withholding.withhold_exceptions()
        if not state.is_of(self._bound):
            self.monitor = self._make_monitor()
        self._bound = state
        policy = state.policy or _policy_of_environment()
        self._events = self._asked[0] or policy.events
        self._capture = self._asked[1] or policy.capture_features
        self._low_score = LOW_SCORE if policy.low_score is None else policy.low_score
        self._wants_features = self.monitor is not None or (self._capture == "all" and self._events != "off")
        self.binding = _guard.call("model.bind", _make_binding, self, state) or Unbound(state)


def _make_binding(model: Model, state: ports.State) -> Unbound:
    from otel_ml.prediction._guest import GuestBinding
    from otel_ml.prediction.own._fast_path import LightBinding
    from otel_ml.prediction.own._general_path import OwnBinding

    if state.mode == "off":
        return Unbound(state)
    if state.engine is None:
        return GuestBinding(model, state)
    return (LightBinding if state.engine.fast_spans else OwnBinding)(model, state, state.engine)


def _drain(timeout: float) -> None:
    """Lets the worker hand over the predictions that were made so far."""
    engine = ports.state().engine
    if engine is not None:
        engine.drain(time.monotonic() + timeout)


_MODELS: weakref.WeakSet[Model] = weakref.WeakSet()


def _rebind(state: ports.State) -> None:
    """Every model that exists follows at once: its error counter starts at 0, its reference is exported."""
    for model in _alive():
        model._bind(state)  # noqa: SLF001


def _alive() -> list[Model]:
    while True:
        models: list[Model] | None = _guard.attempt(list, _MODELS)
        if models is not None:  # no other thread made a model meanwhile
            return models


ports.on_enter(_rebind)


def track_prediction(name: str, version: str = "", **keywords: Any) -> Callable[[Function], Function]:
    """`Model` and `Model.track` in one line; the keywords are those of `Model`."""
    return Model(name, version, **keywords).track


def _result(output: _outputs.Output | None, index: int) -> tuple[str | float | None, float | None]:
    if output is None or index >= len(output.classes):
        return None, None
    label = output.classes[index]
    return (label if label is not None else output.values[index]), output.scores[index]


def _name(name: Any) -> str:
    clean = line(name, NAME_LIMIT) if isinstance(name, str) else None
    if not clean or not clean.strip():
        raise ConfigError("the name of a model must be a text that is not empty")
    return clean


def _version(version: Any) -> str:
    if type(version) not in (str, int, float):
        raise ConfigError("the version of a model must be a text or a number")
    return line(str(version), NAME_LIMIT) or ""


def _classes(task: str, classes: Any) -> list[str]:
    if isinstance(classes, str | bytes) or not isinstance(classes, Iterable):
        raise ConfigError(f"classes={classes!r} is no sequence of classes")
    texts = [str(class_text(item)) for item in classes]
    if task == "binary" and len(texts) != 2:
        raise ConfigError(f"task='binary' has two classes, not {len(texts)}: name both, or use task='multiclass'")
    return texts


def _one_of(argument: str, value: Any, allowed: Any) -> Any:
    if value not in get_args(allowed):
        choices = ", ".join(get_args(allowed))
        raise ConfigError(f"{argument}={value!r} is not one of {choices}")
    return value


def _policy_of_environment() -> ports.Policy:
    """The policy of a process that did not call `configure`; what is malformed there counts as not set."""
    events = os.environ.get(semconv.ENV_EVENTS, "").strip().lower()
    capture = os.environ.get(semconv.ENV_CAPTURE_FEATURES, "").strip().lower()
    return ports.Policy(
        events if events in get_args(Events) else "sampled",
        capture if capture in get_args(Capture) else "declared",
        _guard.attempt(float, os.environ.get(semconv.ENV_LOW_SCORE, "")),
    )


def _seconds(duration: Any) -> float:
    seconds = number(duration)
    return seconds if seconds is not None and 0.0 <= seconds < 1e9 else 0.0
