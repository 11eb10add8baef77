"""The hot path of a model with segments: one binding for each combination of segments that has come.

A prediction belongs to one combination, so nothing more has to be recorded with it: the combination's binding appends
to lists of its own, and the worker adds what it finds there to each segment. The binding is found by the values of the
segment columns, as they come. Rows without the columns under these very names, batches, and what is
new take longer: their features are read as on the general path.
"""

from __future__ import annotations

from typing import Any

from otel_ml import _guard
from otel_ml._telemetry.ports import Engine, State
from otel_ml.prediction._observers import Observers
from otel_ml.prediction._outcome import Segments
from otel_ml.prediction._policy import ModelPolicy
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction.own._fast_path import FastBinding, ShareBinding
from otel_ml.prediction.own._general_path import OwnBinding
from otel_ml.prediction.segments._reader import is_plain

REMEMBERED = 1024
"""Combinations of values whose binding is kept."""
_CHOICE = frozenset({"reader", "first", "second", "third", "by_values", "by_segments", "_remembered"})
"""What only the model's own binding has."""
_Tree = dict[Any, dict[Any, dict[Any, FastBinding]]]


class SegmentBinding(FastBinding):
    """A model with segments. Its own lists stay empty on the fast path: each combination has some."""

    def __init__(self, state: State, policy: ModelPolicy, observers: Observers, engine: Engine) -> None:
        super().__init__(state, policy, observers, engine)
        assert self.segment_reader is not None  # noqa: S101 - the handle asks
        self.reader = self.segment_reader
        keys = self.reader.keys
        self.first, self.second, self.third = keys[0], keys[len(keys) // 2], keys[-1]
        """The segment columns; of fewer than three some twice: a look-up costs less than a loop."""
        self.by_values: _Tree = {}
        """The binding of each combination of values that has come: three look-ups cost less than a tuple and one."""
        self.by_segments: dict[Segments, FastBinding] = {}
        self._remembered = 0

    def begin(self, features: Any) -> Prediction:
        found = None
        try:
            if type(features) is dict:
                found = self.by_values[features[self.first]][features[self.second]][features[self.third]]
        except (KeyError, TypeError):  # a column is absent, a value is new, or it has no hash
            pass
        except Exception as error:  # noqa: BLE001 - handed to the guard
            _guard.caught("prediction.segments", error)
        if found is None:
            found = _guard.call("prediction.segments", self._find, features)
        return OwnBinding.begin(self, features) if found is None else found.begin(features)

    def _find(self, features: Any) -> FastBinding | None:
        """Returns the binding of a single row; None for a batch, or if all predictions take the general path."""
        if not self.takes_fast_path:
            return None
        policy = self.policy
        given = policy.open_payload(features)
        row: Any = policy.known_row(given)
        if row is None:
            row = policy.read(given)
            if row is not None and not isinstance(row, dict):
                return None
        binding = self._combination(self.reader.missing if row is None else self.reader.read_row(row))
        if type(features) is dict:
            _guard.attempt(self._remember, features, binding)
        return binding

    def _remember(self, features: dict[Any, Any], binding: FastBinding) -> None:
        """Keeps the binding for the next row with these values; raises if it lacks a column."""
        first, second, third = features[self.first], features[self.second], features[self.third]
        if self._remembered < REMEMBERED and is_plain((first, second, third)):
            self.by_values.setdefault(first, {}).setdefault(second, {})[third] = binding
            self._remembered += 1

    def _combination(self, segments: Segments) -> FastBinding:
        """Returns the binding of a combination: this one with lists of its own."""
        found = self.by_segments.get(segments)
        if found is None:
            found = object.__new__(ShareBinding if self.spec.wants_shares else FastBinding)
            found.__dict__.update({name: value for name, value in self.__dict__.items() if name not in _CHOICE})
            found.combination = segments
            named = tuple(zip(self.spec.segments, segments, strict=True)) if self.counts_segments else ()
            pending = self.cells.combination(named, by_class=self.spec.is_binary)
            found.elapsed_ns = pending.elapsed_ns
            found.add_score, found.add_class = pending.scores.append, pending.classes.append
            found = self.by_segments.setdefault(segments, found)
        return found
