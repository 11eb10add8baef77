"""The figures that come from one batched field query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._counters import DeviceCounters
from otel_ml.resource_sampler._source import Gap, Reading
from otel_ml.resource_sampler.gpu._identity import DeviceIdentity
from otel_ml.resource_sampler.gpu._nvml import ALL_LINKS, INVALID_ARGUMENT, CallFailed, FieldValue, classify

Tags = tuple[tuple[str, str], ...]

_GPU: Final[Tags] = ((semconv.HW_TYPE, "gpu"),)
_NO_VALUE: Final = (1 << 32) - 1
"""The driver's code for "no value" in 32 bits, which it also returns in 64."""
_LARGEST: Final = (1 << 63) - 1
"""A point cannot hold more, and a counter that reached this once would never be read again."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the batch: which metric it feeds, its own attributes, the factors to the metric's unit."""

    number: int
    name: str
    metric: semconv.Metric
    tags: Tags = ()
    multiply: int = 1
    divide: int = 1
    scope: int = 0
    is_zero_unknown: bool = False
    """Whether 0 with success means unknown: no GPU draws no power or has no temperature."""

    def is_known(self, value: float | None) -> bool:
        """Whether the driver's answer is a figure; a counter of 64 bits may well exceed 32 bits."""
        if value is None or not 0 <= value <= _LARGEST or (value == _NO_VALUE and self.metric.instrument != "counter"):
            return False
        return value != 0 or not self.is_zero_unknown


def _throttle(number: int, reason: str) -> Field:
    tags = ((semconv.GPU_THROTTLE_REASON, reason),)
    return Field(number, f"throttling {reason}", semconv.GPU_THROTTLE_TIME, tags, divide=10**9)


def _moved(number: int, metric: semconv.Metric, direction: str, *, multiply: int = 1, scope: int = 0) -> Field:
    name = f"{'PCIe' if metric is semconv.HW_GPU_IO else 'NVLink'} {direction}"
    tags = ((semconv.NETWORK_IO_DIRECTION, direction),)
    is_pcie = metric is semconv.HW_GPU_IO
    return Field(number, name, metric, tags, multiply, scope=scope, is_zero_unknown=is_pcie)


def _errors(number: int, kind: str) -> Field:
    return Field(number, f"{kind} errors", semconv.HW_ERRORS, (*_GPU, (semconv.ERROR_TYPE, kind)))


FIELDS: Final = (
    Field(83, "energy", semconv.HW_ENERGY, _GPU, divide=1000, is_zero_unknown=True),
    Field(185, "power", semconv.HW_POWER, _GPU, divide=1000, is_zero_unknown=True),
    Field(186, "power", semconv.HW_POWER, _GPU, divide=1000, is_zero_unknown=True),
    Field(190, "power limit", semconv.GPU_POWER_LIMIT, divide=1000, is_zero_unknown=True),
    Field(82, "memory temperature", semconv.HW_TEMPERATURE, is_zero_unknown=True),
    _moved(197, semconv.HW_GPU_IO, "transmit"),
    _moved(198, semconv.HW_GPU_IO, "receive"),
    _throttle(74, "sw_power_cap"),
    _throttle(75, "thermal"),
    _throttle(76, "sync_boost"),
    _throttle(269, "sw_thermal"),
    _throttle(270, "hw_thermal"),
    _throttle(271, "hw_power_brake"),
    _moved(202, semconv.GPU_NVLINK_IO, "transmit", scope=ALL_LINKS),
    _moved(138, semconv.GPU_NVLINK_IO, "transmit", multiply=1024, scope=ALL_LINKS),
    _moved(204, semconv.GPU_NVLINK_IO, "receive", scope=ALL_LINKS),
    _moved(139, semconv.GPU_NVLINK_IO, "receive", multiply=1024, scope=ALL_LINKS),
    _errors(3, "corrected"),
    _errors(4, "uncorrected"),
    _errors(94, "pcie_replay"),
)
"""Read at every tick. Of two fields with one name only the first that answers is read from then on."""

SLOW_FIELDS: Final = (
    Field(142, "remapped rows, corrected", semconv.GPU_REMAPPED_ROWS, tags=((semconv.GPU_REMAP_CAUSE, "corrected"),)),
    Field(
        143, "remapped rows, uncorrected", semconv.GPU_REMAPPED_ROWS, tags=((semconv.GPU_REMAP_CAUSE, "uncorrected"),)
    ),
)
PENDING: Final = {144: "remapping pending", 145: "remapping failed", 31: "page retirement pending"}
"""Fields that are not 0 when memory is about to fail."""
RECOVERY_ACTION: Final = 230
"""Not 0 when the GPU needs a reset or the machine a reboot, according to the driver."""


class FieldBatch:
    """The fields that one GPU answers, found by asking for all of them once a driver generation."""

    def __init__(self, counters: DeviceCounters) -> None:
        self._counters = counters
        self._unsupported: dict[int, Gap | None] = {}
        """Fields not to ask for; None for one whose figure comes from another field."""
        self._refused: dict[int, Gap] = {}
        self._asked: dict[int, Field] = {}
        self._is_slow = False
        self._slow_readings: list[Reading] = []
        self.has: set[str] = set()
        """Names of the fields that answered last time."""
        self.has_throttle_time = False
        self.pending: tuple[str, ...] = ()
        """Why memory is about to fail."""
        self.wants_recovery = False

    def probe_again(self) -> None:
        """For a GPU that came back, perhaps with another driver."""
        self._unsupported.clear()
        self._refused.clear()
        self._slow_readings = []

    def ask(self, *, slow: bool) -> list[tuple[int, int]]:
        """The fields to ask for, with their scopes; a slow tick asks again for those that were refused."""
        if slow:
            self._refused.clear()
        self._is_slow = slow
        table = (*FIELDS, *SLOW_FIELDS) if slow else FIELDS
        skip = self._unsupported.keys() | self._refused.keys()
        self._asked = {field.number: field for field in table if field.number not in skip}
        asked = [(field.number, field.scope) for field in self._asked.values()]
        if slow:
            asked.extend((number, 0) for number in (*PENDING, RECOVERY_ACTION) if number not in skip)
        return asked

    def readings(
        self, values: Iterable[FieldValue], identity: DeviceIdentity, generation: int
    ) -> Iterator[Reading | Gap]:
        """Turns the answers into readings; fields known to be missing stay gaps."""
        yield from filter(None, (*self._unsupported.values(), *self._refused.values()))
        slow_readings: list[Reading] = []
        flags: dict[int, float] = {}
        answered: set[str] = set()
        for answer in values:
            field = self._asked.get(answer.field)
            if answer.code != 0:
                yield self._missing(answer, field, identity.name)
            elif field is None:
                flags[answer.field] = 0 if answer.value in {None, _NO_VALUE} else answer.value or 0
            elif field.name in answered:
                self._unsupported[field.number] = None
            elif field.is_known(answer.value):
                answered.add(field.name)
                reading = self._reading(field, answer, identity, generation)
                if field in SLOW_FIELDS:
                    slow_readings.append(reading)
                else:
                    yield reading
        self.has = answered
        self.has_throttle_time = any(name.startswith("throttling") for name in answered)
        if self._is_slow:
            self._slow_readings = slow_readings
            self.pending = tuple(text for number, text in PENDING.items() if flags.get(number))
            self.wants_recovery = bool(flags.get(RECOVERY_ACTION))
        yield from self._slow_readings

    def _missing(self, answer: FieldValue, field: Field | None, device: str) -> Gap:
        kind = classify(answer.code)
        if kind == "driver" or (kind == "lost" and answer.code != INVALID_ARGUMENT):
            raise CallFailed(kind, answer.code, f"field {answer.field} answers {answer.code}")
        name = field.name if field is not None else PENDING.get(answer.field, "recovery action")
        if kind in {"unsupported", "lost"}:  # an invalid argument of one field is a field unknown to this driver
            kind = "unsupported"
        gap = Gap(f"{device} {name}", kind, f"field {answer.field} answers {answer.code}")
        if kind == "permission":
            self._refused[answer.field] = gap
        elif kind == "unsupported":
            self._unsupported[answer.field] = gap
        return gap

    def _reading(self, field: Field, answer: FieldValue, identity: DeviceIdentity, generation: int) -> Reading:
        value = answer.value or 0
        is_sensor = field.metric is semconv.HW_TEMPERATURE
        attributes = identity.tags(sensor="memory") if is_sensor else identity.tags(*field.tags)
        if field.metric.instrument == "counter":
            key = (identity.uuid, field.name)
            if field.metric is semconv.HW_ENERGY:  # the first of the batch
                self._counters.detect_reset(key, value)
            value = self._counters.advance(key, value, bits=answer.bits, generation=generation)
        value *= field.multiply
        if is_sensor:
            value = float(value)
        return Reading(field.metric, value / field.divide if field.divide != 1 else value, attributes)
