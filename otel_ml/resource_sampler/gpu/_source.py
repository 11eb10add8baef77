"""Readings of NVIDIA GPUs through NVML, behind a deadline: a driver that hangs delays only these readings."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from opentelemetry.metrics import Histogram, Meter

from otel_ml import _instruments, semconv
from otel_ml.config import ConfigError
from otel_ml.resource_sampler._source import Gap, Report
from otel_ml.resource_sampler.gpu._attribution import Attribution, AttributionKind
from otel_ml.resource_sampler.gpu._driver import Driver
from otel_ml.resource_sampler.gpu._driver_thread import DriverThread, Unanswered
from otel_ml.resource_sampler.gpu._gpu_table import MAX_GPUS
from otel_ml.resource_sampler.gpu._metrics import METRICS
from otel_ml.resource_sampler.gpu._nvml import Nvml
from otel_ml.resource_sampler.gpu._settings import RETRY_SECONDS, SLOW_SECONDS, GpuSettings
from otel_ml.resource_sampler.gpu._xid_events import POLL_SECONDS, XidCounts

__all__ = ["MAX_GPUS", "RETRY_SECONDS", "GpuSource"]

DEADLINE_SECONDS: Final = 2.0
_LOGGED_AFTER: Final = 2
"""Readings without an answer before it is logged: opening cold GPUs takes seconds each, once."""
_LOG: Final = logging.getLogger("otel_ml")


class GpuSource:
    """Reads the NVIDIA GPUs and MIG instances that this process can see; no driver means no points and one log line.

    Emits `hw.*` and `otelml.gpu.*` of the devices, `hw.errors` by ECC, PCIe replay and XID, and the share of this
    process or of each container. A device, a figure or a driver that cannot be read has no points; every GPU that was
    ever seen has its `hw.status`. At a fast tick a GPU costs three driver calls at most.

    All calls but those for events are made on one thread. `read` waits for it until the deadline, and not at all while
    an earlier call hangs: GPU readings stop, nothing else does. The blocking PCIe throughput call is never made.

    Args:
        nvml: A module with the surface of ``pynvml``; by default nvidia-ml-py, imported on the first reading.
        retry: Longest time in seconds between attempts to find a missing driver or a lost GPU.
        slow: Seconds between two readings of the slow tier: clocks, temperature, fans, processes, memory rows.
        deadline: Seconds that one reading may take.
        gpm: Whether to read SM, tensor and memory bandwidth activity (Hopper and later; also of MIG instances).
        attribution: Whose share of the GPUs is given: the ``process``, all ``containers`` of the machine, or ``off``.
        pid: The process whose share that is, or a function that returns it; by default this process.
        proc: /proc of this namespace.
        host_proc: /proc of the host where it is mounted, to find this process under the host's number.
        poll: Seconds between two polls for XID events.
        clock: Monotonic seconds.
        jitter: A number in 0..1, by which pauses vary.

    Raises:
        ConfigError: A time is not positive, or the attribution is unknown.
    """

    name = "gpu"
    metrics = METRICS

    def __init__(  # noqa: PLR0913 - keyword-only, each with a default
        self,
        *,
        nvml: Any = None,
        retry: float = RETRY_SECONDS,
        slow: float = SLOW_SECONDS,
        deadline: float = DEADLINE_SECONDS,
        gpm: bool = False,
        attribution: AttributionKind = "process",
        pid: int | Callable[[], int | None] | None = None,
        proc: Path = Path("/proc"),
        host_proc: Path | None = None,
        poll: float = POLL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        for name, seconds in (("retry", retry), ("slow", slow), ("deadline", deadline), ("poll", poll)):
            if not 0 < seconds < float("inf"):
                raise ConfigError(f"{name}={seconds!r} must be a positive number of seconds")
        if attribution not in {"process", "containers", "off"}:
            raise ConfigError(f"attribution={attribution!r} is unknown: use process, containers or off")
        settings = GpuSettings(clock, retry, slow, gpm, poll, Path(proc), is_whole_machine=attribution == "containers")
        self._settings = settings if jitter is None else replace(settings, jitter=jitter)
        self._module = nvml
        self._deadline = deadline
        self._attribution: AttributionKind = attribution
        self._target = pid
        self._host_proc = host_proc
        self._durations: Histogram | None = None
        self._calls: dict[str, dict[str, str]] = {}
        self._unanswered_in_a_row = 0
        self._restart()

    def read(self) -> Report:
        """Reads every GPU once; a gap if the driver does not answer."""
        if self._pid != os.getpid():  # neither threads nor NVML's state survive a fork
            self._restart()
        try:
            report = self._worker.ask(self._driver.read, self._deadline)
        except Unanswered:
            return self._unanswered()
        if self._unanswered_in_a_row >= _LOGGED_AFTER:
            _LOG.info("otel-ml: the NVIDIA driver answers again: GPU readings start")
        self._unanswered_in_a_row = 0
        if report is None:
            report = Report((), (Gap("nvml", "failed", "an internal error; see the log"),))
        return Report((*report.readings, *self._xids.readings()), report.gaps, self._worker.take_cost())

    def close(self) -> None:
        """Shuts the driver library down after the call in flight; does not wait for a call that hangs."""
        if self._pid == os.getpid():
            self._worker.end(self._driver.close, self._deadline)

    def instrument(self, meter: Meter) -> None:
        """Creates `otelml.sampler.nvml.call.duration`; without it calls are not timed."""
        self._durations = _instruments.create(meter, semconv.NVML_CALL_DURATION)

    def _restart(self) -> None:
        self._pid = os.getpid()
        nvml = Nvml(self._module, self._timed)
        shares = Attribution(
            nvml, kind=self._attribution, pid=self._target, proc=self._settings.proc, host_proc=self._host_proc
        )
        self._xids = XidCounts(self._settings.clock)
        self._driver = Driver(nvml, shares, self._xids, self._settings)
        self._worker = DriverThread()
        self._unanswered_in_a_row = 0

    def _unanswered(self) -> Report:
        self._unanswered_in_a_row += 1
        if self._unanswered_in_a_row == _LOGGED_AFTER:
            _LOG.warning(
                "otel-ml: a call into the NVIDIA driver does not return: GPU readings are absent until it does"
            )
        # earlier counts are still right
        gap = Gap("nvml", "failed", "a driver call does not return")
        return Report(tuple(self._xids.readings()), (gap,))

    def _timed(self, call: str, seconds: float) -> None:
        if self._durations is not None:
            attributes = self._calls.get(call)
            if attributes is None:
                attributes = self._calls[call] = {semconv.NVML_CALL: call}
            self._durations.record(seconds, attributes)
