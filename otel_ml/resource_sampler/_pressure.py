"""Readings of pressure stall information (PSI), which the host and a control group offer in the same form."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._source import Gap, Reading, gap_of, read_text

_RESOURCES: Final = ("cpu", "memory", "io")


def read_pressure(
    folder: Path, pattern: str, *, scope: str, skip: Collection[tuple[str, str]] = ()
) -> Iterator[Reading | Gap]:
    """Cumulative stall times in seconds, the ``total`` of each line; a kernel without PSI leaves a gap.

    Args:
        folder: Where the files are.
        pattern: File name for a ``{resource}``.
        scope: ``host`` or ``container``; /proc/pressure is the host's even inside a container.
        skip: Pairs of resource and stall type that say nothing.
    """
    for resource in _RESOURCES:
        try:
            text = read_text(folder / pattern.format(resource=resource))
        except OSError as error:
            yield gap_of(f"{resource} pressure", error)
            continue
        for line in text.splitlines():
            stall, _, columns = line.partition(" ")
            if (resource, stall) not in skip:
                microseconds = int(columns.rpartition("total=")[2])
                attributes = {
                    semconv.PRESSURE_RESOURCE: resource,
                    semconv.PRESSURE_STALL_TYPE: stall,
                    semconv.PRESSURE_SCOPE: scope,
                }
                yield Reading(semconv.PRESSURE_STALL_TIME, microseconds / 1e6, attributes)
