"""The driver over time: missing, found, lost, reloaded; one log line for each change."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from otel_ml.resource_sampler._source import Gap, Reading, Report
from otel_ml.resource_sampler.gpu._attribution import Attribution
from otel_ml.resource_sampler.gpu._gpu_table import GpuTable
from otel_ml.resource_sampler.gpu._nvml import MISMATCH, CallFailed, Nvml
from otel_ml.resource_sampler.gpu._settings import Backoff, GpuSettings
from otel_ml.resource_sampler.gpu._xid_events import Watcher, XidCounts

_LOG: Final = logging.getLogger("otel_ml")


class Driver:
    """The driver library and its GPUs; all calls are made on one thread."""

    def __init__(self, nvml: Nvml, attribution: Attribution, xids: XidCounts, settings: GpuSettings) -> None:
        self._nvml = nvml
        self._xids = xids
        self._settings = settings
        self._clock = settings.clock
        self._gpus = GpuTable(nvml, attribution, xids, settings)
        self._watcher: Watcher | None = None
        self._missing: Gap | None = None
        """Why there is no driver; None while there is one, and before the first try."""
        self._is_ready = False
        self._was_ready = False
        self._version: str | None = None
        self._generation = 0
        """Rises when the driver is known to have been reloaded."""
        self._retry_driver = Backoff(settings)
        self._steady_since = float("-inf")
        """Since when the driver has been there; one that comes and goes is tried less and less often."""
        self._slow_at = float("-inf")
        self._listed: frozenset[str] | None = None

    def read(self) -> Report:
        """One tick; a GPU that fails does not stop the others."""
        items: list[Reading | Gap] = []
        if not self._is_ready and self._retry_driver.is_due:
            self._start()
        if self._is_ready:
            try:
                if self._gpus.is_any_lost() and self._gpus.retry.is_due:
                    items.extend(self._gpus.open_all(self._count()))
                slow = self._is_layout_changed() or self._gpus.is_slow_due or self._clock() >= self._slow_at
                if slow:
                    items.extend(self._survey())
                    self._slow_at = self._clock() + self._settings.slow
                    self._gpus.is_slow_due = False
                items.extend(self._gpus.read(slow=slow, generation=self._generation))
                self._confirm()
            except CallFailed as failed:
                self._mark_driver_lost(failed)
        items.extend(self._gpus.status())
        items.extend(self._gpus.silent.gaps())
        if self._missing is not None:
            items.append(self._missing)
        readings = tuple(item for item in items if isinstance(item, Reading))
        return Report(readings, tuple(item for item in items if isinstance(item, Gap)))

    def close(self) -> None:
        """Frees what the library gave and shuts it down; a later `read` starts again."""
        if self._is_ready:
            self._shut_down()
        self._gpus.clear()
        self._missing = None
        self._was_ready = False
        self._retry_driver.reset()
        self._slow_at = float("-inf")

    def _start(self) -> None:
        try:
            self._nvml.start()
            self._is_ready = True
            self._count()
            self._recognise()
        except CallFailed as failed:
            self._mark_driver_lost(failed)
            return
        self._gpus.retry.reset()
        self._slow_at = float("-inf")
        self._listed = self._settings.listed_gpus()

    def _confirm(self) -> None:
        """Called after a whole tick without a loss, which alone shows that an initialised driver works."""
        if self._missing is not None:
            self._steady_since = self._clock()
            _LOG.info("otel-ml: the NVIDIA driver answers: GPU readings start")
        self._missing = None
        self._was_ready = True
        if self._clock() - self._steady_since >= self._settings.retry:
            self._retry_driver.reset()

    def _recognise(self) -> None:
        """Checks the driver's version: another one means that all counters have restarted."""
        try:
            version = str(self._nvml.call("nvmlSystemGetDriverVersion"))
        except CallFailed as failed:
            if failed.kind == "driver":
                raise
            return
        if self._version not in {None, version}:
            self._generation += 1
        self._version = version

    def _mark_driver_lost(self, failed: CallFailed) -> None:
        self._shut_down()
        self._retry_driver.fail()
        if self._missing is None:
            if self._was_ready:
                hint = "; restart this process to use the new driver" if failed.code == MISMATCH else ""
                text = "otel-ml: the NVIDIA driver is gone (%s): GPU readings are absent until it is back%s"
                _LOG.warning(text, failed.detail, hint)
            else:
                _LOG.info("otel-ml: no NVIDIA GPU can be read (%s): GPU readings are absent", failed.detail)
        self._missing = Gap("nvml", "driver", failed.detail)

    def _shut_down(self) -> None:
        """Shuts the library down, unless the event thread does not end: no call may be in flight."""
        self._gpus.release()
        watcher, self._watcher = self._watcher, None
        may_shut_down = watcher is None or watcher.stop()
        if self._is_ready and may_shut_down:
            try:
                self._nvml.call("nvmlShutdown")
            except CallFailed:  # it may be gone already
                pass
        self._is_ready = False

    def _count(self) -> int:
        count = int(self._nvml.call("nvmlDeviceGetCount"))
        if count == 0:  # a broken device mount looks like this: not the same as idle
            if not self._was_ready:
                self._gpus.silent.nothing_answers()
            raise CallFailed("driver", None, "the driver shows no GPU")
        return count

    def _survey(self) -> Iterator[Gap]:
        """The slow survey: GPUs that came or went, instances that were rebuilt, a watcher that failed."""
        listed = self._settings.listed_gpus()
        if listed != self._listed and self._listed is not None:
            # the library only lists the GPUs that existed when it was initialised
            self._listed = listed
            self._shut_down()
            self._nvml.start()
            self._is_ready = True
        count = self._count()
        if count != len(self._gpus) + self._gpus.silent.counted:
            yield from self._gpus.open_all(count)
        yield from self._gpus.update_instances()
        if self._gpus.has_changed or (self._watcher is not None and self._watcher.has_failed):
            self._watch()

    def _is_layout_changed(self) -> bool:
        watcher = self._watcher
        if watcher is None or not watcher.layout_changed.is_set():
            return False
        watcher.layout_changed.clear()
        return True

    def _watch(self) -> None:
        if self._watcher is not None and not self._watcher.stop():
            return
        self._watcher = Watcher(self._nvml, self._xids, self._settings.poll)
        self._watcher.start(self._gpus.handles())
        self._gpus.has_changed = False
