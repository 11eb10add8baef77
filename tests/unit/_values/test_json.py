"""JSON texts of events."""

from __future__ import annotations

import json

import numpy as np
import pytest
from value_samples import INF, NAN

from otel_ml._values import TEXT_LIMIT, json_texts


def test_json_text_of_an_event():
    """A body is compact JSON, with null for NaN and infinities."""
    body = {"features": {"age": 31, "name": "größe\n"}, "prediction": "1", "score": NAN, "other": INF}
    assert json_texts.json_text(body) == (
        '{"features":{"age":31,"name":"größe\\n"},"prediction":"1","score":null,"other":null}'
    )


JSON = [
    (None, "null"),
    (1.5, "1.5"),
    ("\ud800\x7f", '"\ufffd\ufffd"'),
    ({"a": "\ud800\x7f"}, '{"a":"\ufffd\ufffd"}'),
    ({"\udfff": 1}, '{"\ufffd":1}'),
    ({"a": 10**5000}, '{"a":null}'),
    ({"a": 2**70}, '{"a":1180591620717411303424}'),
    ({1: 2, None: 3}, '{"1":2,"null":3}'),
    ({"a": np.float32(0.5)}, '{"a":0.5}'),
    ({"rows": [{"a": 1}, {"a": NAN}]}, '{"rows":[{"a":1},{"a":null}]}'),
    (object(), "null"),
]


@pytest.mark.parametrize(("value", "expected"), JSON, ids=lambda value: type(value).__name__)
def test_json_text(value, expected):
    """Any value gives valid JSON in valid UTF-8."""
    assert json_texts.json_text(value) == expected


def test_json_text_drops_the_largest_features_first():
    """A body that is too long drops its largest features, keeps the outcome and is marked as truncated."""
    features = {f"f{i}": "x" * (10 * i) for i in range(10)}
    actual = json.loads(json_texts.json_text({"features": features, "prediction": "1", "score": 0.5}, limit=200))
    assert actual == {
        "features": {f"f{i}": "x" * (10 * i) for i in range(4)},
        "prediction": "1",
        "score": 0.5,
        "truncated": True,
    }


def test_json_text_drops_the_last_rows_first():
    """The rows of a batch keep their positions: rows are dropped from the end."""
    rows = [{"a": i, "b": "é"} for i in range(100)]
    actual = json.loads(json_texts.json_text({"rows": rows, "rows_total": 100}, limit=150))
    assert actual == {"rows": rows[: len(actual["rows"])], "rows_total": 100, "truncated": True}
    assert 0 < len(actual["rows"]) < 10


@pytest.mark.parametrize("limit", [18, 19, 40, 100, 1000, 65536])
@pytest.mark.parametrize(
    "value",
    [
        "é" * 10_000_000,
        ["x" * 100] * 10_000,
        {"a": "x" * 10_000_000},
        {f"f{i}": i for i in range(10_000)},
        {"é" * 200: 1},
    ],
    ids=["text", "list", "one", "many", "key"],
)
def test_json_text_keeps_to_its_limit(value, limit):
    """The text has at most that many bytes and is JSON."""
    written = json_texts.json_text(value, limit=limit)
    json.loads(written)
    assert len(written.encode("utf-8")) <= limit


def test_json_without_the_c_encoder_is_the_same(monkeypatch):
    """Without the C encoder of the interpreter the text is the same."""
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    value = {"a": [1.5, "é\n", None, True], "b": {}}
    assert json_texts._make_encoder()(value) == json_texts._encode(value)


def test_the_encoder_refuses_what_it_does_not_know():
    """An object that was not cleaned raises; its own text is never used."""
    with pytest.raises(TypeError, match="object"):
        json_texts._encode(object())


def test_a_name_that_claims_to_equal_a_clean_one_is_cleaned_without_orjson(monkeypatch):
    """A subclass of str that claims to equal a clean name is cleaned."""

    class Always(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, _):
            return True

    monkeypatch.setattr(json_texts, "_quick", None)
    written = json_texts.flat_json({"features": {Always("x" * 300 + "\x00"): 1.0}, "score": 0.5})
    ((name, value),) = json.loads(written)["features"].items()

    assert (name.isprintable(), len(name) <= TEXT_LIMIT, value) == (True, True, 1.0)
