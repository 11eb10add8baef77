"""What `nvidia-smi` says, in the units of our metrics."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

MIB: Final = 1 << 20


class Figure(NamedTuple):
    """A figure of `nvidia-smi`, the reading of ours that should be the same, and how far they may be apart."""

    metric: str
    attribute: str
    """Value of an attribute that the reading has; empty for any."""
    fields: tuple[str, ...]
    """Names of the figure, the first one that this version knows."""
    factor: float
    apart: float
    """Of the two values, absolutely."""
    share: float = 0.0
    """The same as a share of the larger one."""


FIGURES: Final = (
    Figure("hw.gpu.utilization", "general", ("utilization.gpu",), 0.01, 0.25),
    Figure("hw.gpu.utilization", "encoder", ("utilization.encoder",), 0.01, 0.1),
    Figure("hw.gpu.utilization", "decoder", ("utilization.decoder",), 0.01, 0.1),
    Figure("otelml.gpu.memory.activity", "", ("utilization.memory",), 0.01, 0.25),
    Figure("hw.gpu.memory.limit", "", ("memory.total",), MIB, MIB),
    Figure("hw.gpu.memory.free", "", ("memory.free",), MIB, 64 * MIB),
    Figure("hw.power", "", ("power.draw.average", "power.draw"), 1, 25, 0.25),
    Figure("otelml.gpu.power.limit", "", ("enforced.power.limit", "power.limit"), 1, 1),
    Figure("hw.temperature", "gpu", ("temperature.gpu",), 1, 4),
    Figure("hw.temperature", "memory", ("temperature.memory",), 1, 4),
    Figure("hw.fan.speed_ratio", "", ("fan.speed",), 0.01, 0.1),
    Figure("otelml.gpu.clock.frequency", "graphics", ("clocks.current.graphics", "clocks.gr"), 1e6, 0, 0.15),
    Figure("otelml.gpu.clock.frequency", "sm", ("clocks.current.sm", "clocks.sm"), 1e6, 0, 0.15),
    Figure("otelml.gpu.clock.frequency", "memory", ("clocks.current.memory", "clocks.mem"), 1e6, 0, 0.15),
    Figure("otelml.gpu.clock.frequency", "video", ("clocks.current.video",), 1e6, 0, 0.15),
    Figure("hw.errors", "corrected", ("ecc.errors.corrected.volatile.total",), 1, 0),
    Figure("hw.errors", "uncorrected", ("ecc.errors.uncorrected.volatile.total",), 1, 0),
)
"""`hw.gpu.memory.free` is our limit minus our usage: what the driver reserves counts as used here, and not there."""

Run = Callable[[Sequence[str]], str | None]


def run_smi(words: Sequence[str]) -> str | None:
    """Output of `nvidia-smi` with these arguments; None if it refuses them."""
    done = subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, timeout=120, check=False)
    return done.stdout if done.returncode == 0 else None


def query(kind: str, fields: Sequence[str], run: Run) -> list[list[str]] | None:
    """Rows of a query; None if this version does not know one of the fields."""
    text = run([f"--query-{kind}={','.join(fields)}", "--format=csv,noheader,nounits"])
    return None if text is None else [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]


def known_fields(run: Run) -> dict[Figure, str]:
    """The name of each figure that this version knows."""
    found = {}
    for figure in FIGURES:
        for field in figure.fields:
            if query("gpu", ["uuid", field], run) is not None:
                found[figure] = field
                break
    return found


def read(fields: dict[Figure, str], run: Run) -> dict[str, dict[Figure, float | None]]:
    """Each figure by UUID, in our units; None where the GPU does not have it."""
    rows = query("gpu", ["uuid", *fields.values()], run) or []
    return {
        uuid: {figure: _number(text, figure.factor) for figure, text in zip(fields, texts, strict=True)}
        for uuid, *texts in rows
    }


def process_memory(pid: int, run: Run) -> dict[str, float | None]:
    """Bytes of a process by UUID."""
    rows = query("compute-apps", ["gpu_uuid", "pid", "used_memory"], run) or []
    return {uuid: _number(used, MIB) for uuid, other, used in rows if other == str(pid)}


def _number(text: str, factor: float) -> float | None:
    try:
        return float(text) * factor
    except ValueError:  # [N/A], [Not Supported]
        return None
