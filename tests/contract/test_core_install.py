"""What `pip install otel-ml` without extras brings, and that it is enough."""

from __future__ import annotations

import ast
import json
import site
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import otlp_receiver
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import otel_ml

receiver = otlp_receiver.receiver

ROOT = Path(otel_ml.__file__).parent
EXTRAS = {
    "_figures/": "quality",
    "_telemetry/metrics/_page_families.py": "prometheus",
    "_telemetry/metrics/_page_lines.py": "prometheus",
    "_telemetry/metrics/_scrape_page.py": "prometheus",
    "_values/json_texts.py": "fast",
    "cli/_mcp/server.py": "mcp",
    "cli/_thresholds/files.py": "rules",
    "console/": "console",
    "console/web/_parquet.py": "quality",
    "ground_truth/": "ground-truth",
    "ground_truth/storage/_clickhouse.py": "clickhouse",
    "integrations/": "fastapi",
    "integrations/instrumentor.py": "zero-code",
    "quality/": "quality",
}
"""The extra whose packages a file, or any file of a folder, may also import."""
BROUGHT = {
    "fastapi": {"starlette"},
    "jinja2": {"markupsafe"},
    "mcp": {"anyio", "mcp-types"},
    "opentelemetry-distro": {"opentelemetry-instrumentation"},
    "starlette": {"anyio"},
}
"""Packages that come with another one as part of its promise."""
PROGRAM = """
import json, sys
from importlib.machinery import PathFinder

ALLOWED, SITE = set(json.loads(sys.argv[1])), json.loads(sys.argv[2])

class CoreOnly:
    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target)
        origin = spec.origin if spec is not None else None
        if origin and any(origin.startswith(folder) for folder in SITE) and origin not in ALLOWED:
            raise ModuleNotFoundError(f"{name} is not in the core", name=name)
        return spec

sys.meta_path.insert(0, CoreOnly)
import otel_ml

telemetry = otel_ml.configure(service_name="core", endpoint=sys.argv[3], capture_features="none")
sampler = otel_ml.ResourceSampler(interval=60.0)
sampler.start()
model = otel_ml.Model("m", version="1")
assert model.track(lambda features: {"prediction": 1, "score": 0.5})({"a": 1}) == {"prediction": 1, "score": 0.5}
sampler.stop()
assert telemetry.shutdown(timeout=10.0)
print(json.dumps({name: [account.delivered > 0, account.lost()] for name, account in telemetry.ledger().items()}))
"""


def requirements(name: str, extra: str = "") -> set[str]:
    """Names of the distributions that this one requires without an extra, or for one."""
    found = set()
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        of_an_extra = "extra" in str(marker)
        if of_an_extra == bool(extra) and (marker is None or marker.evaluate({"extra": extra})):
            found.add(canonicalize_name(requirement.name))
    return found


def with_their_own(names: set[str]) -> set[str]:
    """These distributions and all that they require."""
    found: set[str] = set()
    while waiting := names - found:
        found |= waiting
        names = names.union(*(requirements(name) for name in waiting))
    return found


def modules(names: set[str]) -> set[str]:
    """Dotted names of the modules of these distributions, and of the packages above them."""
    found = set()
    for name in names:
        for path in distribution(name).files or ():
            if path.suffix in {".py", ".so"} and ".." not in path.parts:
                parts = [*path.parts[:-1], path.name.partition(".")[0]]
                found.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return found


def imported(path: Path) -> set[str]:
    """Third-party modules that a file imports by a statement, type checking aside."""
    tree = ast.parse(path.read_text())
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    known = sys.stdlib_module_names | {"annotationlib", "otel_ml"}  # the first came with Python 3.14
    return {name for name in found if name.partition(".")[0] not in known}


def allowed(place: str) -> set[str]:
    """Distributions that the file at this place may import."""
    names = requirements("otel-ml")
    for prefix, extra in EXTRAS.items():
        if place.startswith(prefix):
            names |= requirements("otel-ml", extra)
    if place.startswith("testing/"):  # imported by pytest
        names.add("pytest")
    for _ in BROUGHT:
        names = names.union(*(BROUGHT.get(name, set()) for name in names))
    return names


def test_the_core_installs_eight_packages() -> None:
    """Without extras, `pip install otel-ml` brings these packages; `requests` is not among them."""
    assert with_their_own(requirements("otel-ml")) == {
        "opentelemetry-api",
        "opentelemetry-exporter-otlp-proto-common",
        "opentelemetry-proto",
        "opentelemetry-sdk",
        "opentelemetry-semantic-conventions",
        "protobuf",
        "psutil",
        "typing-extensions",
    }


def test_every_import_is_declared() -> None:
    """A module imports what the core requires, or what the extra of its folder requires, and nothing else."""
    known = {}
    missing = []
    for path in sorted(ROOT.rglob("*.py")):
        place = str(path.relative_to(ROOT))
        if place.startswith("console/frontend/"):  # runs in the build of a wheel, and is not in it
            continue
        names = frozenset(allowed(place))
        declared = known.setdefault(names, modules(set(names)))
        missing += [(place, name) for name in sorted(imported(path) - declared)]

    assert missing == []


def test_the_core_alone_exports(receiver) -> None:
    """With only the core's packages, predictions and resource readings reach a receiver."""
    names = with_their_own(requirements("otel-ml"))
    present = {str(distribution(name).locate_file(file)) for name in names for file in distribution(name).files or ()}
    arguments = [json.dumps(sorted(present)), json.dumps(site.getsitepackages()), receiver.url]

    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"traces": [True, 0], "metrics": [True, 0], "logs": [True, 0]}
    assert {signal for signal, _ in receiver.accepted} == {"traces", "metrics", "logs"}
