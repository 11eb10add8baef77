"""Identity of a device: the attributes of its points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._source import Reading

_STATES: Final = ("ok", "degraded", "failed", "predicted_failure")


class DeviceIdentity:
    """The attributes of one device; each set of them is made once and reused."""

    def __init__(self, uuid: str, name: str, model: str, parent: str | None = None) -> None:
        self.uuid = uuid
        self.name = name
        self.model = model
        self.base: dict[str, str | int] = {
            semconv.HW_ID: uuid,
            semconv.HW_NAME: name,
            semconv.HW_VENDOR: "NVIDIA",
        }
        if model:
            self.base[semconv.HW_MODEL] = model
        if parent is not None:
            self.base[semconv.HW_PARENT] = parent
        self._made: dict[object, dict[str, str | int]] = {(): self.base}

    def tags(self, *pairs: tuple[str, str], sensor: str | None = None) -> dict[str, str | int]:
        """Attributes of the device and these, or of one of its sensors and these."""
        key = pairs if sensor is None else (sensor, *pairs)
        made = self._made.get(key)
        if made is None:
            made = {**(self.base if sensor is None else self._sensor_attributes(sensor)), **dict(pairs)}
            self._made[key] = made
        return made

    def status(self, state: str) -> Iterator[Reading]:
        """`hw.status` of a GPU, one point a state."""
        for known in _STATES:
            tags = self.tags((semconv.HW_TYPE, "gpu"), (semconv.HW_STATE, known))
            yield Reading(semconv.HW_STATUS, int(known == state), tags)

    def _sensor_attributes(self, sensor: str) -> dict[str, str | int]:
        part = {"gpu": "temperature", "memory": "memory_temperature"}.get(sensor, sensor)
        found: dict[str, str | int] = {semconv.HW_ID: f"{self.uuid}/{part}", semconv.HW_PARENT: self.uuid}
        if sensor != part:
            found[semconv.HW_SENSOR_LOCATION] = sensor
        return found
