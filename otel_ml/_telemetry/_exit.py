"""Shuts telemetry down at the interpreter's exit, in a child of `multiprocessing`, and on SIGTERM if asked to."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

from otel_ml import _guard, _process

_HOLD: Final = 1.0
"""Seconds that the signal handler blocks the main thread, which may hold a lock that the shutdown needs. The process
ends by the signal when the shutdown is done."""
_LAST: Final = -100
"""Priority of our finalizer: after the queues and pools of the child."""


class ExitHooks:
    """Calls a shutdown at every orderly end of the process.

    It cannot catch `os._exit` and SIGKILL, nor, without `watch_sigterm`, an unhandled SIGTERM.
    """

    def __init__(self, shutdown: Callable[[], object]) -> None:
        self._shutdown = shutdown
        self._registered_with: object = None

    def watch(self) -> None:
        """Registers the shutdown in this process."""
        atexit.register(self._shutdown)
        process = sys.modules.get("multiprocessing.process")
        if process is not None and process.parent_process() is not None:
            self.finalize()
        else:
            self.watch_child()

    def watch_child(self) -> None:
        """Registers the shutdown for children of `multiprocessing`; called in a forked child, too.

        `multiprocessing` ends its children without the interpreter's exit functions, and it forgets finalizers that
        were registered before the child's own start.
        """
        util = sys.modules.get("multiprocessing.util")
        if util is not None and self._registered_with is not util:
            self._registered_with = util
            util.register_after_fork(self, ExitHooks.finalize)

    def finalize(self) -> None:
        """Registers the shutdown with `multiprocessing`, in its child."""
        util = sys.modules["multiprocessing.util"]
        util.Finalize(None, self._shutdown, exitpriority=_LAST)

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
