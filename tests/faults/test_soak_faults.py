"""A long run at a steady rate: memory, descriptors and threads stay constant."""

from __future__ import annotations

import os
import threading
import time

import psutil
import pytest

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
RATE = 2000


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 600)
def test_soak(run, receiver, tmp_path, figure):
    """Two thousand predictions a second, all delivered; the slope of memory is recorded in KiB per hour."""
    program = run("soak.py", SECONDS, RATE)
    forgetting = threading.Event()
    seen = [0]

    def forget():
        while not forgetting.wait(0.5):
            with receiver._changed:
                seen[0] += len(receiver.accepted)
                receiver.accepted.clear()

    thread = threading.Thread(target=forget)
    thread.start()
    program.wait_for_line("running")
    process, samples = psutil.Process(program.pid), []
    time.sleep(min(20.0, SECONDS / 3))
    while program.is_running():
        try:
            samples.append((time.monotonic(), process.memory_info().rss, process.num_fds(), process.num_threads()))
        except psutil.NoSuchProcess:
            break
        time.sleep(1.0)
    forgetting.set()
    thread.join()

    assert program.wait() == 0, program.output
    lost = int(program.wait_for_line("lost").removeprefix("lost"))
    samples = samples[:-3]
    third = max(1, len(samples) // 3)
    early = sorted(sample[1] for sample in samples[:third])[third // 2]
    late = sorted(sample[1] for sample in samples[-third:])[third // 2]
    hours = (samples[-1][0] - samples[0][0]) * 2 / 3 / 3600
    figure(
        0,
        soak_s=SECONDS,
        records=int(program.wait_for_line("made").removeprefix("made")),
        lost=lost,
        slope_kib_per_h=(late - early) / 1024 / hours,
        growth_mib=(late - early) / 2**20,
        descriptors=max(sample[2] for sample in samples) - min(sample[2] for sample in samples),
        threads=max(sample[3] for sample in samples) - min(sample[3] for sample in samples),
        peak_mib=max(sample[1] for sample in samples) / 2**20,
    )
    assert lost == 0
    assert late - early < 8 * 2**20
    assert max(sample[2] for sample in samples) - min(sample[2] for sample in samples) <= 4
    assert max(sample[3] for sample in samples) - min(sample[3] for sample in samples) <= 2
