"""The overview and the page of a model, and what all pages share, in a real browser."""

from __future__ import annotations

import re
import time

import pytest
from console_feed import logs, now, prediction, span, traces
from console_server import running
from page_steps import update
from playwright.sync_api import expect
from reserved_ports import free_port

from otel_ml import semconv
from otel_ml.console._options import Options
from otel_ml.console.web.pages._prediction_list import COLUMNS


def test_the_overview_says_first_what_needs_attention(visit):
    """Errors, a changed feature, performance below training and a failing service come first, each with a link."""
    page = visit("/")
    texts = page.locator(".alerts li").all_inner_texts()
    assert [re.sub(r"\s+", " ", text) for text in texts] == [
        "bad fraud 1 feature changed income drifted",
        "bad fraud 5.9 % of calls fail 5 of 85 calls",
        "bad fraud accuracy is 0.800 training 0.900; beyond noise",
        "bad plain-web 11.1 % of requests fail 3 of 27",
    ]
    page.click(".alerts >> text=feature changed")
    page.wait_for_url("**/data?model=fraud**")
    expect(page.locator("tbody tr").first).to_contain_text("income")


def test_the_reason_of_an_alert_leads_on_too(visit):
    """All words of a line are its link."""
    page = visit("/")
    page.click(".alerts .why >> text=3 of 27")
    page.wait_for_url("**/requests?**service=plain-web**")


@pytest.mark.parametrize("width", [1180, 1024])
def test_the_tables_of_the_overview_fit_a_narrower_window(visit, width):
    """Their heads break into two lines before a table is cut off at the side."""
    page = visit("/", viewport={"width": width, "height": 900})
    widths = page.eval_on_selector_all(".scroll", "all => all.map(each => [each.scrollWidth, each.clientWidth])")
    assert widths
    assert all(needed <= there for needed, there in widths)


def test_the_longest_verdict_fits_its_tile(visit):
    """`out of range` takes two lines in the strip of figures rather than lose its end."""
    page = visit("/model?model=fraud")
    needed, there = page.eval_on_selector(
        ".strip .verdict",
        """each => {
          each.append(" out of range and more");
          return [each.parentNode.scrollWidth, each.parentNode.clientWidth];
        }""",
    )
    assert needed <= there


def test_the_overview_has_every_model_and_every_service(visit):
    """A model has traffic, errors, durations, verdict, performance and estimate; a service without a model is there."""
    page = visit("/")
    cells = page.locator("section:has(h2:text-is('Models'))").locator("tbody tr").first.locator("td").all_inner_texts()
    found = [re.sub(r"\s+", " ", cell).strip() for cell in cells]
    assert found[0] == "fraud 1.0.0 2.0.0 canary"
    assert found[1:5] == ["80", "5.9 %", "4.00 ms / 4.00 ms / 4.00 ms", "drifted 1 of 2"]
    assert found[5].startswith("accuracy 0.800 0.7")
    assert found[6].startswith("0.890 0.8")
    expect(page.locator("section:has(h2:text-is('Models'))").locator(".spark")).to_have_count(1)
    plain = page.locator("section", has_text="Services").locator("tr", has_text="plain-web")
    expect(plain).to_contain_text("11.1 %")
    expect(plain.locator("td").nth(3)).to_have_text("4")
    expect(plain).to_contain_text("none")


def test_a_click_on_a_model_shows_its_charts(visit):
    """Each chart is drawn, has a description, and shows the numbers that it is drawn from on demand."""
    page = visit("/")
    page.click("section:has(h2:text('Models')) tbody a >> nth=0")
    page.wait_for_url("**/model?model=fraud**")
    figures = page.locator("figure.chart[data-drawn]")
    expect(figures).to_have_count(6)
    expect(page.locator("figure h2")).to_have_text([
        "Traffic", "Errors", "Duration", "Durations of all calls", "Scores", "Classes",
    ])  # fmt: skip
    assert "Chart: Traffic" in page.locator(".plot").first.get_attribute("aria-label")
    first = figures.first
    expect(first.locator("table")).to_be_hidden()
    first.locator("button").click()
    expect(first.locator("table")).to_be_visible()
    assert page.locator("#events li").all_inner_texts()[-1].endswith("first TimeoutError")
    expect(page.locator("section", has_text="Versions and roles").locator("tbody tr")).to_have_count(2)
    expect(page.locator("section", has_text="Stages").locator("tbody td").nth(1)).to_have_text("100")


def test_a_chart_explains_itself_under_the_mouse(console, open_page):
    """The hint under the mouse has a sender's names as text and breaks no policy of the page: apache/echarts#19938."""
    name = "<img src=x onerror='window.canary=1'>"
    now, version = time.time_ns(), {semconv.MODEL_VERSION: name}
    console.feed(
        logs(
            *(
                prediction(f"p-{index}", outcome=name, attributes=version, at=now - index * 10**9)
                for index in range(300)
            )
        )
    )
    page = open_page()
    reported = []
    page.on("console", lambda message: reported.append(message.text))
    page.goto(f"{console.address}/model?model=fraud&range=5m")
    for title in ("Traffic", "Durations of all calls", "Scores", "Classes"):
        figure = page.locator("figure[data-drawn]").filter(has=page.locator(f"h2:text-is('{title}')"))
        figure.scroll_into_view_if_needed()
        box = figure.locator(".plot").bounding_box()
        hint = figure.locator(".hint")
        for step in range(20):
            page.mouse.move(box["x"] + box["width"] * (0.5 + step / 50), box["y"] + box["height"] * 0.5)
            if hint.count() and hint.is_visible():
                break
        expect(hint).to_contain_text("ms" if title.startswith("Durations") else name)
    assert (page.evaluate("window.canary"), reported) == (None, [])


def test_from_an_alarm_to_the_prediction_that_failed(visit):
    """Clicks alone lead from the overview over the kind of error to the newest prediction that failed."""
    page = visit("/")
    page.click(".alerts >> text=of calls fail")
    page.wait_for_url("**/model?**")
    page.click("section:has(h2:text('Errors')) tbody a")
    page.wait_for_url("**/predictions/f-4")
    expect(page.locator(".strip")).to_contain_text("TimeoutError")


def test_model_and_range_stay_from_page_to_page(visit):
    """The bar's choice is in the address, and every link of the navigation keeps it."""
    page = visit("/model?model=fraud")
    page.select_option("select[name=range]", "6h")
    page.wait_for_url("**/model?model=fraud&range=6h")
    page.click("nav >> text=Data")
    page.wait_for_url("**/data?model=fraud&range=6h")
    for name, address in (
        ("Predictions", "**/predictions?model=fraud&range=6h"),
        ("Overview", "**/?range=6h"),
    ):
        page.click(f"nav >> text={name}")
        page.wait_for_url(address)
        expect(page.locator("select[name=range]")).to_have_value("6h")


def test_dragging_over_a_chart_chooses_the_range(visit):
    """From where the mouse went down to where it went up is the range of the page."""
    page = visit("/model?model=fraud&range=6h")
    expect(page.locator("figure.chart[data-drawn]").first).to_be_visible()
    box = page.locator("figure.chart .plot").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.6, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, middle)
    page.mouse.up()
    page.wait_for_url("**/model?model=fraud&from=*&to=*")
    expect(page.locator("select[name=range] option:checked")).to_have_text("Chosen range")
    assert page.get_attribute("nav >> text=Data", "href").count("from=") == 1


def test_a_range_is_typed_in_local_time_and_kept_for_another_model(visit):
    """Start and end are typed in the zone of the reader, stand in the bar, and stay (Arize-ai/phoenix#6018)."""
    page = visit("/model?model=fraud&range=6h", timezone_id="Asia/Tokyo")
    page.click(".period summary")
    page.fill(".period input[name=from]", "2026-01-02T10:00:00")
    page.fill(".period input[name=to]", "2026-01-02T11:30:00")
    page.click(".period button")
    page.wait_for_url("**/model?model=fraud&from=2026-01-02T01*&to=2026-01-02T02*")
    expect(page.locator(".period summary")).to_contain_text("10:00:00 to ")
    page.select_option("select[name=model]", "")
    page.wait_for_url("**/model?from=2026-01-02T01*&to=2026-01-02T02*")
    page.select_option("select[name=range]", "3d")
    page.wait_for_url("**/model?model=fraud&range=3d")


def test_times_are_shown_in_utc_on_demand(visit):
    """A click shows all times in UTC, and the next page has them too (Arize-ai/phoenix#9600)."""
    page = visit("/?from=2026-01-02T10:00:00&to=2026-01-02T11:00:00", timezone_id="Asia/Tokyo")
    expect(page.locator(".head .note")).to_contain_text("19:00:00 to ")
    page.click("#zones")
    expect(page.locator(".head .note")).to_contain_text("10:00:00 to ")
    page.click("nav >> text=Logs")
    page.wait_for_url("**/logs?**")
    expect(page.locator(".head .note")).to_contain_text("10:00:00 to ")
    expect(page.locator("footer")).to_contain_text("Times are UTC.")


def test_a_range_of_ones_own_is_fixed(visit):
    """With start and end in the address the page shows what lay between, and does not update."""
    page = visit("/model?model=fraud&from=2020-01-01T00:00&to=2020-01-02T00:00")
    expect(page.locator(".empty")).to_contain_text("fraud has not predicted in this time")
    expect(page.locator("#state")).to_be_disabled()
    assert "from=2020-01-01T00" in page.get_attribute("nav >> text=Data", "href")


def test_the_search_finds_ids_and_models(visit):
    """A slash leads to the field; prediction, trace and model are found, and a sentence says if nothing is."""
    page = visit("/")
    for text, address in (
        ("p-3", "**/predictions/p-3"),
        ("fraud", "**/model?model=fraud"),
        ("EE" * 16, f"**/predictions?range=3d&trace_id={'ee' * 16}"),
    ):
        page.keyboard.press("/")
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        page.wait_for_url(address)
    assert page.request.get(page.url.split("/predictions")[0] + "/search?q=nothing").status == 404


def test_keys_go_through_a_list(visit):
    """J, k and the arrows move the focus, Enter opens, and a question mark shows the keys."""
    page = visit("/predictions")
    for key in ("j", "j", "ArrowDown", "k"):
        page.keyboard.press(key)
    second = page.locator("tbody tr").nth(1).locator("a").first
    expect(second).to_be_focused()
    target = second.get_attribute("href")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    second.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{target}")


def test_times_are_local_and_say_utc_on_hover(visit):
    """The browser's time zone applies to all times, and their titles have UTC: SigNoz/signoz#9696, grafana/grafana#38979."""
    page = visit("/predictions/p-1", timezone_id="Asia/Kolkata")
    shown = page.locator(".strip time").first
    assert re.fullmatch(r"\d\d:\d\d:\d\d", shown.inner_text())
    assert shown.get_attribute("title").endswith(" UTC")
    assert shown.inner_text() != shown.get_attribute("title")[11:19]
    expect(page.locator("#zone")).to_contain_text("Asia/")


def test_colours_follow_the_system_or_the_choice(visit):
    """A dark system gives a dark page, and the chosen colours stay on the next page: microsoft/aspire#690."""
    page = visit("/", color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.click("#theme")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    light = page.evaluate(background)
    assert dark != light
    page.click("nav >> text=Predictions")
    page.wait_for_url("**/predictions**")
    assert page.evaluate(background) == light
    expect(page.locator("#theme")).to_contain_text("Light")


# whether a chart has a line of this colour
_IS_DRAWN = """colour => {
  const canvas = document.querySelector("figure canvas");
  if (!canvas) return false;
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const pixels = context.getImageData(0, 0, copy.width, copy.height).data;
  let found = 0;
  for (let at = 0; at < pixels.length; at += 4) {
    if (colour.every((part, place) => pixels[at + place] === part) && pixels[at + 3] === 255) found += 1;
  }
  return found > 100;
}"""
_LIGHT_LINE, _DARK_LINE = [225, 229, 236], [43, 48, 58]


def test_paper_is_light(visit):
    """A page that somebody chose dark is printed dark on light, charts too, and without what can only be clicked.

    Source: evidence-dev/evidence#2970.
    """
    page = visit("/model?model=fraud")
    for _ in range(2):
        page.click("#theme")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.wait_for_function(_IS_DRAWN, arg=_DARK_LINE)
    page.emulate_media(media="print")
    page.wait_for_function(_IS_DRAWN, arg=_LIGHT_LINE)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(27, 33, 48)"
    for gone in (".top", ".pages", ".toggle >> nth=0"):
        expect(page.locator(gone)).to_be_hidden()
    page.emulate_media(media="screen")
    page.wait_for_function(_IS_DRAWN, arg=_DARK_LINE)


def test_pages_work_without_scripts(visit):
    """Tables take the place of charts, and the bar has a button."""
    page = visit("/model?model=fraud", java_script_enabled=False)
    expect(page.locator("figure table").first).to_be_visible()
    expect(page.locator("figure .plot").first).to_be_hidden()
    page.select_option("select[name=range]", "24h")
    page.click("text=Show")
    page.wait_for_url("**/model?model=fraud&range=24h")


_PLACE = "document.activeElement.getBoundingClientRect().top"
_IS_THERE = f"place => Math.abs({_PLACE} - place) < 2"


def test_an_update_keeps_focus_and_scroll(console, open_page):
    """New records appear; focus and scroll stay: opnsense/core#821, kubernetes-retired/dashboard#5099, OctopusDeploy/Issues#4361."""
    console.feed(logs(*(prediction(f"p-{index}", at=now() - index) for index in range(70))))
    page = open_page(viewport={"width": 641, "height": 800})
    columns = "&".join(f"column={name}" for name in COLUMNS)
    page.goto(f"{console.address}/predictions?{columns}")
    page.evaluate("window.same = true")
    link = page.locator("tbody tr").nth(40).locator("a").first
    link.focus()
    page.evaluate("document.querySelector('.scroll').scrollLeft = 40")
    before, place = link.get_attribute("href"), page.evaluate(_PLACE)
    console.feed(logs(prediction("newest", at=now() + 1)))
    update(page)
    expect(page.locator("tbody tr")).to_have_count(71)
    assert page.evaluate("document.activeElement.getAttribute('href')") == before
    page.wait_for_function(_IS_THERE, arg=place)
    assert page.evaluate("window.same")
    assert page.evaluate("document.querySelector('.scroll').scrollLeft") == 40


def test_an_update_keeps_charts_and_open_tables(console, open_page):
    """The drawing stays the same element, and a table that was opened stays open and has the new numbers."""
    console.feed(logs(*(prediction(f"p-{index}", at=now() - index) for index in range(9))))
    page = open_page()
    page.goto(f"{console.address}/model?model=fraud&range=6h")
    figure = page.locator("figure[data-drawn]", has_text="Scores")
    figure.locator(".toggle").click()
    page.evaluate("document.querySelectorAll('canvas').forEach((each) => { each.isOld = true; })")
    console.feed(logs(*(prediction(f"new-{index}", score=0.1, at=now() - index) for index in range(9))))
    update(page)
    expect(page.locator(".strip")).to_contain_text("in 18 calls")
    assert page.evaluate("[...document.querySelectorAll('canvas')].every((each) => each.isOld)")
    expect(figure.locator("tbody tr").nth(2)).to_contain_text("50.0 %")
    expect(figure.locator(".toggle")).to_be_focused()


def test_the_page_says_when_the_console_is_gone_and_back(open_page):
    """A console that ended is named with its time; once it is started again the note goes and new records appear."""
    page, port = open_page(), free_port()
    with running(Options(), port=port) as console:
        console.feed(traces(span()), logs(prediction()))
        page.goto(f"{console.address}/predictions")
        expect(page.locator("#state[data-kind=live]")).to_be_visible()
    update(page)
    expect(page.locator("#gone")).to_contain_text(re.compile(r"does not answer since \d"))
    expect(page.locator("#state")).to_have_text("No answer")
    expect(page.locator("a[href^='/predictions/p-1']")).to_be_visible()
    with running(Options(), port=port) as console:
        console.feed(logs(prediction("back")))
        update(page)
        expect(page.locator("a[href^='/predictions/back']")).to_be_visible()
        expect(page.locator("#gone")).to_be_hidden()
