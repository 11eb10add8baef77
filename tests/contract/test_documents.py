"""The documentation: what it promises is there, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
NAMED_HEADING = re.compile(r'"([A-Z][\w ]*)" (?:in|of) ([\w./-]+\.md)')
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


def documents() -> list[Path]:
    found = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    return [path for path in found if "node_modules" not in path.parts]


def relative_links(document: Path) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(document: Path) -> set[str]:
    """Returns the anchors that a document's headings have where the document is shown."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", document.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_broken(document: Path, link: str) -> bool:
    place, _, anchor = link.partition("#")
    target = document if not place else document.parent / place
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


def test_every_relative_link_resolves() -> None:
    """A link of a document leads to a file that exists, and to a heading that it has."""
    broken = [
        (str(document.relative_to(ROOT)), link)
        for document in documents()
        for link in relative_links(document)
        if is_broken(document, link)
    ]

    assert broken == []


def named_headings() -> Iterator[tuple[Path, str, str]]:
    """Yields file, heading and document of each comment such as `see "The queues" in README.md`."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yaml", ".yml", ".py") and path != Path(__file__):
                for heading, document in NAMED_HEADING.findall(path.read_text(encoding="utf-8")):
                    yield path, heading, document


def test_every_heading_that_a_comment_names_is_there() -> None:
    """A comment that sends a reader to a heading of a document names one that the document has."""
    named = list(named_headings())
    broken = [
        (str(path.relative_to(ROOT)), heading, document)
        for path, heading, document in named
        if all(
            is_broken(place, f"#{heading.lower().replace(' ', '-')}")
            for place in (path.parent / document, ROOT / document)
        )
    ]

    assert named != []
    assert broken == []


def settable_limits() -> Iterator[tuple[str, set[str]]]:
    """Yields each alert that thresholds.yaml names above limits, with the names of these limits."""
    text = (ROOT / "deploy" / "prometheus" / "thresholds.yaml").read_text(encoding="utf-8")
    limits = text[text.index("\nlimits:\n") : text.index("\nobjectives:\n")]
    for comment, keys in re.findall(r"((?:^  #.*\n)+)((?:^  \w+:.*\n)+)", limits, flags=re.MULTILINE):
        for alert in re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", comment.split(":")[0]):
            yield alert, set(re.findall(r"^  (\w+):", keys, flags=re.MULTILINE))


def test_the_runbook_says_which_limit_an_alert_has() -> None:
    """The entry of an alert whose limit can be set names the setting in the file of thresholds."""
    text = (ROOT / "deploy" / "runbook.md").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    limits = list(settable_limits())
    silent = [alert for alert, names in limits if not any(f"`{name}`" in entries[alert] for name in names)]

    assert len(limits) > 10
    assert silent == []


@pytest.mark.parametrize("name", WANTED)
def test_the_document_is_there(name: str) -> None:
    """Every page that the README sends a reader to exists and begins with its title."""
    assert (ROOT / name).read_text(encoding="utf-8").startswith("# ")


def test_the_readme_shows_how_to_run_the_tests() -> None:
    """The test command is written in the README."""
    assert "`make test`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_pictures_of_the_console_are_shown_and_small() -> None:
    """Each picture that `make screenshots` takes has its place in the gallery; together they stay below 1.5 MiB."""
    folder = ROOT / "examples" / "pictures"
    shown = set(re.findall(r"\(([\w-]+\.webp)\)", (folder / "README.md").read_text(encoding="utf-8")))
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.webp")}

    assert shown == set(sizes)
    assert max(sizes.values()) < 150 * 1024
    assert sum(sizes.values()) < 1536 * 1024


def test_the_readme_has_every_extra() -> None:
    """The table of extras names each one that can be installed, and no other."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("| extra |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([\w-]+)`", row.split("|")[1])}

    assert named == set(metadata("otel-ml").get_all("Provides-Extra") or ())
