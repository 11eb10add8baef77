"""A package is "missing" only if it is not there; one that is there and fails is named with its cause.

Sources: EdwinWenink/udacity-ml-fastapi (numpy 1.26 beside pyarrow 26), apache/arrow#2490 and #46151,
project-improv/improv#181 (an import fails with RuntimeError, ValueError or AttributeError beside another NumPy),
dlt-hub/dlt#2380 (what is missing is what the package needs).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NEEDS = "requires NumPy 2.0 or newer"
CASES = [
    pytest.param(
        "pyarrow",
        "from otel_ml.cli import main; sys.exit(main(['profile', '--data', 'x.csv', '--output', 'p.json']))",
        id="pyarrow",
    ),
    pytest.param("numpy", "import otel_ml; otel_ml.ReferenceProfile.fit({'a': ['x', 'y'] * 50})", id="numpy"),
    pytest.param("sqlalchemy", "import otel_ml; otel_ml.GroundTruth('sqlite:///x.db')", id="sqlalchemy"),
    pytest.param("psycopg", "import otel_ml; otel_ml.GroundTruth('postgresql+psycopg://h/d')", id="psycopg"),
    pytest.param("duckdb", "from otel_ml.cli import main; sys.exit(main(['console', '--port', '0']))", id="duckdb"),
    pytest.param("pynvml", "from otel_ml.resource_sampler.gpu._nvml import Nvml; Nvml().start()", id="pynvml"),
]


def last_line(folder: Path, program: str, **variables: str) -> str:
    (folder / "x.csv").write_text("a\n" + "1\n2\n" * 50)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}"],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(("module", "program"), CASES)
def test_a_package_that_is_not_there_is_missing(tmp_path: Path, module: str, program: str) -> None:
    """The remedy is to install it."""
    said = last_line(tmp_path, f"sys.modules[{module!r}] = None\n{program}")

    assert "pip install" in said
    assert "missing" in said or "not installed" in said or "needs" in said


@pytest.mark.parametrize(("module", "program"), CASES)
def test_a_package_that_fails_is_named_with_its_cause(tmp_path: Path, module: str, program: str) -> None:
    """EdwinWenink/udacity-ml-fastapi: to install it again would change nothing, so the message has the cause."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / f"{module}.py").write_text(f"raise ImportError('{NEEDS}\\nsecond line', name={module!r})")
    said = last_line(tmp_path, program, PYTHONPATH=str(broken))

    assert NEEDS in said
    assert "missing" not in said
    assert "pip install" not in said


@pytest.mark.parametrize("kind", ["AttributeError", "ValueError", "RuntimeError"])
def test_any_failure_of_an_import_is_one_line(tmp_path: Path, kind: str) -> None:
    """project-improv/improv#181, apache/arrow#46151: packages do not only raise ImportError."""
    (tmp_path / "pyarrow.py").write_text(f"raise {kind}('_ARRAY_API not found')")
    program = "from otel_ml.cli import main; sys.exit(main(['profile', '--data', 'x.csv', '--output', 'p.json']))"
    said = last_line(tmp_path, program, PYTHONPATH=str(tmp_path))

    assert said == "otel-ml profile: pyarrow is installed but cannot be imported: _ARRAY_API not found"


@pytest.mark.parametrize(("module", "program"), CASES)
def test_what_a_package_itself_misses_is_not_the_package(tmp_path: Path, module: str, program: str) -> None:
    """dlt-hub/dlt#2380: a module that the package needs and does not find is the cause, not the package."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / f"{module}.py").write_text("import a_module_it_needs")
    said = last_line(tmp_path, program, PYTHONPATH=str(broken))

    assert "a_module_it_needs" in said
    assert "otel-ml[" not in said
