"""The steps from one prediction to the next: through the list it was opened from, else through its version."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import pytest
from console_feed import TRACE, batch, failure, label, logs, now, prediction, span, traces

from otel_ml import semconv
from otel_ml.console.storage.lists import _neighbours, _prediction_list
from otel_ml.console.storage.lists._conditions import Place
from otel_ml.console.storage.lists._prediction_filter import PredictionFilter

FIRST, SECOND = "aa" * 16, "bb" * 16
MS = 10**6


def page(console, address):
    answer = console.send(html.unescape(address))
    assert answer.status == 200, answer.body
    return answer.body.decode()


def links(text, kind):
    """The addresses of the links of a page with this relation."""
    return [html.unescape(each) for each in re.findall(rf'rel="{kind}"[^>]*href="([^"]+)"', text)]


def rows_of(console, listed):
    """The addresses that a list leads to, the first row first."""
    return [
        html.unescape(each) for each in re.findall(r'<td class="time"><a [^>]*href="([^"]+)"', page(console, listed))
    ]


def walked(console, address, kind):
    """The ids of the predictions on the way from one of them to the end of its list."""
    found = []
    while address:
        found.append(re.match(r"/predictions/([^?]+)", address)[1])
        assert len(found) < 20
        address = next(iter(links(page(console, address), kind)), None)
    return found


@pytest.fixture
def several(console):
    """Ten predictions of two versions in two regions; every third one is wrong, one has failed."""
    for number in range(10):
        features = {"region": "west" if number % 2 else "east", "age": number}
        version = {semconv.MODEL_VERSION: f"{number % 4 // 2}"}
        console.feed(logs(prediction(f"p-{number}", features=features, at=now() + number * MS, attributes=version)))
        console.feed(logs(label(f"p-{number}", correct=bool(number % 3))))
    console.feed(logs(failure("f-1", at=now() + 4 * MS)))
    return console


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ("truth=wrong", ["p-9", "p-6", "p-3", "p-0"]),
        ("truth=wrong&segment=region%3Dwest", ["p-9", "p-3"]),
        ("feature=region%3Dwest&feature=age%3E4", ["p-9", "p-7", "p-5"]),
        ("version=1", ["p-7", "p-6", "p-3", "p-2"]),
        ("failed=true", ["f-1"]),
        ("id=p-3", ["p-3"]),
        ("truth=right&model=fraud", ["p-8", "p-7", "p-5", "p-4", "p-2", "p-1"]),
    ],
)
def test_the_steps_go_through_the_filtered_list(several, filters, ids):
    """From its first row on, the page of each prediction leads to the next row; and all the way back."""
    rows = rows_of(several, f"/predictions?range=3d&{filters}")
    assert walked(several, rows[0], "prev") == ids
    assert walked(several, rows[-1], "next") == ids[::-1]


def test_the_page_says_which_list_its_steps_go_through(several):
    """The way back leads to the same list, with its filters and its range."""
    first = rows_of(several, "/predictions?range=6h&model=fraud&truth=wrong&limit=1&segment=region%3Dwest")[0]
    text = page(several, first)
    crumb = re.search(r'<p class="crumb"><a href="([^"]+)">([^<]+)</a>', text)
    assert html.unescape(crumb[1]) == "/predictions?model=fraud&range=6h&truth=wrong&segment=region%3Dwest"
    assert crumb[2] == "Predictions: truth wrong · segment region=west"
    assert '<option value="6h" selected>' in text


def test_without_a_filter_the_steps_go_through_the_version(several):
    """A list of all predictions leads to pages whose neighbours are of the same version."""
    rows = rows_of(several, "/predictions?range=3d&model=fraud")
    assert all("list=" not in row for row in rows)
    assert walked(several, rows[0], "prev") == ["p-9", "p-8", "p-5", "p-4", "p-1", "p-0"]


def test_a_list_that_ends_now_goes_on_beyond_its_start(several):
    """Somebody who reads for longer than the range still has neighbours; a fixed range bounds them."""
    hour = 3600
    several.feed(logs(prediction("p-old", at=now() - hour * 10**9)), logs(label("p-old", correct=False)))
    fixed = f"from={now() // 10**9 - 60}&to={now() // 10**9 + hour}"
    for window, older in (("range=5m", ["p-old"]), (fixed, [])):
        steps = links(page(several, f"/predictions/p-0?list={quote(f'{window}&truth=wrong')}"), "prev")
        assert [re.match(r"/predictions/([^?]+)", step)[1] for step in steps] == older


def test_a_click_on_a_span_stays_in_the_list(several):
    """The links of the spans keep the list, and so do its neighbours."""
    several.feed(traces(span(trace=TRACE, attributes={semconv.PREDICTION_ID: "p-9"})))
    text = page(several, rows_of(several, "/predictions?range=3d&truth=wrong")[0])
    (link,) = set(re.findall(r'href="([^"]+)#s-[^"]*">link to this span', text))
    assert walked(several, html.unescape(link), "prev")[1:] == ["p-6", "p-3", "p-0"]


def test_the_rows_of_batches_are_steps_of_their_own(console):
    """Rows that fit come in their order, across batches and predictions that are none; others are passed over."""
    for place, name in enumerate(("b-0", "b-1")):
        console.feed(logs(batch(name, size=4, at=now() + place * MS)))
    console.feed(logs(prediction("p-0", features={"age": 22}, outcome="0", at=now() + 2 * MS)))
    rows = rows_of(console, "/predictions?range=3d&feature=age%3E21")
    order = ["b-0.2", "b-0.3", "b-1.2", "b-1.3", "p-0"]
    assert walked(console, rows[0], "prev") == order[::-1]
    first = next(row for row in rows if "b-0.2" in row)
    assert walked(console, first, "next") == order


def test_a_row_that_does_not_fit_leads_out_of_its_batch(console):
    """The neighbours of a row that the list does not have are those of its batch in the list."""
    for place, name in enumerate(("b-0", "b-1", "b-2")):
        console.feed(logs(batch(name, size=4, at=now() + place * MS)))
    text = page(console, f"/predictions/b-1.0?list={quote('range=3d&feature=age>21')}")
    found = [each.partition("?")[0] for kind in ("prev", "next") for each in links(text, kind)]
    assert found == ["/predictions/b-0.3", "/predictions/b-2.2"]


def test_rare_ones_are_looked_for_towards_the_newest_too(several):
    """Slice by slice, each prediction once, also if they are a nanosecond apart."""
    for number in range(10):
        several.feed(
            logs(prediction(f"q-{number}", at=now() - MS**2 + number)), logs(label(f"q-{number}", correct=False))
        )
    wanted = PredictionFilter(truth="wrong", before=Place(now() - MS**2 - 1, "f" * 32), id="q-")
    with several.store.cursor() as cursor:
        found, following = _prediction_list.page(cursor, wanted, (3, 2, 100))
    assert ([row["prediction_id"] for row in found], following) == ([f"q-{number}" for number in range(10)], None)


def test_a_row_outside_of_a_list_of_rows_leads_to_those_beside_it(console):
    """Rows of a batch that was listed as one event are steps within the batch."""
    console.feed(logs(batch("b-0", size=3)))
    listed = f"list={quote('range=3d&version=1.0.0')}"
    text = page(console, f"/predictions/b-0.1?{listed}")
    assert [each.partition("?")[0] for each in links(text, "prev") + links(text, "next")] == [
        "/predictions/b-0.0",
        "/predictions/b-0.2",
    ]


def test_a_neighbour_that_is_far_away_is_looked_for_in_the_list(several, monkeypatch):
    """A page looks through some predictions only; then the step leads to the list, from there on."""
    monkeypatch.setattr(_neighbours, "_SLICES", (2,))
    text = page(several, rows_of(several, "/predictions?range=3d&truth=wrong")[1])
    (older,), (newer,) = links(text, "prev"), links(text, "next")
    assert [row.partition("?")[0] for row in rows_of(several, older)] == ["/predictions/p-3", "/predictions/p-0"]
    assert newer == "/predictions?range=3d&truth=wrong"


def test_a_list_that_is_no_list_is_refused(several):
    """An unknown or wrong parameter of it is a sentence, as on the page of the list."""
    for text in ("truth=odd", "color=red", "range=9y", "truth=wrong&truth=right", "min_score=x"):
        answer = several.send(f"/predictions/p-1?list={quote(text)}")
        assert (answer.status, "mistake" in answer.body.decode()) == (400, True)


def test_a_list_with_more_filters_than_an_address_holds_is_left_out(several):
    """Its predictions open with the neighbours of their version."""
    many = "&".join(f"feature=age%3E-{'1' * 30}{number}" for number in range(14))
    rows = rows_of(several, f"/predictions?range=3d&{many}")
    assert len(rows) == 10
    assert all("list=" not in row for row in rows)


def test_each_try_of_a_call_is_a_step_of_its_own(console):
    """Two tries under one id are two pages, each with its own trace; the steps visit both."""
    for place, (name, trace) in enumerate((("p-0", FIRST), ("p-1", FIRST), ("p-1", SECOND), ("p-2", SECOND))):
        console.feed(logs(prediction(name, trace=trace, at=now() + place * MS)))
    seen, address = [], f"/predictions/p-2?trace={SECOND}"
    while address:
        text = page(console, address)
        seen.append((re.search(r"<h1[^>]*>([^<]+)", text)[1], re.search(r'href="/traces/(\w+)"', text)[1]))
        address = next(iter(links(text, "prev")), None)
        assert len(seen) < 9
    assert seen == [("p-2", SECOND), ("p-1", SECOND), ("p-1", FIRST), ("p-0", FIRST)]


def test_a_row_of_each_try_of_a_batch_is_its_own(console):
    """The trace in the address of a row chooses among the tries of its batch, as it does for a prediction."""
    for place, trace in enumerate((FIRST, SECOND)):
        console.feed(logs(batch("b-0", trace=trace, at=now() + place * MS)))
    for trace in (FIRST, SECOND):
        text = page(console, f"/predictions/b-0.1?trace={trace}")
        assert re.search(r'href="/traces/(\w+)"', text)[1] == trace
        assert all(f"trace={trace}" in each for each in links(text, "prev") + links(text, "next"))


def test_filters_in_other_scripts_go_with_the_reader(console):
    """A letter of Cyrillic or Chinese is one character of the list's address, as in ASCII, not six or nine."""
    region, other = "Нижегородская область & край+100% " * 2, "东京都" * 20
    for number in range(3):
        features = {"region": region, "city": other, "age": number}
        console.feed(logs(prediction(f"p-{number}", features=features, at=now() + number * MS)))
    filters = "&".join(f"feature={quote(each)}" for each in (f"region={region}", f"city={other}", "age>0"))
    rows = rows_of(console, f"/predictions?range=3d&{filters}")
    assert walked(console, rows[0], "prev") == ["p-2", "p-1"]
    assert walked(console, rows[-1], "next") == ["p-1", "p-2"]
