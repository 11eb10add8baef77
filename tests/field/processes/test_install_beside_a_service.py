"""The core can be installed beside whatever a service has already.

Sources: open-telemetry/opentelemetry-python#4563, #2880 and #1355 and a2aproject/a2a-python#198 (an upper bound on
protobuf in an exporter made services uninstallable), digma-ai/opentelemetry-instrumentation-digma#41 (a package that
pinned what only its dependencies use), EdwinWenink/udacity-ml-fastapi (the install line replaced the web framework).
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[3]
OLD_SERVICE = ("fastapi==0.63.0", "pydantic<2", "numpy<1.24", "requests", "pytest<8")
TEST = """
import fastapi, otel_ml
from fastapi.testclient import TestClient

app = fastapi.FastAPI()
otel_ml.instrument_fastapi(app)

@app.post("/people/{name}")
@otel_ml.Model("fraud", task="binary").track
def predict(features: dict, name: str):
    return {"prediction": 1, "probability": 0.93}

def test_it(telemetry):
    with TestClient(app) as client:
        answer = client.post("/people/a", json={"age": 41})
    assert answer.headers["x-prediction-id"]
    assert [span["name"] for span in telemetry.spans()] == ["POST /people/{name}", "predict fraud"]
"""


def test_no_upper_bound_on_what_services_share() -> None:
    """Only the packages of OpenTelemetry, whose next major version may differ, are bounded from above."""
    bounded = {
        requirement.name
        for requirement in map(Requirement, requires("otel-ml") or [])
        for specifier in requirement.specifier
        if specifier.operator in ("<", "<=", "==", "~=", "!=", "===")
        and not requirement.name.startswith("opentelemetry-")
    }

    assert bounded == set()


def test_the_core_pulls_in_no_framework() -> None:
    """A service that installs the core gets the OpenTelemetry API and SDK, OTLP and psutil, and nothing of the web."""
    core = {
        requirement.name for requirement in map(Requirement, requires("otel-ml") or []) if requirement.marker is None
    }

    assert core == {
        "opentelemetry-api",
        "opentelemetry-sdk",
        "opentelemetry-exporter-otlp-proto-common",
        "opentelemetry-proto",
        "protobuf",
        "psutil",
    }


def test_the_layer_of_fastapi_needs_fastapi_only() -> None:
    """anyio and the packages of other instrumentation are not in every service with FastAPI."""
    imported = set()
    for path in (REPOSITORY / "otel_ml" / "integrations" / "fastapi").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    roots = {name.partition(".")[0] for name in imported}

    assert roots <= {"fastapi", "starlette", "opentelemetry", "otel_ml"}
    assert not [name for name in imported if name.startswith("opentelemetry.instrumentation")]


@pytest.mark.slow
def test_the_lines_of_the_readme_change_nothing_of_an_old_service(tmp_path: Path) -> None:
    """udacity-ml-fastapi: with FastAPI 0.63 and pydantic 1 the core is added, and the service is observed."""
    python = tmp_path / "old" / "bin" / "python"
    made = [[sys.executable, "-m", "venv", "old"], [str(python), "-m", "pip", "install", "-q", *OLD_SERVICE]]
    if any(subprocess.run(command, cwd=tmp_path, check=False).returncode for command in made):
        pytest.skip("the old service cannot be installed here")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^pip .*$", readme.partition("## Install")[2], flags=re.MULTILINE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTEST_"))}
    settings = {**kept, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    for line in [*lines, "pip list --format=freeze > after.txt", "pip check"]:
        command = line.replace("/path/to/clone", str(REPOSITORY))
        subprocess.run(command, shell=True, cwd=tmp_path, env=settings, check=True)
    (tmp_path / "test_old.py").write_text(TEST)
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "test_old.py"],
        cwd=tmp_path,
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    before, after = (set((tmp_path / name).read_text().split()) for name in ("installed.txt", "after.txt"))

    assert len(lines) == 2
    assert before <= after
    assert done.returncode == 0, done.stdout
