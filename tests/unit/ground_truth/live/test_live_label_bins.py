"""Labels in the bins of the reference, also in a process that only records labels."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from truth_rows import LOGGED

from otel_ml import Model, ReferenceProfile
from otel_ml._figures.label_bins import LabelBins
from otel_ml._values import class_text, written_number
from otel_ml.ground_truth import GroundTruth
from otel_ml.ground_truth.storage._rows import read_rows
from otel_ml.testing import InMemoryTelemetry

NUMBERS = LabelBins("p1", "number", ("0 (-inf, 10)", "1 [10, 20)", "2 [20, inf)"), edges=(10.0, 20.0))
TEXTS = LabelBins("p1", "category", ("no", "yes", "__other__", "__unseen__"), categories=("no", "yes"))
MODEL = ("fraud", "1", "primary")


def write(truth, name, bins, **changes):
    """Stores a prediction of a model whose reference has these bins."""
    rows = read_rows(LOGGED._replace(id=name, **changes))
    truth.log_rows(replace(rows, model=rows.model._replace(label_bins=bins)))
    assert truth.flush()


def counted(emitted):
    found = emitted.metrics().items()
    return {key[4:]: value for key, value in found if key[0] == "ml.eval.label_bin"}


def test_a_label_is_where_a_value_of_the_reference_is():
    """Numbers, categories in any spelling, rare and unseen ones have the bin that the profile's feature gives them."""
    random.seed(1)
    grades = ["a"] * 60 + ["b"] * 50 + ["1"] * 40 + ["rare"] * 3
    frame = {"amount": [random.gauss(20, 9) for _ in range(len(grades))], "grade": grades}
    profile = ReferenceProfile.fit(frame, categorical=("grade",), keep=("amount", "grade"))
    values = {
        "amount": [-50, "12.5", 12.5, 1e9, 20, *frame["amount"][:50]],
        "grade": ["a", "b", 1, 1.0, "1.0", True, "rare", "new", "A"],
    }
    for feature in profile.features:
        bins = LabelBins(
            profile.id, feature.kind, feature.labels, feature.edges, feature.categories, feature.rare, feature.salt
        )
        again = LabelBins.from_text(profile.id, bins.to_text())
        for value in values[feature.name]:
            number = written_number(value)
            expected = feature.find_bin(number if feature.kind == "number" else value)

            assert again.find(class_text(value), number) == expected, value


def test_labels_without_a_bin():
    """A text among numbers and a number that is none have no bin; of too many rare categories each is another one."""
    assert [NUMBERS.find("many", None), NUMBERS.find("nan", float("nan")), NUMBERS.find("10", 10.0)] == [None, None, 1]
    assert [TEXTS._replace(rare=rare).find("maybe", None) for rare in ((), None)] == [3, 2]


@pytest.mark.parametrize(
    ("bins", "task", "label", "expected"),
    [
        (NUMBERS, "regression", 15.0, "1 [10, 20)"),
        (TEXTS, "multiclass", "yes", "yes"),
        (TEXTS, "other", "?", "__unseen__"),
    ],
)
def test_a_first_label_is_counted_in_its_bin(truth, emitted, bins, task, label, expected):
    """All bins start at 0 before it; a second label changes nothing."""
    write(truth, "p", bins, task=task, predicted=None, value=1.0, positive=None)
    before = counted(emitted)
    truth.record_label("p", label)
    truth.record_label("p", label)
    truth.record_label("p", 19)

    assert before == {("p1", name): 0 for name in bins.labels}
    assert counted(emitted) == {**before, ("p1", expected): 1}


def test_another_process_counts_labels_in_the_bins(truth, url, emitted):
    """The store has the bins of each model and version, and of one whose reference is replaced the new ones."""
    writer = GroundTruth(url)
    write(writer, "a", TEXTS)
    write(writer, "b", TEXTS)
    write(writer, "c", None, version="2")
    states = [truth.record_label(name, "yes") for name in "ac"]
    write(writer, "d", TEXTS._replace(profile_id="p2", labels=("no", "yes!", "__other__", "__unseen__")))
    states += [truth.record_label(name, "yes") for name in "bd"]
    writer.close()

    assert states == ["matched"] * 4
    assert {key: value for key, value in counted(emitted).items() if value} == {("p1", "yes"): 1, ("p2", "yes!"): 2}


def test_two_references_of_one_model_do_not_take_turns(truth, url):
    """During a rollout two processes have different profiles: each stores its own once, and the last one stays."""
    other = GroundTruth(url)
    for number in range(3):
        write(truth, f"a{number}", TEXTS)
        write(other, f"b{number}", TEXTS._replace(profile_id="p2"))
    write(truth, "late", TEXTS)
    other.close()
    with truth._database.reading() as connection:
        rows = truth._database.find(connection, truth._database.tables.label_bins, ("profile_id",), ['["fraud", "1"]'])

    assert rows == [("p2",)]


def test_a_label_that_came_first_is_counted_in_its_bin(truth, emitted):
    """The bins are stored before the prediction is joined with the labels that wait for it."""
    assert truth.record_label("p", "yes") == "waiting"
    write(truth, "p", TEXTS)

    assert {key for key, value in counted(emitted).items() if value} == {("p1", "yes")}


def test_a_store_that_has_no_bins_yet_gets_the_table(url, emitted):
    """A database of an earlier version is brought to the present form when it is opened."""
    former = GroundTruth(url)
    write(former, "p", None)
    with former._database.writing() as connection:
        former._database.tables.label_bins.drop(connection)
    former.close()
    truth = GroundTruth(url, meter=emitted.meter, logger=emitted.logger)
    write(truth, "q", TEXTS)
    truth.record_labels({"p": "yes", "q": "no"})
    truth.close()

    assert {key for key, value in counted(emitted).items() if value} == {("p1", "yes"), ("p1", "no")}


@pytest.mark.parametrize(("sensitive", "expected"), [((), {"paid": 1}), (("y",), {})])
def test_a_model_with_a_reference_has_the_bins(tmp_path, sensitive, expected):
    """The label that the profile was fitted with; nothing is exported or stored of one that is sensitive."""
    frame = {"x": [number % 40 for number in range(400)], "y": ["paid", "lost"] * 200, "out": ["paid", "paid"] * 200}
    profile = ReferenceProfile.fit(frame, label="y", prediction="out", sensitive=sensitive)
    truth = GroundTruth(f"sqlite:///{tmp_path}/predictions.db")
    with InMemoryTelemetry() as kit:
        model = Model("loans", "1", task="multiclass", classes=["paid", "lost"], profile=profile, ground_truth=truth)
        model.record({"x": 1}, prediction="paid", id="a")
        truth.flush()
        truth.record_label("a", "paid")
        points = kit.metrics().get("ml.eval.label_bin", [])
        found = {point["attributes"]["ml.feature.bin"]: point["value"] for point in points if point["value"]}
        references = kit.metrics()["ml.feature.reference.share"]
        bins = {
            point["attributes"]["ml.feature.bin"]
            for point in references
            if point["attributes"]["ml.feature.name"] == "__label__"
        }
    truth.close()

    assert found == expected
    assert not expected or bins == {point["attributes"]["ml.feature.bin"] for point in points}
