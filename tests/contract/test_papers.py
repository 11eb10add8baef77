"""The papers of the house: what they promise is there, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
FOLDERS = ("collector", "deploy", "examples", "otel_ml", "tests")
WANTED = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "otel_ml/GUIDE.md",
    "otel_ml/README.md",
    "otel_ml/REFERENCE.md",
    "tests/README.md",
    "tests/benchmarks/README.md",
    "tests/faults/README.md",
    "tests/field/README.md",
]


def papers() -> list[Path]:
    found = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    return [path for path in found if "node_modules" not in path.parts]


def relative_links(paper: Path) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", paper.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(paper: Path) -> set[str]:
    """Returns the anchors that a paper's headings have where the paper is shown."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", paper.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_broken(paper: Path, link: str) -> bool:
    place, _, anchor = link.partition("#")
    target = paper if not place else paper.parent / place
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


def test_every_relative_link_resolves() -> None:
    """A link of a paper leads to a file that exists, and to a heading that it has."""
    broken = [
        (str(paper.relative_to(ROOT)), link)
        for paper in papers()
        for link in relative_links(paper)
        if is_broken(paper, link)
    ]

    assert broken == []


@pytest.mark.parametrize("name", WANTED)
def test_the_paper_is_there(name: str) -> None:
    """Every page that the README sends a reader to exists and begins with its title."""
    assert (ROOT / name).read_text(encoding="utf-8").startswith("# ")


def test_the_readme_shows_how_to_run_the_tests() -> None:
    """The test command is written in the README."""
    assert "`make test`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_no_image_by_a_relative_address() -> None:
    """A package index shows the README too, and cannot resolve the address."""
    images = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))

    assert [address for address in images if not address.startswith("https://")] == []
