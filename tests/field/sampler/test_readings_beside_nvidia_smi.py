"""`make gpu` on a stand-in driver and a stand-in `nvidia-smi`: what it compares, what it keeps, what it says without a driver.

utkuozdemir/nvidia_gpu_exporter#68 (`[N/A]` and fields that another version does not know).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_nvml import scenario
from nvml_fixtures import status

from otel_ml.resource_sampler import ResourceSampler

ROOT = Path(__file__).parents[3]
ANSWERS = {
    "uuid": "GPU-a",
    "utilization.gpu": "37",
    "utilization.encoder": "3",
    "utilization.memory": "12",
    "memory.total": "81920",
    "memory.free": "61440",
    "power.draw": "310.50",
    "enforced.power.limit": "700.00",
    "temperature.gpu": "54",
    "temperature.memory": "61",
    "fan.speed": "[N/A]",
    "clocks.sm": "1975",
    "ecc.errors.corrected.volatile.total": "2",
}
SMI = """#!{python}
import sys
answers = {answers!r}
query = next((word for word in sys.argv if word.startswith("--query-gpu=")), None)
if any(word.startswith("--query-compute-apps=") for word in sys.argv):
    pass
elif query is None:
    print("Driver Version : 580.00")
elif set(names := query.partition("=")[2].split(",")) <= set(answers):
    print(", ".join(answers[name] for name in names))
else:
    sys.exit(2)
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """The kit, as `make gpu` builds it."""
    folder = tmp_path_factory.mktemp("kit") / "kit"
    subprocess.run([sys.executable, ROOT / "tests/gpu/kit.py", folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def make_gpu(kit, tmp_path):
    """Runs the comparison of the kit with these answers of `nvidia-smi`; returns status, lines and rows."""

    def run(library=None, **answers):
        (tmp_path / "bin").mkdir()
        smi = tmp_path / "bin" / "nvidia-smi"
        smi.write_text(SMI.format(python=sys.executable, answers={**ANSWERS, **answers}), encoding="utf-8")
        smi.chmod(0o755)
        (tmp_path / "one.scenario").write_text(scenario(gpus=1), encoding="utf-8")
        environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        if library is not None:
            cuda = ROOT / "tests/data/nvml/fake_cuda.c"
            compiler = [shutil.which(os.environ.get("CC", "cc")), "-shared", "-fPIC", "-o"]
            subprocess.run([*compiler, str(tmp_path / "libcuda.so.1"), str(cuda)], check=True)
            environment["LD_LIBRARY_PATH"] = f"{library.parent}:{tmp_path}"
            environment["FAKE_NVML_SCENARIO"] = str(tmp_path / "one.scenario")
        out = tmp_path / "out"
        command = [sys.executable, "-I", kit / "compare.py", "--settle", "0.3", "--out", out]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
        rows = json.loads((out / "readings.json").read_text()) if out.exists() else []
        return done.returncode, (done.stdout + done.stderr).splitlines(), rows

    return run


def test_every_reading_is_compared_and_the_answers_are_kept(make_gpu, nvml_library, tmp_path, driver, gpus):
    """Idle and under load; what the driver answered is a scenario that the stand-in plays again."""
    code, lines, rows = make_gpu(nvml_library)
    verdicts = {(row["phase"], row["metric"], row["attribute"]): row["verdict"] for row in rows}
    same = {key[1:] for key, verdict in verdicts.items() if verdict == "same" and key[0] == "load"}
    assert (code, lines[-1]) == (
        0,
        f"{2 * len(same)} readings are the same, 0 differ or are missing; kept in {tmp_path}/out",
    )
    assert same == {
        ("hw.gpu.utilization", "general"),
        ("hw.gpu.utilization", "encoder"),
        ("otelml.gpu.memory.activity", ""),
        ("hw.gpu.memory.limit", ""),
        ("hw.gpu.memory.free", ""),
        ("hw.power", ""),
        ("otelml.gpu.power.limit", ""),
        ("hw.temperature", "gpu"),
        ("hw.temperature", "memory"),
        ("otelml.gpu.clock.frequency", "sm"),
        ("hw.errors", "corrected"),
    }
    assert verdicts["load", "hw.fan.speed_ratio", ""] == "only ours"
    recorded = (tmp_path / "out" / "recorded.scenario").read_text().splitlines()
    driver.load(*recorded, gpus=1, base=())
    [snapshot] = ResourceSampler(sources=[gpus()], budget=64).sample().sources
    values = {(r.metric.name, r.value) for r in snapshot.readings if r.attributes.get("hw.id") == "GPU-recorded-0"}
    assert {("hw.gpu.memory.limit", 85899345920), ("hw.power", 310.5), ("otelml.gpu.memory.activity", 0.12)} <= values
    assert {name for name, _, _ in status("", "", "")} <= {name for name, _ in values}


def test_a_reading_that_differs_or_is_missing_is_an_error(make_gpu, nvml_library):
    """The line shows both values, and the status is 1."""
    code, lines, rows = make_gpu(nvml_library, **{"temperature.gpu": "80", "utilization.encoder": "90"})
    assert code == 1
    assert {(row["metric"], row["theirs"]) for row in rows if row["verdict"] == "DIFFERS"} == {
        ("hw.temperature", 80.0),
        ("hw.gpu.utilization", 0.9),
    }
    assert any(line.split()[1:] == ["hw.temperature", "gpu", "54", "80", "DIFFERS"] for line in lines)


def test_without_a_driver_it_is_one_line(make_gpu):
    """Nothing is checked, and it says so."""
    reason = "no NVIDIA driver on this machine (libnvidia-ml.so.1 is not found)"
    assert make_gpu()[:2] == (0, [f"make gpu: {reason}: nothing is checked"])
