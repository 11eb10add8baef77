"""What the user declared about a model: its identity, its task, and how its results are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from otel_ml import _guard, semconv
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._logged_prediction import LoggedPrediction, LoggedRows, name_text
from otel_ml._telemetry.predictions.segment_cells import Segment
from otel_ml._values import class_text
from otel_ml._values.labels import SEVERAL
from otel_ml._values.moments import find_seconds
from otel_ml.config import ConfigError
from otel_ml.prediction._score_check import ScoreCheck
from otel_ml.prediction.boundary import _outputs
from otel_ml.prediction.boundary._output_rows import ScoreOf
from otel_ml.prediction.segments._columns import SegmentColumn
from otel_ml.quality import ColumnNames, ReferenceProfile, Schema

Role = Literal["primary", "canary", "shadow"]
Task = Literal["binary", "multiclass", "multilabel", "regression", "ranking", "other"]


class PredictionStore(Protocol):
    """The part of `otel_ml.GroundTruth` that a model needs."""

    def log_prediction(self, prediction: LoggedPrediction) -> None:
        """Takes one prediction without blocking and without raising."""

    def drain_first(self, drain: Callable[[float], object]) -> None:
        """Registers a function that hands over predictions that are still queued, within a number of seconds."""


@runtime_checkable
class RowStore(PredictionStore, Protocol):
    """A store that also takes many predictions at once, as `otel_ml.GroundTruth` does."""

    def log_rows(self, rows: LoggedRows, *, wait: bool) -> None:
        """Takes rows without raising; blocks only with ``wait``, until there is room or no hope for it."""


@dataclass(eq=False)
class ModelSpec:
    """The declaration of one `Model`, after validation. It outlives every binding to an engine."""

    name: str
    version: str
    role: Role
    task: Task
    classes: list[str] | None
    trained_at: float | None
    """Seconds since the epoch."""
    profile: ReferenceProfile | None
    schema: Schema | None
    store: PredictionStore | None
    id_source: Callable[[Any], Any] | None
    output: Callable[[Any], Any] | None
    batch: bool
    score_of: ScoreOf | None = None
    """Whose probability the score of a binary model is; None if it was not declared."""
    loaded_at: float | None = None
    """Seconds since the epoch; None before the first load."""
    segment_columns: tuple[SegmentColumn, ...] = ()
    """The columns by whose values predictions are counted."""
    segments: tuple[str, ...] = field(init=False)
    """Their names."""
    is_binary: bool = field(init=False)
    """Whether it distinguishes two classes."""
    attributes: dict[str, Any] = field(init=False)
    """The identity as attributes."""
    event_attributes: dict[str, Any] = field(init=False)
    """The same with what figures of its predictions depend on, as far as it was declared."""
    score_check: ScoreCheck | None = field(init=False)
    """Looks at the scores; None if it was declared what they are, or if the model is not binary."""

    wants_shares: bool = field(init=False)
    """Whether the probability of each class is kept, for the label or for the estimate of performance."""
    calibration: Calibration | None = field(init=False)
    """The probabilities behind the scores, in the classes of the model."""

    def __post_init__(self) -> None:
        self.segments = tuple(column.name for column in self.segment_columns)
        self.calibration = None
        if self.profile is not None and self.profile.calibration is not None:
            self.calibration = self.profile.calibration.of_model(self.task, self.classes)
        is_estimated = self.calibration is not None and self.task == "multiclass"
        self.wants_shares = is_estimated or (self.store is not None and self.task in ("multiclass", "multilabel"))
        self.attributes = {
            semconv.MODEL_NAME: self.name,
            semconv.MODEL_VERSION: self.version,
            semconv.MODEL_ROLE: self.role,
        }
        about = {semconv.MODEL_TASK: self.task, semconv.MODEL_POSITIVE_CLASS: self.positive}
        declared = {name: value for name, value in about.items() if value not in (None, "other")}
        self.event_attributes = {**self.attributes, **declared}
        self.is_binary = self.task == "binary" or (self.task == "other" and self.positive is not None)
        self.score_check = ScoreCheck(self.name, self.classes) if self.is_binary and self.score_of is None else None

    @property
    def positive(self) -> str | None:
        """The positive class, if there are two classes."""
        return self.classes[-1] if self.classes and len(self.classes) == 2 else None

    @property
    def counted_classes(self) -> list[str]:
        """The declared classes by which predictions are counted; a set or a ranking has none of its own."""
        return [] if self.task in SEVERAL else self.classes or []

    def known_segments(self) -> list[Segment]:
        """Returns the segments that are known beforehand."""
        return [(column.name, value) for column in self.segment_columns for value in column.exported() or ()]

    @property
    def reads_mappings(self) -> bool:
        """Whether a mapping with a class and a score can be read without the general rules."""
        is_plain = self.output is None and not self.batch and self.score_of != "predicted"
        return is_plain and self.task in ("binary", "multiclass", "other")

    def check_scores(self, classes: Iterable[str | None], scores: Iterable[float | None]) -> None:
        """Looks at the scores of some predictions, until it is known what they are."""
        if self.score_check is not None:
            self.score_check.look(classes, scores)
            if self.score_check.is_done:
                self.score_check = None

    def recognise(self, result: Any, rows: int | None, columns: ColumnNames | None) -> _outputs.Output | None:
        """Reads what was predicted from a result; None if it cannot be recognised."""
        if self.output is not None:
            result = _guard.attempt(self.output, result)
        return _outputs.recognise(
            result,
            task=self.task,
            classes=self.classes,
            batch=self.batch,
            rows=rows,
            columns=columns,
            score_of=self.score_of,
            wants_shares=self.wants_shares,
        )

    def read_given(self, prediction: Any, score: Any, *, batch: bool) -> _outputs.Output | None:
        """Reads an output that the caller passed as such."""
        return _outputs.given(
            prediction,
            score,
            task=self.task,
            classes=self.classes,
            batch=batch is True or self.batch,
            score_of=self.score_of,
            wants_shares=self.wants_shares,
        )


def valid_name(name: Any) -> str:
    """Returns the clean name of a model.

    Raises:
        ConfigError: It is not a text, or empty.
    """
    clean = name_text(name) if isinstance(name, str) else None
    if not clean or not clean.strip():
        raise ConfigError("the name of a model must be a text that is not empty")
    return clean


def valid_version(version: Any) -> str:
    """Returns the version of a model as clean text.

    Raises:
        ConfigError: It is neither a text nor a number.
    """
    if type(version) not in (str, int, float):
        raise ConfigError("the version of a model must be a text or a number")
    return name_text(version)


def valid_time(argument: str, moment: Any) -> float:
    """Returns a moment in seconds since the epoch.

    Raises:
        ConfigError: It is no moment, or before the epoch.
    """
    found = find_seconds(moment)
    if found is None or found < 0.0:
        raise ConfigError(
            f"{argument}={moment!r} is neither a datetime nor a number of seconds since the epoch nor an ISO 8601 text"
        )
    return found


def valid_classes(task: str, classes: Any) -> list[str]:
    """Returns the declared classes as class texts.

    Raises:
        ConfigError: They have no order, or they are not two for a binary task.
    """
    if isinstance(classes, str | bytes | set | frozenset) or not isinstance(classes, Iterable):
        raise ConfigError(f"classes={classes!r} is not a sequence of classes")
    texts = [str(class_text(item)) for item in classes]
    if task == "binary" and len(texts) != 2:
        raise ConfigError(f"task='binary' has two classes, not {len(texts)}: name both, or use task='multiclass'")
    return texts


def check_truth(task: Any, classes: Any) -> None:
    """Refuses a ground truth for a multilabel model without classes.

    Raises:
        ConfigError: What is not in a label is false for its class, so all classes have to be known.
    """
    if task == "multilabel" and classes is None:
        raise ConfigError(
            "ground_truth= needs classes=... with task='multilabel', in the order of the columns of its predictions: "
            "a class that is not in a label is false"
        )


def valid_choice(argument: str, value: Any, allowed: Any) -> Any:
    """Returns the value if it is one of a `Literal`.

    Raises:
        ConfigError: It is not one of them.
    """
    if value not in get_args(allowed):
        choices = ", ".join(get_args(allowed))
        raise ConfigError(f"{argument}={value!r} is not one of {choices}")
    return value
