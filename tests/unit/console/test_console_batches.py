"""The rows of a batch that its event does not have, and batches whose rows are not paired."""

from __future__ import annotations

import json

from console_feed import batch, label, logs


def large_batch():
    """An event of 1,000 rows, of which it has 2."""
    event = batch(size=1000)
    rows = [{"id": f"r{index}", "prediction": "0"} for index in range(2)]
    event.body.string_value = json.dumps({"rows": rows, "rows_omitted": 998})
    return event


def test_the_page_says_how_many_rows_are_left_out(console):
    """The note of the event is on the page and in the API."""
    console.feed(logs(large_batch()))

    assert console.get("/api/predictions/b-1")["event"]["rows_omitted"] == 998
    assert "998 more rows counted in the metrics" in console.send("/predictions/b-1").body.decode()


def test_the_page_says_how_many_features_are_left_out(console):
    """The table of a batch has the first six features, and a row all of them."""
    event = batch(size=2)
    rows = [{"features": {f"f{column}": 1 for column in range(8)}, "prediction": "0"}] * 2
    event.body.string_value = json.dumps({"rows": rows})
    console.feed(logs(event))

    page = console.send("/predictions/b-1").body.decode()
    assert "<th>f5</th>" in page
    assert "<th>f6</th>" not in page
    assert "2 more features: a click on a row shows all of them." in page
    assert "f7" in console.send("/predictions/b-1.0").body.decode()


def test_a_row_that_is_left_out_says_so_and_shows_its_label(console):
    """Its id leads to its batch by the number of the row, or by the span of its label."""
    console.feed(logs(large_batch(), label("r500", "0"), label("b-1.700", "1")))

    for wanted, value in (("r500", "0"), ("b-1.700", "1")):
        found = console.get(f"/api/predictions/{wanted}")
        assert (found["prediction"]["id"], found["row"], found["row_omitted"]) == ("b-1", None, True)
        assert found["label"]["value"] == value
        text = console.send(f"/predictions/{wanted}").body.decode()
        assert f"<code>{wanted}</code> is not in the event" in text
    assert "has not arrived" in console.send("/predictions/b-1.999").body.decode()


def test_a_row_that_cannot_exist_is_not_found(console):
    """A number beyond the batch and an id without a label are 404, and the page names the reason."""
    console.feed(logs(large_batch()))

    for wanted in ("b-1.1000", "b-1." + "9" * 5000, "r500"):
        assert console.send(f"/api/predictions/{wanted}").status == 404
    assert "beyond the first 100 of a batch" in console.send("/predictions/r500").body.decode()


def test_the_page_says_that_rows_are_not_paired(console):
    """The rows of an unpaired batch have no pages of their own."""
    event = batch(size=2)
    event.body.string_value = json.dumps(
        {"rows": [{"prediction": "0"}] * 2, "unpaired": {"outputs": 2, "inputs": 3, "ids": 3}}
    )
    console.feed(logs(event))
    text = console.send("/predictions/b-1").body.decode()

    assert "3 inputs, 3 ids, 2 outputs" in text
    assert "/predictions/b-1.0" not in text
