"""The report: drift and performance as one page, from frames and files."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from otel_ml import ReferenceProfile
from otel_ml.cli import main

ROWS = 3000


def draw(seed: int, shift: float = 0.0, wrong: float = 0.1) -> pd.DataFrame:
    """Returns rows with a score and a label; the score is right except for a share of the rows."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40 + shift, 12, ROWS)
    label = (age > 40).astype(int)
    score = np.where(rng.random(ROWS) < wrong, 1 - label, label) * 0.8 + 0.1
    country = rng.choice(["at", "<b>de</b>"], ROWS)
    return pd.DataFrame({"age": age, "country": country, "score": score, "label": label})


@pytest.fixture(scope="module")
def profile() -> ReferenceProfile:
    return ReferenceProfile.fit(draw(1), "score", "label")


@pytest.fixture(scope="module")
def drifted(profile: ReferenceProfile) -> str:
    return profile.compare(draw(2, shift=20, wrong=0.3), score="score", label="label")._repr_html_()


def attention(page: str) -> list[str]:
    """Returns what the page says first."""
    part = page.partition("<section")[2].partition("</section>")[0]
    return re.findall(r"<li>(.*?)</li>", part) or re.findall(r"<h2>(.*?)</h2>", part)


def test_the_report_begins_with_what_was_found(drifted: str) -> None:
    """Figures that are worse than in training come first, then the features that changed."""
    first, *_ = found = attention(drifted)

    assert re.fullmatch(r"Performance: accuracy 0\.[67]\d* is worse than 0\.[89]\d* in training", first)
    assert found[-1] == "2 of 4 features changed: age, labels"


def test_data_as_in_training_has_no_findings(profile: ReferenceProfile) -> None:
    """The figures are there, and the page says that nothing was found."""
    page = profile.compare(draw(3), score="score", label="label")._repr_html_()

    assert attention(page) == ["Nothing was found."]
    assert "What changed" not in page
    assert ">accuracy<" in page


def test_each_changed_feature_has_its_bins_by_name(drifted: str) -> None:
    """The first and last bin have no end; shares of the window and of training stand beside the bars."""
    card = drifted.partition("<h3>age ")[2].partition("</section>")[0]
    names = re.findall(r"<title>(.*?)</title>", card)

    assert re.fullmatch(r"below [\d.]+", names[0])
    assert re.fullmatch(r"[\d.]+ to [\d.]+", names[1])
    assert re.fullmatch(r"[\d.]+ or more", names[-1])
    assert re.search(r'>\d+\.\d % <tspan class="quiet">/ 10\.0 %<', card)


def test_without_a_label_the_report_has_no_performance(profile: ReferenceProfile) -> None:
    """Labels may come later; so may labels of another kind, which give no figures and no error."""
    rows = draw(2)
    assert profile.compare(rows, score="score").performance is None
    assert profile.compare(rows.assign(label=None), score="score", label="label").performance is None


def test_performance_from_predicted_classes(profile: ReferenceProfile) -> None:
    """A column with the predicted class is enough."""
    rows = draw(2)
    found = profile.compare(rows.assign(guess=rows["label"]), label="label", prediction="guess")

    assert found.performance is not None
    assert found.performance.figures["accuracy"] == 1.0
    assert found.trained == profile.performance
    assert found.to_dict()["performance"]["rows"] == ROWS


class Page(HTMLParser):
    """Collects what could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_the_command_writes_one_page_from_files(profile: ReferenceProfile, tmp_path: Path, ending: str) -> None:
    """It loads nothing, runs nothing and has the figures that the frame gives, also from text files."""
    rows = draw(2, shift=20)
    profile.save(tmp_path / "p.json")
    rows.to_parquet(tmp_path / "d.parquet") if ending == "parquet" else rows.to_csv(tmp_path / "d.csv", index=False)
    command = f"report --profile {tmp_path}/p.json --data {tmp_path}/d.{ending} --score score --label label"
    assert main([*command.split(), "--output", str(tmp_path / "r.html"), "--title", "June <now>"]) == 0
    page, parsed = (tmp_path / "r.html").read_text(), Page()
    parsed.feed(page)
    expected = profile.compare(rows, score="score", label="label")._repr_html_()

    assert page.count("June &lt;now&gt;") == 2
    assert page.partition("</dl>")[2].startswith(expected.partition("</dl>")[2].rstrip())
    assert parsed.tags.isdisjoint({"script", "link", "img", "iframe", "b", "a", "object"})
    assert parsed.attributes.isdisjoint({"src", "href", "style", "onerror", "onclick", "onload"})
    assert "url(" not in page
    assert "@import" not in page


def test_the_command_says_what_the_page_lacks(
    profile: ReferenceProfile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a label it is a report on drift; `--json` prints the figures too."""
    profile.save(tmp_path / "p.json")
    draw(2).to_csv(tmp_path / "d.csv", index=False)
    output = tmp_path / "r.html"
    command = f"report --profile {tmp_path}/p.json --data {tmp_path}/d.csv --score score --output {output} --json"
    assert main(command.split()) == 0
    shown = capsys.readouterr()

    assert shown.err.endswith("no performance: it needs --label, and --score or --prediction\n")
    assert json.loads(shown.out)["rows"] == ROWS
    assert f"Drift of {tmp_path}/d.csv" in output.read_text()
