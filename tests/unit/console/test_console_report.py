"""The report of a model in a window: drift and performance as one page that needs no other file."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from console_feed import logs, metrics, prediction
from console_server import running
from performance_feed import estimates, outcomes, segments, training
from test_console_features import draw, exported, messages

from otel_ml.cli import main
from otel_ml.console._options import Options
from otel_ml.quality import ReferenceProfile

REGIONS = {
    "north": {"tp": 190, "tn": 190, "fp": 10, "fn": 10},
    "<b>west": {"tp": 60, "tn": 60, "fp": 40, "fn": 40},
}
DRIFTED = draw(2).assign(age=lambda frame: frame["age"] * 12, country="<img>")


@pytest.fixture(scope="module")
def console():
    """A console with a model whose data and performance became worse."""
    with running(Options()) as started:
        found = exported(ReferenceProfile.fit(draw(1, 10_000)), DRIFTED, "fraud")
        started.feed(
            metrics(*messages(found), instance="drift"),
            metrics(*outcomes(), *estimates(), *training(), *segments("region", REGIONS), instance="labels"),
            logs(prediction("p-1")),
        )
        yield started


@pytest.fixture(scope="module")
def answer(console):
    return console.send("/report?model=fraud&range=24h")


@pytest.fixture(scope="module")
def page(answer):
    return answer.body.decode("utf-8")


def test_the_report_has_what_was_found_first(page) -> None:
    """Worse figures, changed features and bad segments, each in one sentence."""
    assert re.findall(r"<li>(.*?)</li>", page.partition("<ul>")[2].partition("</ul>")[0]) == [
        "Performance of version 1.0.0: accuracy 0.800 is worse than 0.900 in training",
        "2 of 3 features changed: country, age",
        "Segments of version 1.0.0: 1 of 2 with a finding",
    ]


def test_figures_charts_and_tables_are_in_the_page(page) -> None:
    """The bins of a changed feature by name, the estimate, and values of the service as text."""
    card = page.partition("<h3>age ")[2].partition("</section>")[0]
    assert re.match(r"below [\d.]+", re.findall(r"<title>(.*?)</title>", card)[0])
    assert "PSI " in card
    assert "Estimate before labels, version 1.0.0" in page
    assert "&lt;b&gt;west" in page
    assert "<b>" not in page


def test_figures_of_a_column_line_up(page) -> None:
    """Figures have three decimals, also 0.8; numbers of things have none."""
    table = page.partition("<h2>Performance of version 1.0.0</h2>")[2].partition("</section>")[0]
    figures = re.findall(r"<td[^>]*>([\d.]+)</td><td>([^<]*)</td><td>([^<]*)</td>", table)
    assert figures[0] == ("0.800", "0.774 to 0.824", "0.900")
    segments = page.partition("<h2>Segments of version 1.0.0</h2>")[2].partition("</section>")[0]
    assert re.search(
        r">\d+</td><td class=.text.>\d+</td><td class=.text.>accuracy</td><td class=.text[^>]*>\d\.\d{3}<", segments
    )


def test_only_its_own_style_is_allowed(answer, page) -> None:
    """The policy names the digest of the style sheet in the page; no script can run and nothing can be loaded."""
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert answer.headers["content-security-policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script" not in page
    assert "style=" not in page


def test_the_file_to_keep_leads_nowhere(console, page) -> None:
    """The page has links back and to the file; the file has none, and a name from which no header can be made."""
    assert '<a href="/report?model=fraud&amp;range=24h&amp;save=1">Save as a file</a>' in page
    saved = console.send("/report?model=fraud&range=24h&save=1")
    assert saved.headers["content-disposition"] == 'attachment; filename="report-fraud.html"'
    assert "href=" not in saved.body.decode()
    odd = console.send("/report?model=a%2Fb%22%0D%0Ax&save=1")
    assert odd.headers["content-disposition"] == 'attachment; filename="report-a-b-x.html"'


def test_a_model_without_data_says_what_would_bring_it(console) -> None:
    """Neither a profile nor labels: the report is empty, and says so."""
    page = console.send("/report?model=other&range=24h").body.decode()
    assert "There is nothing to report yet." in page
    assert "Model(profile=...)" in page
    assert "GroundTruth" in page


def test_every_page_leads_to_the_report(console) -> None:
    """About the same model and range."""
    page = console.send("/performance?model=fraud&range=6h").body.decode()
    assert '<a href="/report?model=fraud&amp;range=6h">Report</a>' in page


def test_the_command_fetches_the_file(console, tmp_path, capsys) -> None:
    """The file is the one that the page offers; an unknown model is bad input."""
    output = tmp_path / "r.html"
    command = ["report", "--from-console", console.address, "--output", str(output), "--model"]
    assert main([*command, "fraud", "--since", "24h"]) == 0
    assert "Performance of version 1.0.0: accuracy 0.800 is worse" in output.read_text(encoding="utf-8")
    assert "href=" not in output.read_text(encoding="utf-8")

    output.unlink()
    assert main([*command, "fraudd"]) == 2
    assert main([*command, "fraud", "--since", "2026-01-01", "--until", "2026-01-02"]) == 2
    assert main(["report", "--from-console", "http://127.0.0.1:1", "--model", "m"]) == 2
    assert main(["report", "--from-console", console.address]) == 2
    lines = capsys.readouterr().err.splitlines()
    unknown = "otel-ml report: no record of the model 'fraud{}' in this time (--since, --until); models: {}"
    assert lines[:2] == [unknown.format("d", "'fraud'"), unknown.format("", "none")]
    assert not output.exists()
    assert lines[2].startswith("otel-ml report: no console answers at http://127.0.0.1:1: ")
    assert lines[3] == "otel-ml report: --from-console needs --model"
