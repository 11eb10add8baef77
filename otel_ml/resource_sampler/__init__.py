"""Resource sampler: readings of host, process, container and NVIDIA GPUs as observable instruments."""

from __future__ import annotations

from otel_ml.resource_sampler._figure_sources import find_origin
from otel_ml.resource_sampler._sampler import ResourceSampler, is_off
from otel_ml.resource_sampler._selection import Mode, select_sources
from otel_ml.resource_sampler._source import Gap, Reading, Report, Snapshot, Source, SourceSnapshot
from otel_ml.resource_sampler._target_process import NamedProcess, OneProcess, target_process
from otel_ml.resource_sampler.export._direct import DirectExport
from otel_ml.resource_sampler.export._standalone import export_directly
from otel_ml.resource_sampler.gpu._model_memory import ModelMemory, model_memory
from otel_ml.resource_sampler.gpu._source import GpuSource
from otel_ml.resource_sampler.linux._container import ContainerSource
from otel_ml.resource_sampler.linux._host import HostSource
from otel_ml.resource_sampler.linux._process import ProcessSource

__all__ = [
    "ContainerSource",
    "DirectExport",
    "Gap",
    "GpuSource",
    "HostSource",
    "Mode",
    "ModelMemory",
    "NamedProcess",
    "OneProcess",
    "ProcessSource",
    "Reading",
    "Report",
    "ResourceSampler",
    "Snapshot",
    "Source",
    "SourceSnapshot",
    "export_directly",
    "find_origin",
    "is_off",
    "model_memory",
    "select_sources",
    "target_process",
]
