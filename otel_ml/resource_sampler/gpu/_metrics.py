"""The metrics of the GPU source."""

from __future__ import annotations

from typing import Final

from otel_ml import semconv

METRICS: Final = (
    semconv.HW_GPU_UTILIZATION,
    semconv.HW_GPU_MEMORY_USAGE,
    semconv.HW_GPU_MEMORY_LIMIT,
    semconv.HW_GPU_MEMORY_UTILIZATION,
    semconv.HW_GPU_IO,
    semconv.HW_POWER,
    semconv.HW_ENERGY,
    semconv.HW_TEMPERATURE,
    semconv.HW_TEMPERATURE_LIMIT,
    semconv.HW_FAN_SPEED_RATIO,
    semconv.HW_ERRORS,
    semconv.HW_STATUS,
    semconv.GPU_POWER_LIMIT,
    semconv.GPU_CLOCK_FREQUENCY,
    semconv.GPU_THROTTLE_TIME,
    semconv.GPU_THROTTLE_ACTIVE,
    semconv.GPU_MEMORY_ACTIVITY,
    semconv.GPU_REMAPPED_ROWS,
    semconv.GPU_NVLINK_IO,
    semconv.GPU_SM_ACTIVITY,
    semconv.GPU_SM_OCCUPANCY,
    semconv.GPU_TENSOR_ACTIVITY,
    semconv.GPU_DRAM_ACTIVITY,
    semconv.GPU_PROCESS_COUNT,
    semconv.PROCESS_GPU_MEMORY_USAGE,
    semconv.PROCESS_GPU_UTILIZATION,
    semconv.MODEL_GPU_MEMORY_USAGE,
)
"""All metrics that the GPU source may return."""
