"""The build command of the local servers: what it prints, skips and refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import build
import pytest
from pipeline_servers import LOCAL

ON_DEMAND = ("collector-gateway", "helm", "kafka", "victoria-metrics", "vmalert")


def run_build(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(LOCAL / "build.py"), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def fake_go(folder: Path, script: str) -> str:
    """Returns a PATH in which `go` is the given shell script."""
    go = folder / "bin" / "go"
    go.parent.mkdir()
    go.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    go.chmod(0o755)
    return f"{go.parent}:/usr/bin:/bin"


def test_a_built_tool_is_not_built_again() -> None:
    """If the binary is cached only its path is printed, even without Go."""
    path = build.build("promtool")
    done = run_build("promtool", PATH="/nowhere")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}\n", "")


def test_the_collector_is_built_with_its_patches(otelcol: Path) -> None:
    """Every patch is in the binary, and is one of the version that the other modules ask for."""
    modules = subprocess.run(["go", "version", "-m", str(otelcol)], capture_output=True, text=True, check=True).stdout
    replaced = re.findall(r"dep\t(\S+)\t(\S+)\n\t=>\t\.\./patched/", modules)
    heads = [patch.read_text(encoding="utf-8").splitlines()[0] for patch in build.PATCHES]
    assert heads != []
    assert sorted(f"Module: {module}@{version}" for module, version in replaced) == sorted(heads)


def test_path_builds_nothing(tmp_path: Path) -> None:
    """`--path` prints where the binary is or will be, below the cache folder."""
    done = run_build("--path", "jaeger", OTEL_ML_CACHE=str(tmp_path))
    assert done.stdout == f"{tmp_path}/jaeger-{build.TOOLS['jaeger'].pins}/jaeger\n"
    assert list(tmp_path.iterdir()) == []


def test_tools_on_demand_are_built_only_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name everything is built but the Collector for gateways, Helm, Kafka and VictoriaMetrics."""
    monkeypatch.setenv("OTEL_ML_CACHE", str(tmp_path))
    wanted = [tool.path for name, tool in build.TOOLS.items() if name not in ON_DEMAND]
    for path in wanted:
        path.parent.mkdir()
        path.touch()
    done = run_build(PATH="/nowhere")
    assert (done.returncode, done.stdout.splitlines()) == (0, [str(path) for path in wanted])


def test_an_unknown_tool_is_named() -> None:
    """An unknown tool gives one line with the known names and a nonzero status."""
    done = run_build("jager")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"build.py: error: unknown tool 'jager'; known are {', '.join(build.TOOLS)}"
    )


def test_without_go_one_line_is_printed(tmp_path: Path) -> None:
    """A missing compiler gives one line and no traceback."""
    done = run_build("jaeger", OTEL_ML_CACHE=str(tmp_path), PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        "build: Go is not installed: the local servers are built from source with Go 1.26 or newer\n"
    )


def test_a_failed_build_leaves_no_binary_and_shows_why(tmp_path: Path) -> None:
    """The compiler's last lines are shown, and the next run starts again."""
    path = fake_go(tmp_path, "echo 'cannot find module' >&2; exit 1")
    cache = tmp_path / "cache"
    done = run_build("jaeger", OTEL_ML_CACHE=str(cache), PATH=path)
    assert done.returncode == 1
    assert "cannot find module" in done.stderr
    assert [entry.name for entry in cache.iterdir() if entry.is_dir()] == []


def test_two_runs_at_once_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run waits for the first and uses its result."""
    calls = tmp_path / "calls"
    path = fake_go(tmp_path, f'echo call >> "{calls}"; sleep 1; for last; do :; done; touch "$5"')
    monkeypatch.setenv("OTEL_ML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", path)
    built: list[Path] = []
    threads = [threading.Thread(target=lambda: built.append(build.build("jaeger"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [build.TOOLS["jaeger"].path] * 2
    assert calls.read_text(encoding="utf-8") == "call\n"


def test_pins_decide_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version in go.mod gives another folder, so an old binary is never used for a new version."""
    tool = build.TOOLS["jaeger"]
    before = tool.pins
    monkeypatch.setattr(build, "HERE", tmp_path)
    module = tmp_path / "tools" / "jaeger"
    module.mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        (module / name).write_bytes((LOCAL / "tools" / "jaeger" / name).read_bytes())
    assert tool.pins == before
    (module / "go.mod").write_text("module other\n", encoding="utf-8")
    assert tool.pins != before
