"""XID events: a thread that asks the driver for them, and counters that outlive a lost GPU."""

from __future__ import annotations

import atexit
import ctypes
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from otel_ml import _guard, _process, semconv
from otel_ml.resource_sampler._source import Reading
from otel_ml.resource_sampler.gpu._identity import DeviceIdentity
from otel_ml.resource_sampler.gpu._nvml import CallFailed, Nvml

POLL_SECONDS: Final = 1.0
STOP_SECONDS: Final = 1.0
LOG_SECONDS: Final = 60.0
"""One log line a GPU and code in this time; thousands of XID 45 come when a job is torn down."""
MAX_CODES: Final = 32
OPERATOR_CODES: Final = (48, 62, 64, 74, 79, 95, 119, 120)
"""Codes that need an operator; they start at 0, so that `increase` sees the first event."""

_XID: Final = 0x08
_MIG_CHANGED: Final = 0x100
_MAX_EVENTS: Final = 64
"""Events taken at once; further ones wait for the next poll."""
_LONGEST_PAUSE: Final = 60.0
_TIMEOUT: Final = 10
_LOG: Final = logging.getLogger("otel_ml")


class XidCounts:
    """XID events by GPU and code; written by the watching thread, read by the sampler's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, dict[int | None, int]] = {}
        self._identities: dict[str, DeviceIdentity] = {}
        self._logged: dict[tuple[str, int], tuple[float, int]] = {}

    def expect(self, identity: DeviceIdentity) -> None:
        """Counts events of this GPU from now on; may be called again."""
        with self._lock:
            if identity.uuid not in self._counts:
                self._counts[identity.uuid] = dict.fromkeys(OPERATOR_CODES, 0)
                self._identities[identity.uuid] = identity

    def add(self, uuid: str, code: int) -> None:
        """Counts one event, and logs it unless the same one was logged within a minute."""
        with self._lock:
            counts = self._counts.get(uuid)
            if counts is not None:
                key = code if code in counts or len(counts) < MAX_CODES else None
                counts[key] = counts.get(key, 0) + 1
            logged_at, unlogged = self._logged.get((uuid, code), (float("-inf"), 0))
            is_due = self._clock() - logged_at >= LOG_SECONDS
            if is_due or len(self._logged) < MAX_CODES * 64:
                self._logged[uuid, code] = (self._clock(), 0) if is_due else (logged_at, unlogged + 1)
        if is_due:
            level = logging.ERROR if code in OPERATOR_CODES else logging.WARNING
            more = f" ({unlogged} more of them since the last line)" if unlogged else ""
            attributes = {semconv.HW_ID: uuid, semconv.ERROR_TYPE: f"xid_{code}"}
            _LOG.log(level, "otel-ml: XID %d on GPU %s%s", code, uuid, more, extra=attributes)

    def readings(self) -> Iterator[Reading]:
        """`hw.errors` by code, also of GPUs that are lost."""
        with self._lock:
            for uuid, counts in self._counts.items():
                for code, count in counts.items():
                    kind = "xid_other" if code is None else f"xid_{code}"
                    tags = self._identities[uuid].tags((semconv.HW_TYPE, "gpu"), (semconv.ERROR_TYPE, kind))
                    yield Reading(semconv.HW_ERRORS, count, tags)


class Watcher:
    """One event set for all GPUs and the daemon thread that empties it.

    The thread never blocks in the driver: it polls, then sleeps where it can be woken, so that neither a stop nor the
    interpreter's exit finds it inside a call. A call that hangs on the other thread does not block events.
    """

    def __init__(self, nvml: Nvml, xids: XidCounts, poll: float = POLL_SECONDS) -> None:
        self._nvml = nvml
        self._xids = xids
        self._poll = poll
        self._stop = threading.Event()
        self._uuids: dict[int, str] = {}
        self._set: Any = None
        self._thread: threading.Thread | None = None
        self.has_failed = False
        """Whether the event set must be made again: a GPU in it is lost, or the driver is."""
        self.layout_changed = threading.Event()
        """Set when the driver reports that MIG instances were rebuilt."""

    def start(self, handles: Mapping[str, Any]) -> None:
        """Registers the GPUs, given as handle by UUID, and starts the thread if one of them has events."""
        try:
            self._set = self._nvml.call("nvmlEventSetCreate")
            for uuid, handle in handles.items():
                self._register(uuid, handle)
        except CallFailed as failed:
            if failed.kind == "driver":
                self.has_failed = True
        if self._uuids:
            _WATCHING.add(self)
            self._thread = _process.spawn("otel-ml-nvml-events", self._run)

    def stop(self) -> bool:
        """Ends the thread and frees the set; False when the thread is held in a call, which then keeps its set."""
        self._stop.set()
        _WATCHING.discard(self)
        thread = self._thread
        if thread is not None:
            thread.join(STOP_SECONDS)
            if thread.is_alive():
                return False
        if self._set is not None:
            try:
                self._nvml.call("nvmlEventSetFree", self._set)
            except CallFailed:  # the driver may be gone
                pass
            self._set = None
        return True

    def release(self) -> None:
        """Ends the thread without a driver call; for the interpreter's exit."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _register(self, uuid: str, handle: Any) -> None:
        try:
            wanted = int(self._nvml.call("nvmlDeviceGetSupportedEventTypes", handle)) & (_XID | _MIG_CHANGED)
            if not wanted:
                return
            self._nvml.call("nvmlDeviceRegisterEvents", handle, wanted, self._set)
        except CallFailed as failed:
            if failed.kind == "driver":
                raise
            return
        self._uuids[_address(handle)] = uuid

    def _run(self) -> None:
        pause = self._poll
        while not self._stop.wait(pause):
            is_fine = _guard.call("resource_sampler.xid", self._drain)
            pause = self._poll if is_fine else min(2 * pause, _LONGEST_PAUSE)

    def _drain(self) -> bool:
        for _ in range(_MAX_EVENTS):
            if self._stop.is_set():
                break
            try:
                event = self._nvml.call("nvmlEventSetWait_v2", self._set, 0)
            except CallFailed as failed:
                self.has_failed = failed.code != _TIMEOUT
                return not self.has_failed
            self._take(event)
        self.has_failed = False
        return True

    def _take(self, event: Any) -> None:
        if event.eventType & _MIG_CHANGED:
            self.layout_changed.set()
        if event.eventType & _XID:
            self._xids.add(self._uuids.get(_address(event.device), "unknown"), int(event.eventData))


def _address(handle: Any) -> int:
    return int(ctypes.cast(handle, ctypes.c_void_p).value or 0)


_WATCHING: Final[weakref.WeakSet[Watcher]] = weakref.WeakSet()


def _release_all() -> None:
    for watcher in list(_WATCHING):
        watcher.release()


atexit.register(_release_all)
_process.in_child("resource_sampler.fork", _WATCHING.clear)
