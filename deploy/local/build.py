"""Builds the pinned local servers and their tools from Go modules into a cache, and Kafka from Maven's.

    python deploy/local/build.py                          everything that is missing, but not what only some tests need
    python deploy/local/build.py collector promtool       only these
    python deploy/local/build.py --path collector         print the binary's path, build nothing

The cache is outside the tree, at ${OTEL_ML_CACHE:-~/.cache/otel-ml}/<tool>-<hash of its pins>/, so a changed version
is built again and an old binary is never taken for a new one.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFESTS = HERE.parent.parent / "collector"
PATCHES = sorted((MANIFESTS / "patches").glob("*.patch"))
"""Changes to modules of the Collector. The first line of each names the module and its version."""
PROGRESS_SECONDS = 10.0


class BuildError(Exception):
    """A failed build, with one line that says why."""


@dataclass(frozen=True)
class Tool:
    """One server: its tool module, the Go package in it, and the flags that it is built with."""

    name: str
    module: str
    package: str
    flags: tuple[str, ...] = ("-trimpath", "-ldflags=-s -w")
    manifest: Path | None = None
    on_demand: bool = False
    """Built only by name, or by the tests that need it: no process of the stack does."""
    page: str | None = None
    """A web page that the source embeds and its Go module does not have: `module path/path of the page`."""
    pom: bool = False
    """A Java program: the path is a folder of jars that Maven resolves."""

    @property
    def folder(self) -> Path:
        return HERE / "tools" / self.module

    @property
    def pins(self) -> str:
        """The hash of all inputs of the binary: versions, their sums, the flags, the manifest."""
        digest = hashlib.sha256()
        files = [self.folder / name for name in (["pom.xml"] if self.pom else ["go.mod", "go.sum"])]
        files += [self.manifest, *PATCHES] if self.manifest else []
        for file in files:
            digest.update(file.read_bytes())
        digest.update("\0".join((self.package, *self.flags, *([self.page] if self.page else []))).encode())
        return digest.hexdigest()[:12]

    @property
    def path(self) -> Path:
        return cache_directory() / f"{self.name}-{self.pins}" / self.name


ALERTMANAGER = "github.com/prometheus/alertmanager"
BUILDER = "go.opentelemetry.io/collector/cmd/builder"
VICTORIA_METRICS = "github.com/VictoriaMetrics/VictoriaMetrics"
PROMETHEUS_FLAGS = ("-trimpath", "-ldflags=-s -w", "-tags=remove_all_sd,netgo")
TOOLS = {
    tool.name: tool
    for tool in (
        Tool("collector", "collector", BUILDER, manifest=MANIFESTS / "builder.yaml"),
        Tool("collector-gateway", "collector", BUILDER, manifest=MANIFESTS / "gateway_builder.yaml", on_demand=True),
        Tool("prometheus", "prometheus", "github.com/prometheus/prometheus/cmd/prometheus", PROMETHEUS_FLAGS),
        Tool("promtool", "prometheus", "github.com/prometheus/prometheus/cmd/promtool", PROMETHEUS_FLAGS),
        Tool(
            "alertmanager",
            "alertmanager",
            f"{ALERTMANAGER}/cmd/alertmanager",
            page=f"{ALERTMANAGER}/ui/app/dist/elm/index.html",
        ),
        Tool("amtool", "alertmanager", f"{ALERTMANAGER}/cmd/amtool"),
        Tool("sloth", "sloth", "github.com/slok/sloth/cmd/sloth"),
        Tool("kustomize", "kustomize", "sigs.k8s.io/kustomize/kustomize/v5"),
        Tool("helm", "helm", "helm.sh/helm/v4/cmd/helm", on_demand=True),
        Tool("victoria-logs", "victoria-logs", "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs"),
        Tool("victoria-metrics", "victoria-metrics", f"{VICTORIA_METRICS}/app/victoria-metrics", on_demand=True),
        Tool("vmalert", "victoria-metrics", f"{VICTORIA_METRICS}/app/vmalert", on_demand=True),
        Tool("jaeger", "jaeger", "github.com/jaegertracing/jaeger/cmd/all-in-one"),
        Tool("kafka", "kafka", "kafka.Kafka", on_demand=True, pom=True),
    )
}


def cache_directory() -> Path:
    """Where the binaries are kept: OTEL_ML_CACHE, or ~/.cache/otel-ml."""
    return Path(os.environ.get("OTEL_ML_CACHE") or Path.home() / ".cache" / "otel-ml").expanduser().absolute()


def build(name: str) -> Path:
    """Builds one tool unless its binary exists; safe beside other builds; returns the binary's path."""
    tool = TOOLS[name]
    if tool.path.exists():
        return tool.path
    if tool.pom and shutil.which("mvn") is None:
        raise BuildError(f"Maven is not installed: it downloads {name}, which runs on Java 17 or newer")
    if not tool.pom and shutil.which("go") is None:
        raise BuildError("Go is not installed: the local servers are built from source with Go 1.26 or newer")
    cache_directory().mkdir(parents=True, exist_ok=True)
    with _exclusively(tool):
        if not tool.path.exists():
            _build_in_a_temporary_folder(tool)
    return tool.path


@contextmanager
def _exclusively(tool: Tool) -> Iterator[None]:
    """One build of one tool at a time; the lock ends with the process, so a crash leaves none behind."""
    with tool.path.parent.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(tool.name, "another process is building it, waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_in_a_temporary_folder(tool: Tool) -> None:
    """Builds in a temporary folder and renames the result: a half-finished build never looks like a finished one."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f".{tool.name}-", dir=cache_directory()) as temporary:
        scratch = Path(temporary)
        output = scratch / "out" / tool.name
        output.parent.mkdir()
        if tool.pom:
            copy = ["mvn", "-B", "-C", "dependency:copy-dependencies", "-DincludeScope=runtime"]
            _run(tool.name, [*copy, f"-DoutputDirectory={output}"], shutil.copytree(tool.folder, scratch / "pom"))
        elif tool.manifest is not None:
            _compile_by_manifest(tool, tool.manifest, scratch, output)
        elif tool.page is not None:
            _compile(tool, output, _with_page(tool, tool.page, scratch))
        else:
            _compile(tool, output)
        output.parent.rename(tool.path.parent)
    _say(tool.name, f"built in {time.monotonic() - started:.0f} s")


def _compile(tool: Tool, output: Path, folder: Path | None = None) -> None:
    _run(tool.name, ["go", "build", *tool.flags, "-o", str(output), tool.package], folder or tool.folder)


def _with_page(tool: Tool, page: str, scratch: Path) -> Path:
    """Returns a copy of the tool module that builds from a copy of the source with a placeholder for the page."""
    module = "/".join(page.split("/")[:3])
    _run(tool.name, ["go", "mod", "download", module], tool.folder)
    command = ["go", "list", "-m", "-f", "{{.Dir}}", module]
    folder = subprocess.run(command, cwd=tool.folder, check=True, capture_output=True, text=True).stdout.strip()
    copy = scratch / "module"
    shutil.copytree(tool.folder, copy)
    source = scratch / "source"
    _copy_source(Path(folder), source)
    placeholder = source / page.removeprefix(module + "/")
    placeholder.parent.mkdir(parents=True)
    placeholder.write_text("This build has no web page. Use amtool or the API.\n", encoding="utf-8")
    _run(tool.name, ["go", "mod", "edit", f"-replace={module}={source}"], copy)
    return copy


def _compile_by_manifest(tool: Tool, manifest: Path, scratch: Path, output: Path) -> None:
    builder = scratch / "builder"
    _compile(tool, builder)
    # The manifest's output_path is relative, so the generated source lands in the scratch folder.
    _run(tool.name, [str(builder), "--config", str(_with_patches(tool, manifest, scratch))], scratch)
    binaries = [entry for entry in (scratch / "build").iterdir() if entry.is_file() and os.access(entry, os.X_OK)]
    if len(binaries) != 1:
        raise BuildError(f"{tool.name}: the Collector builder left {len(binaries)} binaries instead of one")
    binaries[0].rename(output)


def _with_patches(tool: Tool, manifest: Path, scratch: Path) -> Path:
    """Returns a copy of the manifest that builds from patched copies of the modules in collector/patches."""
    text = manifest.read_text(encoding="utf-8")
    text += "" if "\nreplaces:\n" in text else "\nreplaces:\n"
    for patch in PATCHES:
        module = patch.read_text(encoding="utf-8").splitlines()[0].removeprefix("Module: ")
        copy = scratch / "patched" / patch.stem
        _copy_source(_module_folder(tool, module, scratch), copy)
        # A repository of its own: inside of another one git would apply nothing.
        _run(tool.name, ["git", "init", "--quiet"], copy)
        _run(tool.name, ["git", "apply", str(patch)], copy)
        # Relative to the folder of the generated source.
        text += f"  - {module.split('@')[0]} => ../patched/{patch.stem}\n"
    patched = scratch / manifest.name
    patched.write_text(text, encoding="utf-8")
    return patched


def _module_folder(tool: Tool, module: str, scratch: Path) -> Path:
    """Downloads a module and returns its folder in the module cache."""
    command = ["go", "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=scratch, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"{tool.name}: {done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])


def _copy_source(folder: Path, copy: Path) -> None:
    """Copies a module that can be changed: the module cache is read-only."""
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    for directory, _, _ in os.walk(copy):
        Path(directory).chmod(0o755)


def _run(name: str, command: list[str], folder: Path) -> None:
    """Runs one command at low priority; prints progress, and the last lines of output if it fails."""
    started = time.monotonic()
    nice = ["nice", "-n", "10"] if shutil.which("nice") else []
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    with tempfile.TemporaryFile("w+") as log:
        with subprocess.Popen(
            [*nice, *command], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        ) as process:
            _say(name, f"{Path(command[0]).name} {command[1]}")
            while True:
                try:
                    status = process.wait(PROGRESS_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    _say(name, f"building, {time.monotonic() - started:.0f} s")
        if status != 0:
            log.seek(0)
            tail = "".join(log.readlines()[-20:])
            raise BuildError(f"{name}: {Path(command[0]).name} failed with status {status}\n{tail}")


def _say(name: str, what: str) -> None:
    print(f"build: {name}: {what}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line: one path per tool on stdout, progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "tools", nargs="*", metavar="TOOL", help=f"any of: {', '.join(TOOLS)} (default: all but those built on demand)"
    )
    parser.add_argument("--path", metavar="TOOL", choices=list(TOOLS), help="print only this binary's path")
    options = parser.parse_args(arguments)
    if options.path:
        print(TOOLS[options.path].path)
        return 0
    unknown = [name for name in options.tools if name not in TOOLS]
    if unknown:
        parser.error(f"unknown tool {unknown[0]!r}; known are {', '.join(TOOLS)}")
    try:
        for name in options.tools or [name for name, tool in TOOLS.items() if not tool.on_demand]:
            print(build(name), flush=True)
    except (BuildError, OSError) as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
