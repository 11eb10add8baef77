"""The public handle of a model: its identity and the methods that record its predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from otel_ml import _guard
from otel_ml._values.moments import Moment
from otel_ml.prediction._handle import Handle
from otel_ml.prediction._policy import Capture, Events
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction._spec import (
    ModelSpec,
    PredictionStore,
    Role,
    Task,
    check_truth,
    valid_choice,
    valid_classes,
    valid_name,
    valid_time,
    valid_version,
)
from otel_ml.prediction.boundary._output_rows import ScoreOf
from otel_ml.prediction.segments._columns import segment_columns
from otel_ml.prediction.tracking._track import tracked
from otel_ml.quality import ReferenceProfile, Schema

Function = TypeVar("Function", bound=Callable[..., Any])


class Model:
    """A handle under which predictions are recorded. It is not the estimator and never calls it.

    Args:
        name: Name of the model, at most 128 characters.
        version: Its version.
        role: Shadow models never page.
        task: How bare numbers in results are understood.
        classes: The closed set of classes, in the estimator's order; the last one of two is the positive class.
        trained_at: When the model was trained: seconds since the epoch, a datetime, a date or an ISO 8601 text.
        profile: The training reference; turns on bins, missing values and `ml.data.violations`.
        schema: Declared columns; by default those of the profile.
        ground_truth: Where predictions wait for their labels. With `classes`, which ``multilabel`` needs, it also keeps
            the probability of each class of a ``multiclass`` or ``multilabel`` model.
        id: Callable on the features that gives the prediction id.
        output: Callable on the result that gives what was predicted.
        batch: Whether a sequence in a result is always a batch.
        score_of: Whose probability the score of a binary model is: that of the ``positive`` class, or that of the
            ``predicted`` one (its confidence). Without it a score is that of the positive class; only a text ``label``
            with a ``score`` above 0.5, as classification pipelines return it, is that of the label. Vectors of
            probabilities are always understood.
        segments: At most 3 columns by whose values predictions, errors, durations, scores and outcomes are counted,
            each by itself: their names, or their closed sets of at most 12 values by name. Without a closed set, or
            with None instead of one, it is the 12 most frequent categories of the profile, or else the first 12 values
            that come; further values are counted as ``__other__``.
        fairness: Segment columns that may be sensitive: their values are exported as ``group 1``, ``group 2``, ... in
            the order of the closed set, or of the profile's categories.
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
        trained_at: Moment | None = None,
        profile: ReferenceProfile | None = None,
        schema: Schema | None = None,
        ground_truth: PredictionStore | None = None,
        id: Callable[[Any], Any] | None = None,  # noqa: A002 - the public name
        output: Callable[[Any], Any] | None = None,
        batch: bool = False,
        score_of: ScoreOf | None = None,
        segments: Sequence[str] | Mapping[str, Iterable[Any] | None] | None = None,
        fairness: Sequence[str] | None = None,
        events: Events | None = None,
        capture_features: Capture | None = None,
    ) -> None:
        if ground_truth is not None:
            check_truth(task, classes)
        self._spec = ModelSpec(
            name=valid_name(name),
            version=valid_version(version),
            role=valid_choice("role", role, Role),
            task=valid_choice("task", task, Task),
            classes=None if classes is None else valid_classes(task, classes),
            trained_at=None if trained_at is None else valid_time("trained_at", trained_at),
            profile=profile,
            schema=schema,
            store=ground_truth,
            id_source=id,
            output=output,
            batch=batch,
            score_of=None if score_of is None else valid_choice("score_of", score_of, ScoreOf),
            segment_columns=segment_columns(segments, fairness, profile, schema),
        )
        self._handle = Handle(
            self._spec,
            events=None if events is None else valid_choice("events", events, Events),
            capture=None if capture_features is None else valid_choice("capture_features", capture_features, Capture),
        )

    @property
    def name(self) -> str:
        """Its name."""
        return self._spec.name

    @property
    def version(self) -> str:
        """Its version; empty if none was given."""
        return self._spec.version

    @property
    def role(self) -> Role:
        """``primary``, ``canary`` or ``shadow``."""
        return self._spec.role

    @property
    def task(self) -> Task:
        """How bare numbers in its results are understood."""
        return self._spec.task

    @property
    def classes(self) -> list[str] | None:
        """The declared classes as class texts."""
        return None if self._spec.classes is None else list(self._spec.classes)

    @property
    def trained_at(self) -> float | None:
        """When it was trained, in seconds since the epoch."""
        return self._spec.trained_at

    def __copy__(self) -> Model:
        return self  # as with a function: there is one model of this identity

    def __deepcopy__(self, _: dict[int, Any]) -> Model:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        own = {name: value for name, value in self.__dict__.items() if name not in {"_spec", "_handle"}}
        return _restore, (type(self), self._handle), own or None

    @overload
    def track(self, function: Function, /, *, features: str | None = None) -> Function: ...

    @overload
    def track(self, function: None = None, /, *, features: str | None = None) -> Callable[[Function], Function]: ...

    def track(self, function: Any = None, /, *, features: str | None = None) -> Any:
        """Decorator: every call of the function is one prediction of this model. With or without parentheses.

        Works on functions, coroutines, generators, asynchronous generators and all kinds of methods. Without `features`
        it uses the parameters that are named like columns of the profile or schema; else the one with a usual name
        (``features``, ``X``, ``data``, ``payload``, ``row``, ``instances``, ``model_input``, ...); else the first one,
        or ``**row``; never ``self``, a context, a request or headers.

        Args:
            function: The function.
            features: The parameter that holds the features.

        Raises:
            ConfigError: The function has no such parameter, or the decorated object is not a function.
        """
        if function is None:
            return lambda decorated: tracked(self._handle, decorated, features)
        return tracked(self._handle, function, features)

    def prediction(self, features: Any = None, *, id: Any = None) -> Prediction:  # noqa: A002
        """A block that is one prediction; ``with`` and ``async with``."""
        return self._handle.predict(features, id)

    def record(  # noqa: PLR0913
        self,
        features: Any = None,
        *,
        prediction: Any = None,
        score: Any = None,
        duration: float | None = None,
        id: Any = None,  # noqa: A002
        batch: bool = False,
        at: Any = None,
    ) -> Prediction:
        """Records a prediction that was made elsewhere. Passing the features is consent to capture them.

        Args:
            features: Its inputs.
            prediction: The class or number; a sequence of shape (rows,) with ``batch``.
            score: The score in 0..1; a sequence of shape (rows,) with ``batch``.
            duration: Seconds it took, at most a week; without it `ml.prediction.duration` lacks this call.
            id: Its id, or ids for the rows of a batch, one each.
            batch: Whether the outputs are sequences, one for each input. The event has the first 100.
            at: When it was made, if not now: seconds since the epoch, a datetime, a date or an ISO 8601 text, or one of
                them for each row of a batch. Without a zone it is local time. Span, event and ground truth have this
                moment (span and event of a batch the last one); metrics count the call now.
        """
        made = self._handle.predict(features, id)
        made._consent = True
        made._take_moment(at)
        made._is_job = batch is True
        seconds = made._check_duration(duration)
        made._start(ago=seconds or 0.0)
        if prediction is not None or score is not None:
            made.set_output(prediction, score, batch=batch is True)
        made._finish(duration=seconds)
        return made

    def record_error(
        self,
        error: BaseException | str,
        features: Any = None,
        *,
        id: Any = None,  # noqa: A002
        at: Any = None,
    ) -> Prediction:
        """Records a prediction that failed elsewhere; its arguments are those of `record`."""
        made = self._handle.predict(features, id)
        made._take_moment(at)
        made._consent = features is not None
        made._start()
        made._finish(error=error, duration=None)
        return made

    @contextmanager
    def load(self) -> Iterator[None]:
        """A block that loads the model: `ml.model.load.duration` and `ml.model.load.timestamp`."""
        began = time.perf_counter()
        yield
        self._spec.loaded_at = time.time()
        _guard.call("model.load", self._handle.binding.record_load, time.perf_counter() - began)


def _restore(kind: type[Model], handle: Handle) -> Model:
    """Makes a model from a handle that came from another process or a file."""
    model = kind.__new__(kind)
    model._spec, model._handle = handle.spec, handle
    return model


def track_prediction(
    name: str, version: str = "", *, features: str | None = None, **keywords: Any
) -> Callable[[Function], Function]:
    """`Model` and `Model.track` in one line; the other keywords are those of `Model`."""
    return Model(name, version, **keywords).track(features=features)
