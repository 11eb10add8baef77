"""What every room does at a fork, and how it starts a thread."""

from __future__ import annotations

import os
import threading
import types
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any, Final, Protocol

from otel_ml import _guard

Hook = Callable[[], object]

_UWSGI_RUNS_HOOKS: Final = frozenset({"py-call-osafterfork", "py-call-uwsgi-fork-hooks"})
"""Options of uWSGI. The first runs the hooks of the child only."""


class Lock(Protocol):
    """A lock of `threading`."""

    def acquire(self) -> bool: ...

    def release(self) -> None: ...


class _Registered:
    """A hook and its place for `otel_ml._guard`."""

    def __init__(self, where: str, hook: Hook) -> None:
        self.where = where
        self._owner: weakref.ref[object] | None = None
        self._function: Callable[..., object] = hook
        if isinstance(hook, types.MethodType):  # no `WeakMethod`: its callback fails while the interpreter ends
            self._owner, self._function = weakref.ref(hook.__self__), hook.__func__

    def hook(self) -> Hook | None:
        if self._owner is None:
            return self._function
        owner = self._owner()
        return None if owner is None else types.MethodType(self._function, owner)


_get_ident: Final = threading.get_ident
_hooks: Final[list[_Registered]] = []
_held: Final[list[Lock]] = []


def in_child(where: str, hook: Hook) -> None:
    """Registers a hook that runs in every forked child, in order of registration and under a guard of its own.

    Hooks cannot be taken back. A bound method is held weakly and ends with its object.

    Args:
        where: The room and the step, for `otel_ml._guard`.
        hook: Replaces locks, threads and counts that are the parent's. The child has no other thread meanwhile.
    """
    for ended in [known for known in _hooks if known.hook() is None]:
        with suppress(ValueError):  # another thread removed it
            _hooks.remove(ended)
    _hooks.append(_Registered(where, hook))


def hold_at_fork(lock: Lock) -> None:
    """Takes this lock before every fork and frees it in both processes, so that a child sees no half-made change."""
    _held.append(lock)


def spawn(
    name: str, target: Callable[..., object], *args: object, thread: type[threading.Thread] | None = None
) -> threading.Thread | None:
    """Starts a daemon thread; None where that is impossible, and the caller must do without.

    Python refuses new threads while the interpreter ends and daemon threads in a subinterpreter, and the system may
    refuse one more at any time.
    """
    make = thread or threading.Thread  # looked up here: gevent may have replaced it
    try:
        started = make(target=_run, args=(target, *args), name=name, daemon=True)
        started.start()
    except RuntimeError:
        return None
    return started


def warn_if_replaced(get_ident: Callable[[], int]) -> None:
    """Logs a line if something replaced Python's threads and locks after our import: ours stop working then.

    They keep working under gevent, whose locks work across threads.

    Args:
        get_ident: `threading.get_ident` now.
    """
    by = get_ident.__module__.partition(".")[0]
    if get_ident is not _get_ident and by != "gevent":
        _guard.warn_once(
            "threads.replaced",
            f"otel-ml: {by} replaced the threads of this process after otel_ml was imported: telemetry is lost here. "
            "Patch before the import",
        )


def _run(target: Callable[..., object], *args: object) -> None:
    target(*args)
    # If gevent has patched `threading` meanwhile, Python does not find this thread by its new ident and prints a
    # traceback at its end. This registers the new ident.
    threading.current_thread()


def forks_without_hooks(modules: Mapping[str, ModuleType]) -> bool:
    """Whether this is a process of uWSGI that will fork its workers without running Python's fork hooks. May raise."""
    uwsgi: Any = modules.get("uwsgi")
    if uwsgi is None or uwsgi.worker_id() != 0:  # with `lazy-apps` it has forked before it loads the application
        return False
    return bool(uwsgi.masterpid() != 0 or uwsgi.numproc > 1) and _UWSGI_RUNS_HOOKS.isdisjoint(uwsgi.opt)


def _before_fork() -> None:
    for lock in reversed(_held):
        lock.acquire()


def _after_fork() -> None:
    for lock in _held:
        with suppress(RuntimeError):  # not taken: a server that forks in C runs the hooks of the child only
            lock.release()


def _in_child() -> None:
    _guard.reset()  # first: its lock may be held by a thread that the child does not have
    _after_fork()
    for registered in _hooks[:]:
        hook = registered.hook()
        if hook is not None:
            _guard.call(registered.where, hook)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
