"""Shuts telemetry down at every orderly end of the process, and on SIGTERM if asked to."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

from otel_ml import _guard, _process
from otel_ml._process.exit import at_exit

_HOLD: Final = 1.0
"""Seconds that the signal handler blocks the main thread, which may hold a lock that the shutdown needs. The process
ends by the signal when the shutdown is done."""


class ExitHooks:
    """Calls a shutdown at every orderly end of the process.

    It cannot catch `os._exit` and SIGKILL, nor, without `watch_sigterm`, an unhandled SIGTERM.
    """

    def __init__(self, shutdown: Callable[[], object]) -> None:
        self._shutdown = shutdown

    def watch(self) -> None:
        """Registers the shutdown in this process and for the workers that it forks."""
        at_exit("telemetry.exit", self._shutdown)

    def watch_sigterm(self) -> None:
        """Installs a handler if the service has none; the process still ends by the signal, a second one ends it at
        once.
        """
        if threading.current_thread() is not threading.main_thread():
            _guard.warn_once(
                "sigterm", "otel-ml: flush_on_sigterm has no effect: configure() must run in the main thread"
            )
        elif signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        thread = _process.spawn("otel-ml-sigterm", self._end, number)
        if thread is not None:  # else the interpreter's exit functions are already running
            thread.join(_HOLD)

    def _end(self, number: int) -> None:
        self._shutdown()
        os.kill(os.getpid(), number)
