"""Names for NVIDIA GPUs: `hw.*` of the conventions, and `otelml.*` where there is none."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

NVML_BUCKETS: Final = (1e-5, 5e-5, 1e-4, 5e-4, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Seconds of one driver call."""
HW_GPU_UTILIZATION: Final = Metric(
    "hw.gpu.utilization", "gauge", "1", "Share of time in which at least one kernel ran, or the coder was busy."
)
HW_GPU_MEMORY_USAGE: Final = Metric(
    "hw.gpu.memory.usage", "updowncounter", "By", "GPU memory that is not free: allocated plus reserved."
)
HW_GPU_MEMORY_LIMIT: Final = Metric("hw.gpu.memory.limit", "updowncounter", "By", "GPU memory in total.")
HW_GPU_MEMORY_UTILIZATION: Final = Metric("hw.gpu.memory.utilization", "gauge", "1", "GPU memory used over its total.")
HW_POWER: Final = Metric("hw.power", "gauge", "W", "Power that the GPU draws.")
HW_ENERGY: Final = Metric("hw.energy", "counter", "J", "Energy that the GPU consumed.")
HW_TEMPERATURE: Final = Metric("hw.temperature", "gauge", "Cel", "Temperature of a sensor of the GPU.")
HW_STATUS: Final = Metric(
    "hw.status", "updowncounter", "1", "1 for the state that the GPU is in, 0 for the others; failed once it is lost."
)
GPU_POWER_LIMIT: Final = Metric("otelml.gpu.power.limit", "gauge", "W", "Power limit that the driver enforces.")
HW_GPU_IO: Final = Metric("hw.gpu.io", "counter", "By", "Bytes transferred over the GPU's PCIe link.")
HW_ERRORS: Final = Metric("hw.errors", "counter", "{error}", "ECC errors, PCIe replays and XID events of the GPU.")
HW_FAN_SPEED_RATIO: Final = Metric(
    "hw.fan.speed_ratio", "gauge", "1", "Intended fan speed over its maximum; may exceed 1."
)
HW_TEMPERATURE_LIMIT: Final = Metric(
    "hw.temperature.limit", "gauge", "Cel", "Temperature at which the GPU slows down or shuts down."
)
GPU_CLOCK_FREQUENCY: Final = Metric("otelml.gpu.clock.frequency", "gauge", "Hz", "Clock of a part of the GPU.")
GPU_THROTTLE_TIME: Final = Metric(
    "otelml.gpu.clock.throttle.time", "counter", "s", "Time in which clocks were throttled, by reason; reasons overlap."
)
GPU_THROTTLE_ACTIVE: Final = Metric(
    "otelml.gpu.clock.throttle.active", "updowncounter", "1", "1 while the reason throttles clocks, else 0."
)
GPU_MEMORY_ACTIVITY: Final = Metric(
    "otelml.gpu.memory.activity", "gauge", "1", "Share of the driver's window in which memory was read or written."
)
GPU_REMAPPED_ROWS: Final = Metric("otelml.gpu.memory.remapped_rows", "updowncounter", "{row}", "Remapped memory rows.")
GPU_NVLINK_IO: Final = Metric("otelml.gpu.nvlink.io", "counter", "By", "Bytes transferred over all NVLinks of the GPU.")
GPU_SM_ACTIVITY: Final = Metric(
    "otelml.gpu.sm.activity", "gauge", "1", "Share of multiprocessors that were busy (GPM)."
)
GPU_SM_OCCUPANCY: Final = Metric("otelml.gpu.sm.occupancy", "gauge", "1", "Active warps over their maximum (GPM).")
GPU_TENSOR_ACTIVITY: Final = Metric(
    "otelml.gpu.tensor.activity", "gauge", "1", "Share of time with tensor operations (GPM)."
)
GPU_DRAM_ACTIVITY: Final = Metric(
    "otelml.gpu.dram.activity", "gauge", "1", "Memory bandwidth used over its maximum (GPM)."
)
GPU_PROCESS_COUNT: Final = Metric(
    "otelml.gpu.process.count", "updowncounter", "{process}", "Compute processes on the GPU, by owner."
)
PROCESS_GPU_MEMORY_USAGE: Final = Metric(
    "otelml.process.gpu.memory.usage", "updowncounter", "By", "GPU memory of the process, by attribution method."
)
PROCESS_GPU_UTILIZATION: Final = Metric(
    "otelml.process.gpu.utilization", "gauge", "1", "Share of samples in which a kernel of the process ran."
)
MODEL_GPU_MEMORY_USAGE: Final = Metric(
    "otelml.model.gpu.memory.usage", "updowncounter", "By", "GPU memory that the framework allocated for the model."
)
NVML_CALL_DURATION: Final = Metric(
    "otelml.sampler.nvml.call.duration",
    "histogram",
    "s",
    "Duration of calls into the NVIDIA driver library.",
    NVML_BUCKETS,
)
HW_ID: Final = "hw.id"
"""UUID of the GPU. An index may change between boots and may differ from CUDA's."""
HW_NAME: Final = "hw.name"
HW_VENDOR: Final = "hw.vendor"
HW_MODEL: Final = "hw.model"
HW_TYPE: Final = "hw.type"
HW_STATE: Final = "hw.state"
HW_PARENT: Final = "hw.parent"
HW_SENSOR_LOCATION: Final = "hw.sensor_location"
HW_GPU_TASK: Final = "hw.gpu.task"
HW_LIMIT_TYPE: Final = "hw.limit_type"
GPU_CLOCK_DOMAIN: Final = "otelml.gpu.clock.domain"
"""``graphics``, ``sm``, ``memory`` or ``video``."""
GPU_THROTTLE_REASON: Final = "otelml.gpu.clock.throttle.reason"
"""Why clocks are throttled; the driver's reasons."""
GPU_REMAP_CAUSE: Final = "otelml.gpu.memory.remap.cause"
"""``corrected`` or ``uncorrected``."""
GPU_PROCESS_OWNER: Final = "otelml.gpu.process.owner"
"""``self`` (the watched process and its children) or ``other``."""
GPU_ATTRIBUTION_METHOD: Final = "otelml.gpu.attribution.method"
"""How the process's share of the GPU was found: ``framework``, ``pid``, ``host_pid`` or ``exclusive``."""
NVML_CALL: Final = "otelml.sampler.nvml.call"
"""Function of the driver library; a closed set."""
