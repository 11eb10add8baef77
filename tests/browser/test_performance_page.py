"""The page of performance in a real browser: from a wrong cell of the matrix to its predictions."""

from __future__ import annotations

import pytest
from console_feed import logs, metrics, now, prediction
from console_server import running
from pages_feed import feed_pages
from performance_feed import estimates, outcomes, scores
from playwright.sync_api import expect

from otel_ml.console._options import Options

SECOND = 10**9
DRAWING = 'import(document.querySelector("script[type=module]").src.replace("console", "drawing"))'


@pytest.fixture(scope="module")
def filled():
    """A console with labels, scores and estimates of a model."""
    with running(Options()) as started:
        feed_pages(started)
        started.feed(
            metrics(*outcomes(at=now() - 90 * SECOND, start=now() - 100 * SECOND), instance="two"),
            metrics(*estimates(at=now() - 90 * SECOND, start=now() - 100 * SECOND), instance="two"),
            metrics(*scores([9] * 50, [7] * 50)),
            logs(prediction("extra", at=now())),
        )
        yield started


def test_from_a_wrong_cell_to_its_predictions(filled, open_page, axe):
    """The charts are drawn from their tables, and a cell of the matrix is a link to what it counts."""
    page = open_page()
    reported = []
    page.on("console", lambda message: reported.append(message.text))
    page.goto(f"{filled.address}/performance?model=fraud&range=3d")
    expect(page.locator("figure[data-drawn]")).to_have_count(2)
    expect(page.locator("figure h2")).to_have_text(["Accuracy over time", "Calibration"])
    figure = page.locator("figure").first
    box = figure.locator(".plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + 40)
    assert axe(page) == []
    wrong = page.locator("table.matrix tbody tr").nth(1).locator("td a").first
    expect(wrong).to_have_text("165")
    wrong.click()
    page.wait_for_url("**/predictions?**class=0&label=1**")
    assert reported == []


@pytest.mark.parametrize(
    ("low", "scale"),
    [(0.9, [0.9, 0.05]), (0.8, [0.8, 0.05]), (0.5, [0.5, 0.1]), (0.4, [0.4, 0.2]), (0.3, [0.2, 0.2]), (0.1, [0, 0.2])],
)
def test_a_scale_up_to_one_has_round_steps(filled, open_page, low, scale):
    """Each step is as high as the others; a scale from 0.5 in steps of 0.2 had 0.5 and 0.6 beside each other."""
    page = open_page()
    page.goto(f"{filled.address}/performance?model=fraud&range=3d")
    found = page.evaluate(
        """async (low) => {
          const { overTime } = await DRAWING;
          const { min, max, interval } = overTime({ unit: "decimal", low, keys: [], series: [], events: [] }, {}).yAxis;
          return [min, interval, max];
        }""".replace("DRAWING", DRAWING),
        low,
    )
    assert found == [*scale, 1]


def test_the_last_bin_has_its_name(filled, open_page):
    """Of many bins not all have room for their names; the last one, of rare or unseen values, always has it."""
    page = open_page()
    page.goto(f"{filled.address}/performance?model=fraud&range=3d")
    found = page.evaluate(
        """async (names) => {
          const { bars } = await DRAWING;
          return names.map((keys) => bars({ keys, series: [], unit: "share" }, {}).xAxis.axisLabel)
            .map(({ showMaxLabel, alignMinLabel, alignMaxLabel }) => [showMaxLabel, alignMinLabel, alignMaxLabel]);
        }""".replace("DRAWING", DRAWING),
        [["0.0", "0.9"], ["0", "rare or unseen"]],
    )
    assert found == [[True, "center", "center"], [True, "left", "right"]]
