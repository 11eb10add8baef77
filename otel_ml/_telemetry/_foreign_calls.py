"""Calls into foreign processors and exporters, which may ignore the time limit that they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from otel_ml import _guard, _process

_SHORTEST: Final = 1
"""Milliseconds: some take 0 for no limit at all."""


class ForeignCall:
    """One call on a thread of its own, which is abandoned when its time is over.

    Args:
        where: The room and the step, for `otel_ml._guard`.
        target: The foreign object.
        function: Makes the call.
    """

    def __init__(self, where: str, target: Any, function: Callable[[Any], object]) -> None:
        self._where = where
        self._target = target
        self._function = function
        self._succeeded = False
        self._thread = _process.spawn("otel-ml-foreign-call", self._run)
        if self._thread is None:
            self._run()

    @property
    def is_running(self) -> bool:
        """Whether the call has not returned yet."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, deadline: float) -> bool:
        """Waits until the monotonic deadline; returns True when the call has succeeded by then."""
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - monotonic()))
            if self._thread.is_alive():
                name = type(self._target).__name__
                _guard.warn_of_loss(
                    f"foreign call {self._where} {name}",
                    f"otel-ml: {name} of this process ignores its time limit and is abandoned; "
                    "what its processors hold may be lost",
                )
        return self._succeeded

    def _run(self) -> None:
        # Some distributions' providers return None: only False and an exception mean failure.
        result = _guard.call(self._where, lambda: (self._function(self._target),))
        self._succeeded = result is not None and result[0] is not False


class ForeignProviders:
    """Flushes and shuts down providers that hold foreign processors.

    Args:
        providers: Returns them; called each time.
    """

    def __init__(self, providers: Callable[[], Sequence[Any]]) -> None:
        self._providers = providers
        self._flushes: dict[int, ForeignCall] = {}

    def flush(self, deadline: float) -> bool:
        """Flushes all of them at the same time; returns False when one fails or misses the deadline.

        A flush that still hangs from the last time is awaited, not started again.
        """
        milliseconds = max(_SHORTEST, int((deadline - monotonic()) * 1000))
        calls = []
        for provider in self._providers():
            if not hasattr(provider, "force_flush"):
                continue
            call = self._flushes.get(id(provider))
            if call is None or not call.is_running:
                call = ForeignCall("telemetry.flush", provider, lambda one: one.force_flush(milliseconds))
                self._flushes[id(provider)] = call
            calls.append(call)
        succeeded = [call.wait(deadline) for call in calls]
        return all(succeeded)

    def begin_shutdown(self) -> list[ForeignCall]:
        """Starts to shut down all of them at the same time; `shutdown` takes no time limit."""
        return [
            ForeignCall("telemetry.shutdown", provider, lambda one: one.shutdown()) for provider in self._providers()
        ]
