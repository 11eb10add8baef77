"""The page "What is understood" says what the code does: its words, and each row of its tables.

Source: the return values and signatures of public prediction services, whose authors found no such list.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.responses import JSONResponse

import otel_ml
from otel_ml.prediction.boundary._result_names import _NO_ANSWER, PREDICTION_WORDS, SCORE_WORDS
from otel_ml.prediction.tracking._signature import NEVER, USUAL
from otel_ml.quality import column_key
from otel_ml.testing import InMemoryTelemetry

PAGE = (Path(__file__).parents[2] / "otel_ml" / "prediction" / "README.md").read_text(encoding="utf-8")
COLUMNS = {"age": [float(value % 50) for value in range(300)], "income": [float(value % 40) for value in range(300)]}
CODE = re.compile(r"`([^`]+)`")


@dataclass
class Person:
    age: float
    income: float


NAMES = {"np": np, "pd": pd, "Person": Person, "JSONResponse": JSONResponse}


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def words(title: str, start: str, end: str) -> set[str]:
    return set(CODE.findall(section(title).partition(start)[2].partition(end)[0]))


def blocks(title: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", section(title), flags=re.DOTALL | re.MULTILINE)


def test_the_names_of_arguments() -> None:
    """The names that hold features, in their order, and those that never do are those of the code."""
    page = section("Which argument is the features")
    usual = CODE.findall(page.partition("3. A usual name")[2].partition("\n4.")[0])
    never = words("Which argument is the features", "Never:", "For a profile")

    assert tuple(usual) == USUAL
    assert {column_key(name) for name in never - {"Depends", "Header", "Request"}} == NEVER


def test_the_words_of_results() -> None:
    """The words of a class and of a score, in their order without the plurals, and those that are no answer."""
    page = section("Results")
    of_class = CODE.findall(page.partition("strongest first:")[2].partition(". Words of a score")[0])
    of_score = CODE.findall(page.partition("Words of a score:")[2].partition(". Plurals")[0])

    assert [singular(word) for word in of_class] == unique(singular(word) for word in PREDICTION_WORDS)
    assert [singular(word) for word in of_score] == unique(singular(word) for word in SCORE_WORDS)
    assert words("Results", "These words never are:", "| task |") == _NO_ANSWER


def singular(word: str) -> str:
    plain = word.replace("_", "")
    return {"probabilities": "probability", "classes": "class", "class": "class"}.get(plain, plain.removesuffix("s"))


def unique(found: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("written", "features"), rows("Which argument is the features"))
def test_the_features_of_a_function(telemetry: InMemoryTelemetry, written: str, features: str) -> None:
    """The features of a call are the arguments that the row names."""
    written, features = written.strip("`"), features.strip("`")
    space: dict[str, Any] = {}
    exec(f"{written}:\n    return 1", space)
    function = space["predict"]
    given = {
        name: {"age": 1.0, "income": 2.0, "from": name}
        if name not in COLUMNS
        else float(list(COLUMNS).index(name)) + 1.0
        for name in inspect.signature(function).parameters
    }
    keywords = given.pop("row", {})
    model = otel_ml.Model("m", profile=otel_ml.ReferenceProfile.fit(COLUMNS), capture_features="all", events="all")
    called = model.track(function)(*given.values(), **keywords)
    if inspect.isawaitable(called):
        with pytest.raises(StopIteration):
            called.__await__().send(None)
    taken = json.loads(telemetry.events("ml.prediction")[0]["body"]).get("features")

    if features == "nothing":
        assert taken is None
    elif features == "age, income":
        assert taken == {"age": 1.0, "income": 2.0}
    else:
        assert taken == {"age": 1.0, "income": 2.0, "from": features.removeprefix("**")}


@pytest.mark.parametrize(
    ("written", "read"), [(code, row[1]) for row in rows("Shapes of features") for code in CODE.findall(row[0])]
)
def test_the_shapes_of_features(telemetry: InMemoryTelemetry, written: str, read: str) -> None:
    """Each shape is one row, several rows, or nothing."""
    features = eval(written, dict(NAMES))
    many = int(read[0]) if read[0].isdigit() else 0
    model = otel_ml.Model("m", task="binary", profile=otel_ml.ReferenceProfile.fit(COLUMNS), events="all")
    model.track(lambda features: [1] * many if many else 1)(features)
    body = json.loads(telemetry.events("ml.prediction")[0]["body"])
    found = [row["features"] for row in body["rows"]] if many else [body["features"]]

    assert (
        found
        == {
            "nothing": [{}],
            "one row": [{"age": 41.0, "income": 5.0}],
            "2 rows": [{"age": 41.0, "income": 5.0}, {"age": 30.0, "income": 6.0}],
        }[re.match(r"nothing|one row|2 rows", read)[0]]
    )


@pytest.mark.parametrize(("task", "written", "label", "value", "score"), rows("Results"))
def test_the_results(telemetry: InMemoryTelemetry, task: str, written: str, label: str, value: str, score: str) -> None:
    """Each result has the class, the value and the score of its row."""
    classes = re.search(r"`classes=(\[.*\])`", task)
    keywords = {"classes": ast.literal_eval(classes[1])} if classes else {}
    model = otel_ml.Model("m", task=re.match(r"\w+", task)[0], **keywords)
    result = eval(written.strip("`"), dict(NAMES))

    assert model.track(lambda features: result)({"age": 1.0}) is result

    attributes = telemetry.spans()[0]["attributes"]
    unread = telemetry.metrics().get("otelml.unrecognised.outputs", [])
    found = [attributes.get(f"ml.prediction.{name}") for name in ("class", "value", "score")]
    if label == "not read":
        assert (found, sum(point["value"] for point in unread)) == ([None] * 3, 1)
    else:
        assert found == [label or None, float(value) if value else None, float(score) if score else None]


@pytest.mark.parametrize(
    ("task", "written", "meaning"),
    [
        (row[0], code, CODE.findall(row[2]))
        for row in rows("Sets of classes and rankings")
        for code in CODE.findall(row[1])
    ],
)
def test_sets_and_rankings(telemetry: InMemoryTelemetry, task: str, written: str, meaning: list[str]) -> None:
    """Each form of a set of classes, and of a ranking, means what the last column says."""
    meant, *declared = meaning
    keywords = {"classes": ast.literal_eval(declared[0].removeprefix("classes="))} if declared else {}
    model = otel_ml.Model("m", task=task, **keywords)
    result = ast.literal_eval(written)

    assert model.track(lambda features: result)({"age": 1.0}) is result
    assert json.loads(telemetry.spans()[0]["attributes"]["ml.prediction.class"]) == ast.literal_eval(meant)


def test_the_remedies(telemetry: InMemoryTelemetry) -> None:
    """The code that tells otel-ml how to read a result runs and is read."""
    space: dict[str, Any] = {}
    exec(blocks("If it is not understood")[0], space)
    space["predict"]("c", {"age": 1.0})
    space["predict_many"]([{"age": 1.0}])
    space["predict_by_hand"]({"age": 1.0})

    assert [span["attributes"].get("ml.prediction.score") for span in telemetry.spans()] == [0.93, None, 0.93]
    assert sum(point["value"] for point in telemetry.metrics()["ml.predictions"]) == 3


def test_the_first_example(telemetry: InMemoryTelemetry) -> None:
    """The example at the top has the class and the score of its comment."""
    space: dict[str, Any] = {}
    exec(re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)[0], space)
    space["predict"]({"age": 1.0})
    attributes = telemetry.spans()[0]["attributes"]

    assert (attributes["ml.prediction.class"], attributes["ml.prediction.score"]) == ("1", 0.93)
