"""`make gpu`: reads every GPU idle and under a real load, and compares each reading with `nvidia-smi`.

Needs an NVIDIA driver and what is beside it in the kit (`kit.py`); it downloads nothing and takes about a minute. Keeps the
driver's answers, the readings and the output of `nvidia-smi` in the folder of `--out`. Ends with 1 if a reading differs.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent))
import smi
from record import scenario

LIBRARY: Final = "libnvidia-ml.so.1"
ROW: Final = "{phase:5} {metric:34} {attribute:12} {ours:>16} {theirs:>16}  {verdict}"


def missing() -> str:
    """Why there is nothing to check; empty if there is a driver."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"no NVIDIA driver on this machine ({LIBRARY} is not found)"
    return "" if shutil.which("nvidia-smi") else "there is a driver, but no nvidia-smi to compare with"


def readings(report: Any) -> dict[str, dict[tuple[str, str], float]]:
    """Readings by UUID, and by metric with the one attribute that tells points of a GPU apart."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for reading in report.readings:
        tags = dict(reading.attributes)
        uuid = str(tags.get("hw.parent", tags.get("hw.id", ""))).partition("/")[0]
        names = ("hw.gpu.task", "hw.sensor_location", "otelml.gpu.clock.domain", "error.type")
        attribute = next((str(tags[name]) for name in names if name in tags), "")
        found.setdefault(uuid, {}).setdefault((reading.metric.name, attribute), float(reading.value))
    for values in found.values():
        if ("hw.gpu.memory.limit", "") in values:
            free = values["hw.gpu.memory.limit", ""] - values["hw.gpu.memory.usage", ""]
            values["hw.gpu.memory.free", ""] = free
    return found


def verdict(ours: float | None, theirs: float | None, figure: smi.Figure) -> str:
    """Whether two values are the same, within what the figure may be apart."""
    if ours is None:
        return "neither has it" if theirs is None else "MISSING"
    if theirs is None:
        return "only ours"
    apart = max(figure.apart, figure.share * max(abs(ours), abs(theirs)))
    return "same" if abs(ours - theirs) <= apart else "DIFFERS"


def compared(
    phase: str,
    ours: Mapping[str, Mapping[tuple[str, str], float]],
    theirs: Mapping[str, Mapping[smi.Figure, float | None]],
) -> Iterator[dict[str, Any]]:
    """One row for each GPU and figure, and for each reading that `nvidia-smi` does not have."""
    for uuid, figures in theirs.items():
        values = dict(ours.get(uuid, {}))
        for figure, value in figures.items():
            key = (figure.metric, figure.attribute)
            own = values.pop(key, None)
            row = {"phase": phase, "uuid": uuid, "metric": figure.metric, "attribute": figure.attribute}
            yield {**row, "ours": own, "theirs": value, "verdict": verdict(own, value, figure)}
        for (metric, attribute), own in sorted(values.items()):
            row = {"phase": phase, "uuid": uuid, "metric": metric, "attribute": attribute}
            yield {**row, "ours": own, "theirs": None, "verdict": "only ours"}


class Load:
    """The load as a process of its own, until it is stopped."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("load.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()
        self.is_working = self.said.endswith("busy")

    def stop(self) -> None:
        """Ends it and waits for it."""
        self.process.communicate(timeout=60)


def measure(phase: str, pid: int | None, settle: float) -> tuple[list[dict[str, Any]], Any]:
    """The rows of one phase: two readings of ours, the second beside `nvidia-smi`."""
    from otel_ml.resource_sampler import GpuSource

    source = GpuSource(gpm=True, slow=0.1, deadline=60.0, pid=pid)
    fields = smi.known_fields(smi.run_smi)
    source.read()
    time.sleep(settle)
    theirs = smi.read(fields, smi.run_smi)
    report = source.read()
    source.close()
    rows = list(compared(phase, readings(report), theirs))
    if pid is not None:
        memory = smi.Figure("otelml.process.gpu.memory.usage", "", (), 1, 64 * smi.MIB, 0.1)
        own = {uuid: values.get((memory.metric, "")) for uuid, values in readings(report).items()}
        for uuid, used in smi.process_memory(pid, smi.run_smi).items():
            row = {"phase": phase, "uuid": uuid, "metric": memory.metric, "attribute": "pid"}
            rows.append({**row, "ours": own.get(uuid), "theirs": used, "verdict": verdict(own.get(uuid), used, memory)})
    return rows, report


def shown(row: Mapping[str, Any]) -> str:
    """One row of the table."""
    texts = {name: "-" if row[name] is None else f"{row[name]:.6g}" for name in ("ours", "theirs")}
    return ROW.format(**{**row, **texts})


def main() -> int:
    """Compares, prints a table, and keeps what was read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-readings"), help="folder for what was read")
    parser.add_argument("--settle", type=float, default=10.0, help="seconds of each phase before it is read")
    arguments = parser.parse_args()
    reason = missing()
    if reason:
        print(f"make gpu: {reason}: nothing is checked")
        return 0
    import pynvml

    rows, _ = measure("idle", None, arguments.settle)
    load = Load()
    if not load.is_working:
        print(f"make gpu: compared without a load: {load.said}")
    try:
        if load.is_working:
            rows += measure("load", load.process.pid, arguments.settle)[0]
        pynvml.nvmlInit()
        answers = scenario(pynvml)
        pynvml.nvmlShutdown()
    finally:
        load.stop()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "recorded.scenario").write_text(answers, encoding="utf-8")
    (arguments.out / "readings.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    (arguments.out / "nvidia-smi.txt").write_text(smi.run_smi(["-q"]) or "", encoding="utf-8")
    print("\n".join(shown(row) for row in rows))
    bad = [row for row in rows if row["verdict"] in {"DIFFERS", "MISSING"}]
    same = sum(row["verdict"] == "same" for row in rows)
    print(f"\n{same} readings are the same, {len(bad)} differ or are missing; kept in {arguments.out}")
    return 1 if bad or not same else 0


if __name__ == "__main__":
    sys.exit(main())
