"""A sensitive column stays in the process under any name that it has on its way.

Sources: EdwinWenink/udacity-ml-fastapi (a pydantic field `native_country` with the alias `native-country`), jainal09/envdrift#658
(an aliased sensitive field is looked up by its field name), 567-labs/instructor#2491 and microsoft/simplechat#1270 (case and hyphen
variants of a name are not withheld), papi-ux/polaris#465 (prefixed, camel case and run-together names), permitio/opal#921 and
oceanbase/powercontext#1230 (models inside a payload reach the log by their repr), IBM/ai-privacy-toolkit#72 (one-hot columns).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import attrs
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from pydantic import AliasChoices, AliasGenerator, AliasPath, BaseModel, ConfigDict, Field, RootModel, create_model
from pydantic import dataclasses as pydantic_dataclasses
from pydantic.alias_generators import to_camel
from pydantic.v1 import BaseModel as BaseModelV1
from pydantic.v1 import Field as FieldV1

import otel_ml
from otel_ml.quality import Column, ColumnNames
from otel_ml.testing import InMemoryTelemetry

CANARY = "canary-7391"
RESULT = {"prediction": 1, "probability": 0.9}
TRAIN = pd.DataFrame(
    {
        "native-country": ["US", "DE"] * 500,
        "hours-per-week": [20.0, 30.0, 40.0, 50.0] * 250,
    }
)
PROFILE = otel_ml.ReferenceProfile.fit(TRAIN, sensitive=("native-country",))


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param, events="all") as telemetry:
        yield telemetry


class Aliased(BaseModel):
    native_country: str = Field(alias="native-country")
    hours: float = Field(alias="hours-per-week")


class Validated(BaseModel):
    country: str = Field(validation_alias="native-country")
    hours: float = Field(validation_alias="hours-per-week")


class Serialized(BaseModel):
    country: str = Field(serialization_alias="native-country")
    hours: float = Field(serialization_alias="hours-per-week")


class Chosen(BaseModel):
    country: str = Field(validation_alias=AliasChoices("nation", AliasPath("person", "nativeCountry")))
    hours: float = Field(validation_alias=AliasChoices("hpw", "hours-per-week"))


class Generated(BaseModel):
    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=to_camel, serialization_alias=lambda name: name.upper())
    )
    native_country: str
    hours_per_week: float


class Inherited(Aliased):
    extra: int = 1


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    hours: float = Field(alias="hours-per-week")


class Rooted(RootModel[dict[str, Any]]):
    pass


class Old(BaseModelV1):
    country: str = FieldV1(alias="native-country")
    hours: float = FieldV1(alias="hours-per-week")


@pydantic_dataclasses.dataclass
class Checked:
    country: str = Field(alias="native-country")
    hours: float = Field(alias="hours-per-week")


@dataclasses.dataclass
class Marked:
    country: str = dataclasses.field(metadata={"alias": "native-country"})
    hours: float = dataclasses.field(metadata={"json": {"name": "hours-per-week"}})


@dataclasses.dataclass(slots=True)
class Plain:
    native_country: str
    hours_per_week: float


@attrs.define
class Attrs:
    country: str = attrs.field(alias="native_country")
    hours: float = attrs.field(metadata={"data_key": "hours-per-week"})


class Named(NamedTuple):
    native_country: str
    hours_per_week: float


class Camel(NamedTuple):
    nativeCountry: str
    hoursPerWeek: float


class Inner(BaseModel):
    person: Aliased


class InnerOld(BaseModelV1):
    people: list[Old]


@dataclasses.dataclass
class Unnamed:
    nation: str


WIRE = {"native-country": CANARY, "hours-per-week": 40.0}
SHAPES: dict[str, Any] = {
    "alias": Aliased(**WIRE),
    "validation alias": Validated(**WIRE),
    "serialization alias": Serialized(country=CANARY, hours=40.0),
    "choices": Chosen(person={"nativeCountry": CANARY}, hpw=40.0),
    "generator": Generated(nativeCountry=CANARY, hoursPerWeek=40.0),
    "inherited": Inherited(**WIRE),
    "extra": Open(**WIRE),
    "inner": Inner(person=Aliased(**WIRE)),
    "root": Rooted(WIRE),
    "version 1": Old(**WIRE),
    "pydantic dataclass": Checked(**WIRE),
    "dataclass": Plain(CANARY, 40.0),
    "metadata": Marked(CANARY, 40.0),
    "attrs": Attrs(CANARY, 40.0),
    "named tuple": Named(CANARY, 40.0),
    "camel case": Camel(CANARY, 40.0),
    "mapping": {"native_country": CANARY, "HOURS PER WEEK": 40.0},
    "control character": {"native-\x00country": CANARY, "hours\tper\tweek": 40.0},
    "path": {"person.native_country": CANARY, "hours-per-week": 40.0},
    "nested": {"person": {"native_country": CANARY}, "hours-per-week": 40.0},
    "wrapped": {"data": {"native_country": CANARY, "hours_per_week": 40.0}},
    "list": [CANARY, 40.0],
    "array": np.array([CANARY, 40.0], dtype=object),
    "series": pd.Series({"native_country": CANARY, "hours_per_week": 40.0}),
    "series without names": pd.Series([CANARY, 40.0]),
    "structured row": np.array([(40.0, CANARY)], dtype=[("hours_per_week", "f8"), ("native_country", "U20")])[0],
}
ODD: dict[str, Any] = {
    "inner models in a list": InnerOld(people=[Old(**WIRE)]),
    "record as a value": {"native-country": Unnamed(CANARY), "hours-per-week": 40.0},
    "bytes": {b"native-country": CANARY.encode(), b"hours-per-week": 40.0},
    "deep": {"a": {"b": {"c": {"d": {"e": {"f": WIRE}}}}}},
    "set": {CANARY, "x"},
    "lists of mappings": [[WIRE], [WIRE]],
    "three dimensions": np.array([[[CANARY]]], dtype=object),
    "index": pd.DataFrame({"hours-per-week": [40.0]}, index=pd.Index([CANARY], name="native-country")),
    "JSON": json.dumps(WIRE),
    "JSON in bytes": json.dumps(WIRE).encode(),
    "derived": {"native_country_code": CANARY, "native-country": "x", "hours-per-week": 40.0},
    "derived path": {"native-country": "x", "lastNativeCountry": {"code": CANARY}, "hours-per-week": 40.0},
    "prefixed": {"x_native_country": CANARY, "hours-per-week": 40.0},
    "KServe": {"instances": [WIRE]},
    "KServe lists": {"instances": [[CANARY, 40.0]]},
    "KServe unknown": {"instances": [{"nation": CANARY, "hours-per-week": 40.0}]},
    "KServe beside": {"instances": [{**WIRE, "native-country": "x"}], "parameters": {"native_country": CANARY}},
    "protocol 2": {
        "inputs": [
            {"name": "native_country", "shape": [1], "datatype": "BYTES", "data": [CANARY]},
            {"name": "hours_per_week", "shape": [1], "datatype": "FP32", "data": [40.0]},
        ]
    },
    "split": {"dataframe_split": {"columns": ["hours-per-week", "native-country"], "data": [[40.0, CANARY]]}},
    "Seldon": {"data": {"names": ["hours-per-week", "native-country"], "ndarray": [[40.0, CANARY]]}},
    "Seldon without names": {"data": {"tensor": {"shape": [1, 3], "values": [1.0, CANARY, 40.0]}}},
}
BATCHES: dict[str, Any] = {
    "models": [Aliased(**WIRE), Aliased(**WIRE)],
    "mappings": [{"native_country": CANARY, "hours_per_week": 40.0}, WIRE],
    "inner models": [Inner(person=Aliased(**WIRE)), Inner(person=Aliased(**WIRE))],
    "root": RootModel[list[Aliased]]([Aliased(**WIRE), Aliased(**WIRE)]),
    "named tuples": [Camel(CANARY, 40.0), Camel(CANARY, 40.0)],
    "columns": {"native_country": [CANARY, CANARY], "hours_per_week": [40.0, 40.0]},
    "frame": pd.DataFrame({"native_country": [CANARY] * 2, "hours_per_week": [40.0] * 2}),
    "frame without names": pd.DataFrame([[CANARY, 40.0]] * 2),
    "several levels": pd.DataFrame({("a", "native_country"): [CANARY] * 2, ("a", "hours"): [40.0] * 2}),
    "structured": np.array([(40.0, CANARY)] * 2, dtype=[("hours_per_week", "f8"), ("native_country", "U20")]),
}


def leaks(kit: InMemoryTelemetry) -> list[Any]:
    """Returns all that was exported with the sensitive value in it."""
    kit.flush()
    points = [(name, point) for name, points in kit.metrics().items() for point in points]
    return [item for item in [*kit.spans(), *kit.logs(), *points] if CANARY in json.dumps(item)]


def use(model: otel_ml.Model, features: Any, mode: str = "own") -> None:
    """Predicts, fails, logs and records with these features."""
    logger = logging.getLogger("service.sensitive")
    undo = otel_ml.instrument_logging(logger)

    @model.track
    def predict(features: Any) -> dict[str, Any]:
        logger.warning("%s", f"got {features!r}", extra={"row": f"{features}"})
        return RESULT

    @model.track
    def fail(features: Any) -> None:
        if mode == "own":  # in guest mode the span is the other SDK's, and so is what the service puts on it
            trace.get_current_span().record_exception(ValueError(f"{features}"))
        raise ValueError(f"{features!r}")

    predict(features)
    with pytest.raises(ValueError, match="."):
        fail(features)
    model.record(features, prediction=1)
    model.record_error(ValueError(f"{features}"), features)
    undo()


@pytest.mark.parametrize("capture", ["declared", "all"])
@pytest.mark.parametrize(
    "features", [*SHAPES.values(), *ODD.values(), *BATCHES.values()], ids=[*SHAPES, *ODD, *BATCHES]
)
def test_it_stays_in_every_shape(kit: InMemoryTelemetry, features: Any, capture: Any) -> None:
    """No span, event, log record or metric has the value, with either way to capture."""
    use(otel_ml.Model("m", task="binary", profile=PROFILE, capture_features=capture), features, kit.mode)

    assert leaks(kit) == []


@pytest.mark.parametrize("features", SHAPES.values(), ids=SHAPES)
def test_the_other_column_is_captured_under_its_declared_name(kit: InMemoryTelemetry, features: Any) -> None:
    """What is not sensitive is in the event, counted, and called as in the training data."""
    otel_ml.Model("m", task="binary", profile=PROFILE).track(lambda features: RESULT)(features)
    (event,) = kit.events("ml.prediction")

    assert json.loads(event["body"])["features"] == {"hours-per-week": 40.0}


@pytest.mark.parametrize(
    "features",
    [
        {"nation": CANARY, "hours-per-week": 40.0},
        {"native-country": None, "nation": CANARY, "hours-per-week": 40.0},
        {"hours-per-week": 40.0, "person": {"nation": CANARY}},
        [CANARY, 40.0, 1.0],
        [[CANARY, 40.0], ["x", CANARY, 40.0]],
        pd.DataFrame({"nation": [CANARY], "hours-per-week": [40.0]}),
        [{"native-country": "x", "hours-per-week": 1.0}, {"nation": CANARY, "hours-per-week": 40.0}],
        CANARY,
    ],
    ids=["unknown name", "without value", "unknown nested", "too wide", "ragged", "frame", "one of two", "scalar"],
)
def test_an_uncertain_row_is_not_captured(
    kit: InMemoryTelemetry, features: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """If a value may be the sensitive column under an unknown name, it stays, and one line says why."""
    with caplog.at_level(logging.WARNING, "otel_ml"):
        use(otel_ml.Model("m", task="binary", profile=PROFILE, capture_features="all"), features, kit.mode)

    assert leaks(kit) == []
    assert len([line for line in caplog.messages if "not certain" in line and "native-country" in line]) == 1


def test_a_schema_makes_a_column_sensitive_in_its_own_spelling(kit: InMemoryTelemetry) -> None:
    """Profile and schema mean one column by two spellings; it is sensitive if either says so, and counted once."""
    profile = otel_ml.ReferenceProfile.fit(TRAIN.assign(**{"native-country": [CANARY, "DE"] * 500}))
    schema = otel_ml.Schema([Column("native_country", sensitive=True), Column("hours_per_week", "number")], closed=True)
    model = otel_ml.Model("m", task="binary", profile=profile, schema=schema, capture_features="all")
    use(model, {"nativeCountry": CANARY, "hoursPerWeek": 40.0}, kit.mode)
    metrics = kit.metrics()

    assert leaks(kit) == []
    assert {point["value"] for point in metrics["ml.feature.missing"]} == {0}
    assert {point["value"] for point in metrics["ml.data.violations"]} == {0}


def test_a_long_text_is_replaced_to_its_end(kit: InMemoryTelemetry) -> None:
    """The part of a sensitive text beyond the limit of a value is not left in a log line."""
    use(otel_ml.Model("m", profile=PROFILE), {"native-country": "x" * 1024 + CANARY, "hours-per-week": 1.0}, kit.mode)

    assert leaks(kit) == []


def test_a_name_that_has_the_value_is_withheld(kit: InMemoryTelemetry) -> None:
    """One column for each category of a sensitive one says the category in its name."""
    row = {f"native-country_{CANARY}": 1.0, "native-country": "x", "hours-per-week": 40.0, "capital": 1.0}
    model = otel_ml.Model("m", task="binary", profile=PROFILE, capture_features="all")
    model.track(lambda features: RESULT)(row)
    (event,) = kit.events("ml.prediction")

    assert json.loads(event["body"])["features"] == {"hours-per-week": 40.0, "capital": 1.0}


def test_a_declared_column_is_not_derived(kit: InMemoryTelemetry) -> None:
    """A column that the user declared leaves, although its name has the words of a sensitive one."""
    schema = otel_ml.Schema([Column("age", sensitive=True), Column("age_group", "text")])
    otel_ml.Model("m", task="binary", schema=schema).track(lambda features: RESULT)({"age": 41, "age_group": "40-50"})
    (event,) = kit.events("ml.prediction")

    assert json.loads(event["body"])["features"] == {"age_group": "40-50"}


@pytest.mark.parametrize(
    "value",
    [
        dt.date(1980, 5, 17),
        dt.datetime(1980, 5, 17, 10, 30, tzinfo=dt.UTC),
        pd.Timestamp("1980-05-17 10:30"),
        19800517.0,
    ],
)
def test_a_value_is_replaced_in_every_usual_form(kit: InMemoryTelemetry, value: Any) -> None:
    """A date and a number are replaced as `str`, `repr` and `%d` write them."""
    logger = logging.getLogger("service.forms")
    undo = otel_ml.instrument_logging(logger)

    @otel_ml.Model("m", task="binary", profile=PROFILE).track
    def predict(features: Any) -> Any:
        logger.warning("%s %r %s", value, value, f"{value:%Y-%m-%d}" if isinstance(value, dt.date) else int(value))
        return RESULT

    predict({"native-country": value, "hours-per-week": 40.0})
    undo()
    text = json.dumps(kit.logs())

    assert not [form for form in ("1980-05-17", "1980, 5, 17", "19800517") if form in text]


WORDS = st.lists(st.sampled_from(["native", "social", "income", "über", "zip", "b2"]), min_size=1, max_size=3)


def spell(words: list[str], style: str) -> str:
    """Writes a name in one of the usual ways."""
    if style == "camel":
        return words[0] + "".join(word.title() for word in words[1:])
    joint = {"snake": "_", "kebab": "-", "words": " ", "dots": ".", "control": "\u200b", "upper": "_"}[style]
    text = joint.join(words)
    return text.upper() if style == "upper" else text


STYLES = st.sampled_from(["camel", "snake", "kebab", "words", "dots", "control", "upper"])


SHAPES_DRAWN = ["pydantic", "choices", "dataclass", "mapping", "unknown", "nested", "records", "frame", "series"]
SHAPES_DRAWN += ["positions", "wide", "structured", "inner model", "instances", "tensors", "split", "derived", "index"]


def shaped(shape: str, name: str, alias: str, other: str) -> Any:
    """Returns a row of a sensitive and another value in some shape."""
    row = {name: CANARY, other: 40.0}
    if shape == "pydantic":
        made = create_model("Made", field=(str, Field(alias=alias)), second=(float, Field(validation_alias=other)))
        return made(**{alias: CANARY, other: 40.0})
    if shape == "choices":
        choices = AliasChoices("never", AliasPath("deep", alias))
        made = create_model("Made", field=(str, Field(validation_alias=choices)), second=(float, Field(alias=other)))
        return made(deep={alias: CANARY}, **{other: 40.0})
    if shape == "dataclass":
        fields = [
            ("field", str, dataclasses.field(metadata={"alias": alias})),
            ("second", float, dataclasses.field(metadata={"alias": other})),
        ]
        return dataclasses.make_dataclass("Made", fields)(CANARY, 40.0)
    if shape == "inner model":
        made = create_model("Made", field=(str, Field(alias=alias)), second=(float, Field(alias=other)))
        return create_model("Outer", inner=(made, ...))(inner=made(**{alias: CANARY, other: 40.0}))
    return {
        "instances": {"instances": [row, {alias: CANARY, other: 40.0}]},
        "tensors": {"inputs": [{"name": key, "shape": [1], "datatype": "BYTES", "data": [row[key]]} for key in row]},
        "split": {"dataframe_split": {"columns": [other, name], "data": [[40.0, CANARY]]}},
        "derived": {name: "x", f"{alias}_code": CANARY, other: 40.0},
        "index": pd.DataFrame({other: [40.0]}, index=pd.Index([CANARY], name=name)),
        "mapping": row,
        "unknown": {"unknown": CANARY, other: 40.0},
        "nested": {"outer": {"inner": row}},
        "records": [row, {alias: CANARY, other: 40.0}],
        "frame": pd.DataFrame([row]),
        "series": pd.Series(row),
        "positions": [CANARY, 40.0],
        "wide": [[40.0, CANARY, 40.0]],
        "structured": np.array([(40.0, CANARY)], dtype=[("other", "f8"), ("field", "U20")]),
    }[shape]


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(
    mode=st.sampled_from(["own", "guest"]),
    capture=st.sampled_from(["declared", "all"]),
    words=WORDS,
    styles=st.tuples(STYLES, STYLES, STYLES),
    shape=st.sampled_from(SHAPES_DRAWN),
)
def test_no_spelling_and_no_shape_lets_it_out(
    mode: Any, capture: Any, words: list[str], styles: tuple[str, str, str], shape: str
) -> None:
    """For names, spellings and shapes that are drawn: the value is in no signal, in either mode."""
    declared, name, alias = (spell(words, style) for style in styles)
    schema = otel_ml.Schema([Column(declared, sensitive=True), Column("other", "number")])
    with InMemoryTelemetry(mode, events="all") as kit:
        model = otel_ml.Model("m", task="binary", schema=schema, capture_features=capture)
        use(model, shaped(shape, name, alias, "other"), mode)

        assert leaks(kit) == []


def test_a_schema_without_a_place_for_the_column_names_no_positions(kit: InMemoryTelemetry) -> None:
    """If the sensitive column is not among the columns of the schema, an array as wide as these may still have it."""
    schema = otel_ml.Schema([Column("city", "text"), Column("other", "number")], sensitive=("native-country",))
    use(otel_ml.Model("m", schema=schema), [CANARY, 40.0], kit.mode)

    assert leaks(kit) == []


def test_a_name_stays_sensitive_while_another_thread_empties_what_is_remembered() -> None:
    """The answer does not depend on what is remembered of earlier names."""

    class Forgetful(dict[str, Any]):
        def __setitem__(self, name: str, value: Any) -> None:
            pass

    names = ColumnNames(["age", "native-country"], {"native-country"})
    names._sensitive = names._derived = Forgetful()

    assert [names.is_sensitive(name) for name in ("nativeCountry", "native-country_US", "age")] == [True, True, False]


class Link(Mapping[str, Any]):
    """A node of a graph, which counts how often any node is read."""

    reads = 0

    def __init__(self, **values: Any) -> None:
        self.values_by_name = values

    def __getitem__(self, name: str) -> Any:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        Link.reads += 1
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


def test_a_graph_of_records_is_read_within_bounds(kit: InMemoryTelemetry) -> None:
    """Children that know their parent do not multiply what is read of a request, and neither do empty lists."""
    root = Link(children=[])
    root["children"].extend(Link(none=[], parent=root) for _ in range(300))
    model = otel_ml.Model("income", "1", schema=otel_ml.Schema([Column("native_country", sensitive=True)]))
    Link.reads = 0

    result = model.track(lambda features: RESULT)(root)

    assert result is RESULT
    assert Link.reads < 60_000


@pytest.mark.parametrize("task", ["binary", "multiclass", "other"])
@pytest.mark.parametrize(
    "result",
    [
        {"native_country": CANARY},
        {"native_country": CANARY, "ok": True},
        {"nativeCountry": CANARY, "hours": 40.0},
        {"customer_native_country": CANARY},
        {"data": {"native-country": CANARY}},
        {"native-country": {"label": CANARY, "score": 0.5}},
        json.dumps({"native-country": CANARY}),
        [{"native-country": CANARY}],
        pd.DataFrame({"native-country": [CANARY]}),
    ],
    ids=repr,
)
def test_a_sensitive_column_in_the_result_is_no_answer(kit: InMemoryTelemetry, task: Any, result: Any) -> None:
    """What a function returns of its input beside or without an answer is not taken for the predicted class."""
    classes = None if task == "other" else [0, 1]
    model = otel_ml.Model("income", "1", task=task, classes=classes, profile=PROFILE)

    assert model.track(lambda features: result)({"native-country": "US", "hours-per-week": 40.0}) is result

    assert CANARY not in repr([kit.spans(), kit.metrics(), kit.logs()])


def test_a_word_for_the_answer_beside_a_sensitive_column_is_read(kit: InMemoryTelemetry) -> None:
    """The rest of such a result is read as ever."""
    model = otel_ml.Model("income", "1", task="binary", classes=[0, 1], profile=PROFILE)

    model.track(lambda features: {"native_country": CANARY, **RESULT})({"native-country": "US", "hours-per-week": 40.0})

    assert [
        point["attributes"]["ml.prediction.class"] for point in kit.metrics()["ml.predictions"] if point["value"]
    ] == ["1"]
