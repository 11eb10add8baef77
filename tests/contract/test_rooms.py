"""Which room may import the OTel SDK and private names; import-linter checks the rest between our own rooms."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import otel_ml

ROOT = Path(otel_ml.__file__).parent
WHOLES_AND_PARTS = {
    frozenset({"otel_ml.resource_sampler.gpu._device", "otel_ml.resource_sampler.gpu._slow_readings"}): (
        "the slow readings are a part of a device and hold it, for its handle"
    ),
}
"""Modules that may know each other, and why."""
MOST_MODULES = 20
ALLOWED = ("_telemetry/", "testing/")
CHECK = "otel_ml._telemetry.check"
"""The one private place that a command sees: how `otel-ml doctor` checks the engine."""
OPEN = (CHECK, "otel_ml._values")
TEXT_RULE = {"otel_ml._values.line", "otel_ml._values.block"}
"""The one rule for safe text: a command must not write its own."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def test_only_the_engine_and_the_test_kit_import_the_sdk() -> None:
    """Everything else is written against the OTel API, so that guest mode works with any SDK or none."""
    offenders = [
        (str(path.relative_to(ROOT)), name)
        for path in sorted(ROOT.rglob("*.py"))
        if not str(path.relative_to(ROOT)).startswith(ALLOWED)
        for name in imported(path)
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))
    ]

    assert offenders == []


def test_broad_handlers_are_in_the_guard_only() -> None:
    """`except Exception` is in one room, and on the hot path, whose handlers pass everything to the guard."""
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.name != "_guard.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or getattr(node.type, "id", "") == "Exception")
        if path.name not in ("_fast_path.py", "_segment_path.py")
        or not any(ast.unparse(step).startswith("_guard.caught(") for step in node.body)
    ]

    assert offenders == []


def names(path: Path) -> Iterator[str]:
    """The names of otel_ml that a file imports, with their modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_commands_and_examples_import_public_names_only() -> None:
    """What a command needs, a user can have too."""
    offenders = [
        (path.name, name)
        for path in [*(ROOT / "cli").rglob("*.py"), *(ROOT.parent / "examples").rglob("*.py")]
        for name in names(path)
        if name.startswith("otel_ml.") and not name.startswith(("otel_ml.cli._", *(f"{place}." for place in OPEN)))
        if name not in TEXT_RULE
        if any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
    ]

    assert offenders == []


def test_rooms_above_the_engine_see_only_its_open_modules() -> None:
    """Outside `_telemetry`, its modules whose names begin with an underscore are not imported."""
    offenders = [
        (str(path.relative_to(ROOT)), name)
        for path in sorted(ROOT.rglob("*.py"))
        if not path.is_relative_to(ROOT / "_telemetry")
        for name in names(path)
        if name.startswith("otel_ml._telemetry.")
        if any(part.startswith("_") for part in name.removeprefix("otel_ml._telemetry.").split("."))
    ]

    assert offenders == []


def modules() -> dict[str, Path]:
    """Every module by its name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ("otel_ml", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def dependencies() -> dict[str, set[str]]:
    """What each module imports of ours: at the top, for type checking only, and inside functions."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        wanted = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} has a relative import"
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    wanted.add(submodule if submodule in known else str(node.module))
        found[name] = (wanted & known.keys()) - {name}
    return found


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph[waiting.pop()] - seen:
            seen.add(name)
            waiting.append(name)
    return seen


def test_no_modules_import_each_other() -> None:
    """There is no import cycle, not for type checking and not inside functions; each exception has its reason."""
    graph = dependencies()
    beyond = {name: reachable(name, graph) for name in graph}
    cycles = {
        frozenset(other for other in beyond[name] if name in beyond[other]) for name in graph if name in beyond[name]
    }

    assert [sorted(cycle) for cycle in cycles - WHOLES_AND_PARTS.keys()] == []


def test_no_two_classes_have_one_name() -> None:
    """A reader who searches for a class finds one."""
    places: dict[str, list[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))

    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_a_folder_is_small_enough_to_be_read() -> None:
    """No folder has more than 20 modules beside its front door; the next one is a reason for a wing."""
    modules = Counter(path.parent for path in ROOT.rglob("*.py") if path.name != "__init__.py")

    assert {str(folder.relative_to(ROOT)): count for folder, count in modules.items() if count > MOST_MODULES} == {}
