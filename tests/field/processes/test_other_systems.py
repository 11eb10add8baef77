"""Systems without `fcntl` and `resource`: the core works, and what does not is one clear line.

Source: R8 of our own field study (Windows, simulated by hiding what it does not have); psutil and the standard library
document the differences.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HIDE = """
import os, sys
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in ("getuid", "geteuid", "pwrite", "O_NOFOLLOW", "O_CLOEXEC", "killpg", "getpgid", "getpgrp"):
    if hasattr(os, name):
        delattr(os, name)
import otel_ml
"""


def run(folder: Path, program: str) -> list[str]:
    """Runs a program as on such a system; returns the lines on both streams."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    off = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    done = subprocess.run(
        [sys.executable, "-c", HIDE + textwrap.dedent(program)],
        cwd=folder,
        env={**environment, **off},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_the_core_works_without_a_word(tmp_path: Path) -> None:
    """Predictions are made and counted; the instance has an id; there is no internal error."""
    lines = run(
        tmp_path,
        """
        from otel_ml import _guard
        telemetry = otel_ml.configure(service_name="x")
        model = otel_ml.Model("fraud", task="binary", capture_features="all")
        print(model.track(lambda row: {"prediction": 1, "probability": 0.9})({"a": 1})["prediction"])
        print(telemetry.force_flush(), telemetry.shutdown(), _guard.counts())
        """,
    )

    assert lines == ["1", "True True {}"]


def test_the_resource_sampler_reads_what_there_is(tmp_path: Path) -> None:
    """It starts and stops without an internal error."""
    lines = run(
        tmp_path,
        """
        from otel_ml import _guard
        sampler = otel_ml.ResourceSampler(interval=0.1)
        sampler.start(); sampler.stop()
        print(_guard.counts())
        """,
    )

    assert lines == ["{}"]


def test_what_needs_file_locks_says_so(tmp_path: Path) -> None:
    """The spool is refused at the start, in one line."""
    lines = run(
        tmp_path,
        """
        try:
            otel_ml.configure(service_name="x", spool_dir="spool")
        except otel_ml.ConfigError as error:
            print(error)
        """,
    )

    assert lines == ["spool_dir (OTEL_ML_SPOOL_DIR) needs file locks, which this system does not have: leave it out"]


@pytest.mark.parametrize("command", [["doctor"], ["sampler", "--once"], ["--help"]])
def test_commands_do_not_fail_with_a_traceback(tmp_path: Path, command: list[str]) -> None:
    """They do what they can."""
    program = f"from otel_ml.cli import main\nmain({command!r})"
    lines = run(tmp_path, program)

    assert not any("Traceback" in line for line in lines)
