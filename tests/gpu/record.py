"""The driver's answers as a scenario of the stand-in library (tests/data/nvml), so that tests can use them later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

FIELDS: Final = (
    3,
    4,
    31,
    74,
    75,
    76,
    82,
    83,
    94,
    138,
    139,
    142,
    143,
    144,
    145,
    185,
    186,
    190,
    197,
    198,
    202,
    204,
    230,
    269,
    270,
    271,
)
"""The fields that the sampler asks for."""
ALL_LINKS: Final = 0xFFFFFFFF
_NAMES: Final = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}
"""The member of the union by the type of the value."""


def scenario(nvml: Any) -> str:
    """All GPUs of the driver; identities are replaced."""
    count = nvml.nvmlDeviceGetCount()
    lines = [f"# Recorded from a driver {nvml.nvmlSystemGetDriverVersion()}.", f"0 - * value gpus {count}"]
    for index in range(count):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        lines.append(f"0 - {index} text uuid GPU-recorded-{index}")
        lines += [f"0 - {index} {rule}" for rule in _rules(nvml, handle)]
    return "\n".join(lines) + "\n"


def _rules(nvml: Any, handle: Any) -> Iterator[str]:
    yield f"text name {nvml.nvmlDeviceGetName(handle)}"
    try:
        yield f"text pci {nvml.nvmlDeviceGetPciInfo(handle).busId}"
    except nvml.NVMLError:
        pass
    for key, ask in _answers(nvml, handle):
        try:
            yield f"value {key} {ask()}"
        except nvml.NVMLError:  # noqa: PERF203 - a key without a rule is "not supported"
            pass
    wanted = [(field, ALL_LINKS) if field in {138, 139, 202, 204} else field for field in FIELDS]
    for value in nvml.nvmlDeviceGetFieldValues(handle, wanted):
        name = _NAMES.get(value.valueType)
        if value.nvmlReturn == 0 and name is not None:
            yield f"value field:{value.fieldId} {getattr(value.value, name)} type {value.valueType}"


def _answers(nvml: Any, handle: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "utilization", lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu
    yield "samples", lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu
    yield "memory_activity", lambda: nvml.nvmlDeviceGetUtilizationRates(handle).memory
    for part in ("total", "free", "reserved"):
        yield (
            f"memory.{part}",
            lambda part=part: getattr(nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2), part),
        )
    yield "power", lambda: nvml.nvmlDeviceGetPowerUsage(handle)
    yield "power_limit", lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle)
    yield "temperature", lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
    for kind in (0, 1):
        yield f"threshold:{kind}", lambda kind=kind: nvml.nvmlDeviceGetTemperatureThreshold(handle, kind)
    yield "fans", lambda: nvml.nvmlDeviceGetNumFans(handle)
    yield "fan", lambda: nvml.nvmlDeviceGetFanSpeed_v2(handle, 0)
    yield "encoder", lambda: nvml.nvmlDeviceGetEncoderUtilization(handle)[0]
    yield "decoder", lambda: nvml.nvmlDeviceGetDecoderUtilization(handle)[0]
    for domain in (0, 1, 2, 3):
        yield f"clock:{domain}", lambda domain=domain: nvml.nvmlDeviceGetClockInfo(handle, domain)
    yield "reasons", lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
    yield "events", lambda: nvml.nvmlDeviceGetSupportedEventTypes(handle)
    yield "gpm", lambda: nvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice
