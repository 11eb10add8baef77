"""Resource sampler: readings of host, process, container and NVIDIA GPUs as observable instruments."""

from __future__ import annotations

from otel_ml.resource_sampler._container import ContainerSource
from otel_ml.resource_sampler._gpu import GpuSource
from otel_ml.resource_sampler._host import HostSource
from otel_ml.resource_sampler._process import ProcessSource
from otel_ml.resource_sampler._sampler import ResourceSampler
from otel_ml.resource_sampler._selection import Mode
from otel_ml.resource_sampler._source import Gap, Reading, Report, Snapshot, Source, SourceSnapshot

__all__ = [
    "ContainerSource",
    "Gap",
    "GpuSource",
    "HostSource",
    "Mode",
    "ProcessSource",
    "Reading",
    "Report",
    "ResourceSampler",
    "Snapshot",
    "Source",
    "SourceSnapshot",
]
