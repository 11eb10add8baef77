"""Calls into processors and exporters of others, which may ignore the time limit that they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from otel_ml import _guard, _process

_SHORTEST: Final = 1
"""Milliseconds: some take 0 for no limit at all."""


class Call:
    """One call on a thread of its own, which is left behind when its time has passed.

    Args:
        where: The room and the step, for `otel_ml._guard`.
        target: Whose call it is.
        function: Makes it.
    """

    def __init__(self, where: str, target: Any, function: Callable[[Any], object]) -> None:
        self._where = where
        self._target = target
        self._function = function
        self._done = False
        self._thread = _process.spawn("otel-ml-foreign-call", self._run)
        if self._thread is None:
            self._run()

    @property
    def is_running(self) -> bool:
        """Whether the call has not returned yet."""
        return self._thread is not None and self._thread.is_alive()

    def ended(self, deadline: float) -> bool:
        """Waits until a moment of `time.monotonic`; True when the call has ended by then, and well."""
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - monotonic()))
            if self._thread.is_alive():
                name = type(self._target).__name__
                _guard.warn_of_loss(
                    f"patience {self._where} {name}",
                    f"otel-ml: {name} of this process ignores its time limit; it is left behind, "
                    "what its processors hold may be lost",
                )
        return self._done

    def _run(self) -> None:
        # Some distributions' providers return nothing: only False and an exception mean that it did not work.
        said = _guard.call(self._where, lambda: (self._function(self._target),))
        self._done = said is not None and said[0] is not False


class Others:
    """Flushes and shuts down providers as far as they hold what is not ours.

    Args:
        providers: Gives them; asked at every call.
    """

    def __init__(self, providers: Callable[[], Sequence[Any]]) -> None:
        self._providers = providers
        self._flushes: dict[int, Call] = {}

    def flush(self, deadline: float) -> bool:
        """Has all of them flush at the same time; False when one does not, or not in time.

        One that still hangs from the last time is waited for again, not called again.
        """
        milliseconds = max(_SHORTEST, int((deadline - monotonic()) * 1000))
        calls = []
        for provider in self._providers():
            if not hasattr(provider, "force_flush"):
                continue
            call = self._flushes.get(id(provider))
            if call is None or not call.is_running:
                call = Call("telemetry.flush", provider, lambda one: one.force_flush(milliseconds))
                self._flushes[id(provider)] = call
            calls.append(call)
        ended = [call.ended(deadline) for call in calls]
        return all(ended)

    def begin_shutdown(self) -> list[Call]:
        """Has all of them shut down at the same time; they take no time limit."""
        return [Call("telemetry.shutdown", provider, lambda one: one.shutdown()) for provider in self._providers()]
