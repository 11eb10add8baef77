"""The container files: what they copy exists and gets through, what they install exists. No container engine was used."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import build
import pytest
import yaml
from kubernetes_objects import PINNED, ROOT, kustomized, workloads

OURS = ROOT / "deploy" / "containers" / "Containerfile"
FILES = (OURS, ROOT / "collector" / "Containerfile")


def instructions(file: Path) -> list[list[str]]:
    """The words of each instruction, with continued lines joined."""
    text = re.sub(r"\\\n", " ", file.read_text(encoding="utf-8"))
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def copied(file: Path) -> list[str]:
    """The paths that the image copies from the repository."""
    lines = [words for words in instructions(file) if words[0] == "COPY" and not words[1].startswith("--from")]
    return [source for words in lines for source in words[1:-1]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_what_is_copied_exists_and_is_not_ignored(file: Path) -> None:
    """Each source of a COPY is in the repository, and the ignore file lets it through and nothing else."""
    allowed = [line[1:] for line in Path(f"{file}.dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied(file):
        assert list(ROOT.glob(source)), source
        assert any(Path(source) == Path(each) or Path(each) in Path(source).parents for each in allowed), source
    unused = [
        each
        for each in allowed
        if not any(fnmatch(each, source) or Path(each) in Path(source).parents for source in copied(file))
    ]
    assert unused == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_images_are_pinned_and_have_no_root(file: Path) -> None:
    """Base images have a full version, and each image ends with a user that is not root."""
    stages = [words[1] for words in instructions(file) if words[0] == "FROM"]
    users = [words[1] for words in instructions(file) if words[0] == "USER"]
    assert [
        stage
        for stage in stages
        if stage not in ("base", "scratch") and not PINNED.fullmatch(stage.replace("-slim", ""))
    ] == []
    assert set(users) == {"10001:10001"}


def test_the_images_of_the_manifests_are_targets() -> None:
    """Each image of ours that a manifest uses is one that the container file makes, with the version of the project."""
    version = metadata.version("otel-ml")
    collector = yaml.safe_load((ROOT / "collector" / "builder.yaml").read_text(encoding="utf-8"))["dist"]["version"]
    made = {f"otel-ml-collector:{collector}", f"otel-ml-collector-gateway:{collector}"} | {
        f"otel-ml-{words[3]}:{version}"
        for words in instructions(OURS)
        if words[0] == "FROM" and words[3] not in ("base", "charts")
    }
    used = {
        container["image"]
        for folder in (".", "overlays/teams")
        for _, spec in workloads(kustomized(folder))
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        if container["image"].startswith("otel-ml")
    }
    text = (ROOT / "collector" / "Containerfile").read_text(encoding="utf-8")
    assert f"--build-arg TOOL=collector-gateway -t otel-ml-collector-gateway:{collector} ." in text
    assert "collector-gateway" in build.TOOLS
    assert used == made - {f"otel-ml-console:{version}"}


def test_what_is_installed_exists() -> None:
    """The extras and the group of dependencies that the images install are those of the project."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    text = OURS.read_text(encoding="utf-8")
    extras = {extra for each in re.findall(r"'\.\[([\w,-]+)\]'", text) for extra in each.split(",")}
    assert extras <= set(metadata.metadata("otel-ml").get_all("Provides-Extra"))
    assert {"gpu", "postgresql", "console"} <= extras
    for group in re.findall(r"--group (\w+)", text):
        assert re.search(rf"^{group} = \[", project, re.MULTILINE)


def test_the_programs_that_start_are_installed() -> None:
    """What an image starts comes with the project, or is named in the installation of its stage: fastapi brings no uvicorn."""
    stage, installed = "", {}
    for words in instructions(OURS):
        if words[0] == "FROM":
            stage = words[-1]
        elif words[:3] == ["RUN", "pip", "install"]:
            installed[stage] = words
        elif words[0] in ("CMD", "ENTRYPOINT"):
            program = json.loads(" ".join(words[1:]))[0]
            assert program == "otel-ml" or program in installed[stage], (stage, program)
    assert set(installed) == {"sampler", "console", "example"}
