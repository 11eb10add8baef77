"""Puts everything that `compare.py` needs into one folder, for a machine that can download nothing.

python tests/gpu/kit.py .gpu-kit        # then, there: python3 .gpu-kit/compare.py
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

import otel_ml

DISTRIBUTIONS = ("opentelemetry-api", "typing-extensions", "nvidia-ml-py")
PROGRAMS = ("compare.py", "load.py", "record.py", "smi.py")


def build(target: Path) -> None:
    """Copies our package, what it imports, and the programs; pure Python only."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(Path(otel_ml.__file__).parent, target / "otel_ml", ignore=ignored)
    for name in DISTRIBUTIONS:
        found = distribution(name)
        for file in found.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), target / file)
    for program in PROGRAMS:
        shutil.copyfile(Path(__file__).with_name(program), target / program)


if __name__ == "__main__":
    assert importlib.util.find_spec("pynvml") is not None, "nvidia-ml-py is not installed"
    build(Path(sys.argv[1]))
    print(f"{sys.argv[1]}: {sum(1 for _ in Path(sys.argv[1]).rglob('*.py'))} files of Python")
