"""The cells of all models as one family of metrics."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from otel_ml import _guard, semconv
from otel_ml._telemetry._yielding import yield_to_service
from otel_ml._telemetry.predictions import _points
from otel_ml._telemetry.predictions.cells import CellSet
from otel_ml._telemetry.predictions.model_cells import ModelIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import ScopeMetrics

    from otel_ml._telemetry.metrics._points import Window

FOLDED_NAMED: Final = 10
"""Models without series of their own that are named."""
_OTHER: Final = ModelIdentity(semconv.OTHER, semconv.OTHER, semconv.OTHER)


class PredictionFamily:
    """The prediction metrics of every model in this process.

    A model that is no longer in use keeps its series while there is room. When there is none it is exported once more
    and forgotten. A model in use keeps its series; one that finds all places in use is counted as `semconv.OTHER` until
    there is room again.

    Args:
        limit: Models in use at once that have cells of their own.
        on_room: Called at a collection when models counted as `semconv.OTHER` may ask for cells again.
    """

    def __init__(self, limit: int, on_room: Callable[[], object] = lambda: None) -> None:
        self._limit = limit
        self._on_room = on_room
        self._sets: dict[ModelIdentity, CellSet] = {}
        self._lock = threading.Lock()
        self._folded: dict[ModelIdentity, None] = {}
        """The models that are counted as `semconv.OTHER`, in order; at most one more than are named."""
        self._collected_ns: int | None = None
        """When this process last gave up cells: the series of a model that comes back later begin there, at 0."""
        self._is_ending = False

    def all_cells(self) -> list[CellSet]:
        """Returns the cells of every model so far."""
        return list(self._sets.values())

    def cells(self, identity: ModelIdentity, owner: object = None) -> CellSet:
        """Returns the cells of one model, created on first use. They are in use as long as an owner exists."""
        is_newly_folded = False
        with self._lock:
            found = self._sets.get(identity)
            if found is None and self._is_full():
                is_newly_folded = self._fold(identity)
                identity = _OTHER
                found = self._sets.get(identity)
            if found is None:
                found = self._sets[identity] = CellSet(identity, self._collected_ns)
            found.keep_for(owner if identity is not _OTHER else None)
        if is_newly_folded:  # without the lock: a log handler of the service may need the cells of a model
            self._warn_of_folded()
        return found

    def folded(self) -> tuple[str, ...]:
        """Returns the models that are counted as `semconv.OTHER` now, the first few by name."""
        names = [" ".join(filter(None, identity)) for identity in list(self._folded)]
        if len(names) > FOLDED_NAMED:
            names[FOLDED_NAMED:] = ["..."]
        return tuple(names)

    def count_finished(self) -> int:
        """Returns how many calls have finished, approximately, without folding."""
        return sum(cells.count_finished() for cells in self.all_cells())

    def end(self) -> None:
        """The process shuts down cleanly and no longer holds its models: the next export may be the last."""
        self._is_ending = True

    def notes(self) -> list[str]:
        """Returns lines for `otel-ml doctor`."""
        return [f"metrics: counted as {semconv.OTHER}: {', '.join(self.folded())}"] if self._folded else []

    def collect(self, window: Window, *, is_primary: bool) -> ScopeMetrics | None:
        sets = self.all_cells()
        unused = [cells for cells in sets if not cells.is_used]
        folded = []
        for cells in sets:
            folded.append((cells, cells.fold(take_exemplars=is_primary)))
            yield_to_service()
        if is_primary:
            self._release(unused, window.now_ns)
            self._offer_room()
        return _points.scope_metrics(folded, window, is_last=self._is_ending)

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._collected_ns = None
        for cells in self._sets.values():
            cells.reset_after_fork()

    def _is_full(self) -> bool:
        """Whether as many models are in use as may be. Unused ones wait for the next collection, within a bound."""
        if len(self._sets) < self._limit:
            return False
        used = sum(cells.is_used for cells in self._sets.values() if cells.identity is not _OTHER)
        return used >= self._limit or len(self._sets) >= 2 * self._limit + 1

    def _release(self, exported: list[CellSet], now_ns: int) -> None:
        """Forgets the oldest unused cells that are too many; their last counts have just been exported."""
        with self._lock:
            for cells in exported[: max(0, len(self._sets) - self._limit)]:
                if not cells.is_used:
                    del self._sets[cells.identity]
                    self._collected_ns = now_ns

    def _offer_room(self) -> None:
        with self._lock:
            has_room = bool(self._folded) and not self._is_full()
            if has_room:  # those that find no place this time are named again
                self._folded.clear()
        if has_room:
            _guard.call("models.room", self._on_room)

    def _fold(self, identity: ModelIdentity) -> bool:
        """Notes that a model is counted as `semconv.OTHER`; returns whether it is one of the first to be named."""
        if len(self._folded) > FOLDED_NAMED:
            return False
        self._folded[identity] = None
        return True

    def _warn_of_folded(self) -> None:
        names = self.folded()
        _guard.warn_once(
            f"models.folded.{len(names)}",
            f"otel-ml: more than {self._limit} models are in use at once, so the metrics of {', '.join(names)} are "
            f"counted as {semconv.OTHER}: raise max_models ({semconv.ENV_MAX_MODELS})",
        )
