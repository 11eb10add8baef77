"""Readings of pressure stall information (PSI), which the host and a control group offer in the same form."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._proc_files import read_bytes
from otel_ml.resource_sampler._source import Gap, Reading, measured, to_gap

_RESOURCES: Final = ("cpu", "memory", "io", "irq")


class Pressure:
    """Cumulative stall times in seconds, the ``total`` of each line; a kernel without PSI leaves a gap.

    Args:
        scope: ``host`` or ``container``; /proc/pressure is the host's even inside a container.
        skip: Pairs of resource and stall type that are always 0.
    """

    def __init__(self, scope: str, skip: Collection[tuple[str, str]] = ()) -> None:
        self._folder = ""
        self._paths: list[tuple[str, str]] = []
        self._absent: dict[str, Gap] = {}
        self._known: dict[tuple[str, bytes], Mapping[str, str | int]] = {
            (resource, line): {
                semconv.PRESSURE_RESOURCE: resource,
                semconv.PRESSURE_STALL_TYPE: stall,
                semconv.PRESSURE_SCOPE: scope,
            }
            for resource in _RESOURCES
            for line, stall in _STALLS.items()
            if (resource, stall) not in skip
        }
        """Attributes of a line by its resource and beginning."""

    def read(self, folder: str, pattern: str) -> Iterator[Reading | Gap]:
        """Reads each resource's file, named by the pattern; ``irq`` is only there from Linux 6.1 on, if at all."""
        if self._folder != folder:
            self._folder = folder
            self._paths = [(resource, f"{folder}/{pattern.format(resource=resource)}") for resource in _RESOURCES]
            self._absent.clear()
        for resource, path in self._paths:
            if resource in self._absent:
                yield self._absent[resource]
                continue
            try:
                content = read_bytes(path)
            except OSError as error:
                gap = to_gap(f"{resource} pressure", error)
                if isinstance(error, FileNotFoundError):  # a running kernel does not gain it
                    self._absent[resource] = gap
                yield gap
                continue
            for line in content.splitlines():
                attributes = self._known.get((resource, line[:5]))
                if attributes is not None:
                    microseconds = int(line[line.rindex(b"total=") + 6 :])
                    yield measured((semconv.PRESSURE_STALL_TIME, microseconds / 1e6, attributes))


_STALLS: Final = {b"some ": "some", b"full ": "full"}
