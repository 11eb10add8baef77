"""Runs hooks at every orderly end of the process: the interpreter's exit, children of `multiprocessing`, Celery."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from otel_ml import _guard, _process

Hook = Callable[[], object]

_LAST: Final = -100
"""Priority among the finalizers of `multiprocessing`: after the queues and pools of the child."""


class _Exit:
    """The hooks and where they are registered.

    `os._exit` and SIGKILL are out of reach; so is a SIGTERM that nobody handles.
    """

    def __init__(self) -> None:
        self._hooks: list[tuple[int, str, Hook]] = []
        self._util: object = None

    def add(self, where: str, hook: Hook, order: int) -> None:
        if not self._hooks:
            atexit.register(self.run)
            _process.in_child("exit.fork", self.watch)
        self._hooks.append((order, where, hook))
        self._hooks.sort(key=lambda known: known[0])
        if _is_child():
            self.finalize()
        self.watch()

    def run(self, **_: object) -> None:
        """Runs all hooks; a signal of Celery passes keywords."""
        for _order, where, hook in self._hooks:
            _guard.call(where, hook)

    def finalize(self) -> None:
        """Registers with `multiprocessing`, in its child."""
        util: Any = sys.modules["multiprocessing.util"]
        util.Finalize(None, self.run, exitpriority=_LAST)

    def watch(self) -> None:
        """Registers for the workers of pools; called in a forked child, too.

        `multiprocessing`, and `billiard`, which is Celery's copy of it and shares its registry, end their children
        without the interpreter's exit functions. They forget finalizers that were registered before the child's own
        start. A worker of Celery's pool ends by `os._exit`, after a signal.
        """
        if "billiard.process" in sys.modules:  # which imports it only after its fork
            import_module("multiprocessing.util")
        util: Any = sys.modules.get("multiprocessing.util")
        if util is not None and self._util is not util:
            self._util = util
            util.register_after_fork(self, _Exit.finalize)
        signals: Any = sys.modules.get("celery.signals")
        if signals is not None:
            _guard.call("exit.celery", self._watch_celery, signals)

    def _watch_celery(self, signals: Any) -> None:
        signals.worker_process_shutdown.connect(self.run, weak=False, dispatch_uid="otel_ml.exit")


_exit: Final = _Exit()


def at_exit(where: str, hook: Hook, *, order: int = 0) -> None:
    """Registers a hook for every orderly end of this process and of the workers that it forks.

    Args:
        where: The room and the step, for `otel_ml._guard`.
        hook: It may run more than once.
        order: Hooks of a lower order run first.
    """
    _exit.add(where, hook, order)


def _is_child() -> bool:
    """Whether this process is a child of `multiprocessing` or `billiard` that has already started."""
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        return True
    billiard: Any = sys.modules.get("billiard.process")
    if billiard is None or "multiprocessing.util" not in sys.modules:
        return False
    return type(billiard.current_process()).__name__ != "_MainProcess"
