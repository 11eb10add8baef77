"""The training reference: bins, refused columns, and the file."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from otel_ml.quality import ProfileError, ReferenceProfile, Schema
from otel_ml.quality._bins import coarse_edges
from otel_ml.quality._feature import digest

FORMAT_1 = {
    "format": "otel-ml/reference-profile",
    "format_version": 1,
    "id": "06adc97516c3",
    "rows": 100,
    "sensitive": ["b"],
    "skipped": {},
    "features": [
        {
            "name": "a",
            "kind": "category",
            "labels": ["0", "1", "__other__", "__unseen__"],
            "counts": [50, 50, 0, 0],
            "missing": 0,
            "edges": [],
            "categories": ["0", "1"],
            "rare": [],
            "low": None,
            "high": None,
            "sensitive": False,
        },
        {
            "name": "b",
            "kind": "category",
            "labels": ["c00", "c01", "__other__", "__unseen__"],
            "counts": [50, 50, 0, 0],
            "missing": 0,
            "edges": [],
            "categories": ["842b7d9d43cddf75", "f6fc42039fba3776"],
            "rare": [],
            "low": None,
            "high": None,
            "sensitive": True,
        },
    ],
    "output": None,
}
"""A file of format 1 with two columns, the second of them sensitive."""


FORMAT_2 = {
    "format": "otel-ml/reference-profile",
    "format_version": 2,
    "id": "d4f0ee17fdca",
    "checksum": "e28699ee943c3218",
    "rows": 100,
    "sensitive": ["s"],
    "skipped": {},
    "columns": ["n", "c", "s"],
    "features": [
        {
            "name": "n",
            "kind": "number",
            "labels": [
                *("00 (-inf, 4.95)", "01 [4.95, 9.9)", "02 [9.9, 14.85)", "03 [14.85, 19.8)", "04 [19.8, 24.75)"),
                *("05 [24.75, 29.7)", "06 [29.7, 34.65)", "07 [34.65, 39.6)", "08 [39.6, 44.55)", "09 [44.55, inf)"),
            ],
            "counts": [10] * 10,
            "missing": 0,
            "edges": [4.95, 9.9, 14.85, 19.8, 24.75, 29.7, 34.65, 39.6, 44.55],
            "categories": [],
            "rare": [],
            "low": 0.0,
            "high": 49.5,
            "sensitive": False,
        },
        {
            "name": "c",
            "kind": "category",
            "labels": ["a", "b", "__other__", "__unseen__"],
            "counts": [60, 40, 0, 0],
            "missing": 0,
            "edges": [],
            "categories": ["a", "b"],
            "rare": [],
            "low": None,
            "high": None,
            "sensitive": False,
        },
        {
            "name": "s",
            "kind": "category",
            "labels": ["c00", "c01", "__other__", "__unseen__"],
            "counts": [60, 40, 0, 0],
            "missing": 0,
            "edges": [],
            "categories": ["d9658f2e6561c6ea", "f3f7c278e79bed6f"],
            "rare": [],
            "low": None,
            "high": None,
            "sensitive": True,
            "salt": "3e664587bcb6810f5dabf0ac795efa4a",
        },
    ],
    "output": None,
}
"""A file of format 2, as it was written."""


def fit(values, **keywords):
    return ReferenceProfile.fit({"x": values}, **keywords).features[0]


def test_census_features_have_readable_ordered_labels(census):
    """A number has quantile bins, a code has categories, and a sensitive column has no readable label."""
    labels = {feature.name: feature.labels for feature in census.all_features()}
    assert labels["AGEP"] == (
        "00 (-inf, 10)",
        "01 [10, 19)",
        "02 [19, 25)",
        "03 [25, 34)",
        "04 [34, 42)",
        "05 [42, 50)",
        "06 [50, 56)",
        "07 [56, 63)",
        "08 [63, 72)",
        "09 [72, inf)",
    )
    assert labels["MIL"] == ("4", "0", "2", "3", "__other__", "__unseen__")
    assert labels["RAC1P"] == ("c00", "c01", "c02", "c03", "c04", "__other__", "__unseen__")
    assert (labels["__prediction__"][0], labels["__prediction__"][19]) == ("00 [0, 0.05)", "19 [0.95, 1]")


def test_counts_are_those_of_numpy(census, train):
    """Every value of the reference is in one bin, right-open as in `numpy.histogram`."""
    ages = census.features[0]
    inner = np.histogram(train["AGEP"], bins=[-np.inf, *ages.edges, np.inf])[0]
    assert (ages.counts, ages.size, ages.missing) == (tuple(inner.tolist()), 6000, 0)


def test_shares_are_smoothed_and_add_up(census):
    """No share is 0, not even that of unseen categories, and all together are 1."""
    for feature in census.all_features():
        expected = [(count + 0.5) / (feature.size + 0.5 * len(feature.counts)) for count in feature.counts]
        assert feature.shares == pytest.approx(expected)
        assert sum(feature.shares) == pytest.approx(1)
        assert min(feature.shares) > 0


@pytest.mark.parametrize("same", [1, 1.0, np.int64(1), np.float32(1), "1", "1.0", True, "true"])
def test_a_category_is_recognised_in_every_form(same):
    """1, 1.0, numpy's, the text and the boolean are one category; 01 and 2 are others."""
    feature = fit([0, 1] * 50)
    assert [feature.find_bin(value) for value in (same, "01", 2)] == [feature.labels.index("1"), 3, 3]


def test_rare_categories_are_other_and_new_ones_unseen():
    """A category seen fewer than 20 times has no name, but differs from one that the reference does not have."""
    feature = fit(["teacher"] * 60 + ["judge"] * 19)
    assert feature.labels == ("teacher", "__other__", "__unseen__")
    assert [feature.find_bin(job) for job in ("teacher", "judge", "pilot")] == [0, 1, 2]
    assert "judge" not in repr(feature)


def test_at_most_twenty_categories_get_a_bin():
    """The 21st category by frequency is other."""
    values = [f"c{position:02d}" for position in range(25) for _ in range(20 + 25 - position)]
    feature = fit(values)
    assert feature.labels == (*(f"c{position:02d}" for position in range(20)), "__other__", "__unseen__")
    assert feature.counts[20:] == (sum(range(21, 26)), 0)


def test_long_categories_have_bounded_labels():
    """A label has at most 64 characters, and two long categories have different ones."""
    feature = fit(["a" * 100 + "1"] * 30 + ["a" * 100 + "2"] * 30)
    assert [len(label) for label in feature.labels[:2]] == [64, 64]
    assert len(set(feature.labels)) == 4


def test_missing_values_are_counted_separately():
    """None, NaN and pandas' NA are missing, not a category and not a number."""
    assert fit([1.5, None, float("nan"), *range(100)]).missing == 2
    assert fit(pd.Series([1, 2, None, pd.NA] * 30, dtype="Int64")).missing == 60
    assert fit(["a", "b", None] * 30).missing == 30


def test_infinite_values_of_training_are_in_the_end_bins():
    """An infinity in the reference changes no edge, and the range is that of the finite values."""
    feature = fit([float("inf"), float("-inf"), float("-inf"), *np.linspace(0, 1, 99)])
    plain = fit(np.linspace(0, 1, 99))
    assert (feature.size, feature.missing, feature.high, feature.infinite) == (102, 0, 1.0, True)
    assert (feature.edges, plain.infinite) == (plain.edges, False)
    assert (feature.counts[0] - plain.counts[0], feature.counts[-1] - plain.counts[-1]) == (2, 1)
    assert [feature.find_bin(value) for value in (float("-inf"), float("inf"))] == [0, len(feature.labels) - 1]
    assert plain.find_bin(float("inf")) is None


def test_nearly_constant_numbers_get_three_bins():
    """If all quantiles are equal, the frequent value has a bin, and what is below and above it."""
    feature = fit([0.0] * 990 + [float(value) / 7 for value in range(1, 31)])
    assert feature.labels == ("00 (-inf, 0)", "01 [0, 0]", "02 (0, inf)")
    assert feature.counts == (0, 990, 30)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (list(range(200)), "looks like an identifier"),
        ([f"user-{number}" for number in range(100)], "looks like an identifier or free text"),
        ([dt.date(2026, 1, 1)] * 30, "derive a number"),
        (np.array(["2026-01-01"] * 30, dtype="datetime64[D]"), "derive a number"),
        ([None] * 30, "no values"),
        (np.zeros((30, 2)), "2 dimensions"),
    ],
)
def test_a_column_that_cannot_be_a_feature_is_left_out_with_its_reason(values, reason):
    """Identifiers, free text, dates, empty and nested columns are named in a warning and in the profile."""
    frame = {"x": values, "good": [0, 1, 2] * (len(values) // 3) + [0] * (len(values) % 3)}
    with pytest.warns(UserWarning, match=f"x: .*{reason}"):
        profile = ReferenceProfile.fit(frame)
    assert [feature.name for feature in profile.features] == ["good"]
    assert reason in profile.skipped["x"]


def test_the_32_most_important_features_are_kept():
    """Of 40 columns the 8 lightest are left out."""
    frame = {f"f{number:02d}": [0, 1] * 30 for number in range(40)}
    with pytest.warns(UserWarning, match="only 32 features"):
        profile = ReferenceProfile.fit(frame, importance={name: float(name[1:]) for name in frame})
    assert [feature.name for feature in profile.features] == [f"f{number:02d}" for number in range(39, 7, -1)]


@pytest.mark.parametrize(
    ("values", "kind", "bins"),
    [
        (np.linspace(0, 1, 500), "number", 20),
        (np.linspace(-3, 9, 500), "number", 10),
        ([0, 1] * 50, "category", 4),
        (["no", "yes"] * 50, "category", 4),
        (list(range(500)), "number", 10),
    ],
)
def test_the_output_is_binned_by_its_kind(values, kind, bins):
    """A score has uniform bins, a regression quantiles, and classes one bin each."""
    output = ReferenceProfile.fit({"out": values}, score="out").output
    assert (output.name, output.kind, len(output.labels)) == ("__prediction__", kind, bins)


@pytest.mark.parametrize(
    ("frame", "keywords", "message"),
    [
        ({"a": [1, 2]}, {"label": "y"}, "no column 'y'; there are a"),
        ({"a": [1, 2], "b": [1]}, {}, "differ in length: 1, 2"),
        ({"a": 1}, {}, "the values of a column must be a sequence"),
        ({}, {}, "no column can be monitored"),
        ({"a": [None]}, {}, "no column can be monitored: a: it has no values"),
        ({"a": [1, 2], "s": [None, None]}, {"score": "s"}, "score column 's' cannot be binned"),
        ({"__prediction__": [1]}, {}, "cannot be called __prediction__"),
        ({"a": [1, 2]}, {"importance": {"a": float("nan")}}, "importance of a is not a finite number"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(frame, keywords, message):
    """Bad arguments raise one clear line."""
    with pytest.raises(ProfileError, match=message):
        ReferenceProfile.fit(frame, **keywords)


def test_a_saved_profile_is_read_back_equal(census, tmp_path):
    """Content and id are the same after loading; the file contains no category of a sensitive column."""
    path = tmp_path / "profile.json"
    census.save(path)
    read = ReferenceProfile.load(path)
    assert (read, read.id) == (census, census.id)
    assert list(tmp_path.iterdir()) == [path]
    race = next(feature for feature in json.loads(path.read_text())["features"] if feature["name"] == "RAC1P")
    assert all(len(digest) == 16 for digest in race["categories"])


def test_the_file_contains_no_value_of_a_sensitive_number(tmp_path):
    """It contains neither the least and greatest value nor exact quantiles: edges have two digits, more if bins would merge."""
    values = [*np.random.default_rng(0).uniform(20_000, 90_000, 5000).round(2).tolist(), 1_234_567.89, 17.25]
    profile = ReferenceProfile.fit({"salary": values}, sensitive=["salary"])
    profile.save(tmp_path / "p.json")
    (entry,) = json.loads((tmp_path / "p.json").read_text())["features"]
    assert (entry["low"], entry["high"], len(entry["edges"])) == (None, None, 9)
    assert [edge for edge in entry["edges"] if edge != float(f"{edge:.2g}")] == []
    assert sum(entry["counts"]) == 5002
    (column,) = Schema.from_profile(profile).columns
    assert (column.low, column.high, column.broken_rule(-1e9)) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([float(year) for year in range(1990, 2001) for _ in range(3)], tuple(map(float, range(1991, 2000)))),
        ([0.0] * 990 + [1234.5] * 3, (620.0,)),
        ([7.0] * 990 + [7.25] * 30, (7.1,)),
        ([5.5] * 100, ()),
    ],
)
def test_sensitive_bins_stay_distinct(values, edges):
    """Edges have more than two digits if bins would merge; a single edge is not a value of the data."""
    assert coarse_edges(np.asarray(values), 10) == edges


def test_digests_of_a_sensitive_column_are_keyed(tmp_path):
    """A precomputed table of digests finds nothing, and two profiles of the same people cannot be compared."""
    jobs = {"job": ["teacher"] * 60 + ["judge"] * 19}
    first, second = (ReferenceProfile.fit(jobs, sensitive=["job"]) for _ in range(2))
    assert (first.id, Schema.from_profile(first)) == (second.id, Schema.from_profile(second))
    known = {digest(text) for text in ("teacher", "judge")}
    digests = [{*profile.features[0].categories, *profile.features[0].rare} for profile in (first, second)]
    assert (len(digests[0]), digests[0] & digests[1], digests[0] & known) == (2, set(), set())
    first.save(tmp_path / "p.json")
    read = ReferenceProfile.load(tmp_path / "p.json")
    assert (read, read.id) == (first, first.id)
    assert [read.features[0].find_bin(job) for job in ("teacher", "judge", "pilot")] == [0, 1, 2]
    (column,) = Schema.from_profile(read).columns
    assert [column.broken_rule(job) for job in ("teacher", "judge", "pilot")] == [None, None, "domain"]


def test_an_edited_digest_is_found(tmp_path):
    """The id does not cover keyed digests, the checksum does."""
    path = tmp_path / "p.json"
    ReferenceProfile.fit({"job": ["teacher"] * 60}, sensitive=["job"]).save(path)
    content = json.loads(path.read_text())
    content["features"][0]["categories"] = ["0" * 16]
    path.write_text(json.dumps(content))
    with pytest.raises(ProfileError, match="was edited or damaged"):
        ReferenceProfile.load(path)


def test_a_sensitive_score_is_binned_without_its_values():
    """The output has opaque labels if its column is sensitive."""
    output = ReferenceProfile.fit(
        {"pay": [float(pay) + 0.5 for pay in range(100)]}, score="pay", sensitive=["pay"]
    ).output
    assert (output.sensitive, output.low, output.high, output.labels[:2]) == (True, None, None, ("00", "01"))


def test_the_id_follows_the_content(train):
    """The same data has the same id, other data another one."""
    first, again = (ReferenceProfile.fit(train[["AGEP"]]).id for _ in range(2))
    other = ReferenceProfile.fit(train[["AGEP"]][1:]).id
    assert (first == again, first == other, len(first)) == (True, False, 12)


def test_the_columns_of_the_frame_are_kept_in_their_order(tmp_path):
    """Skipped columns keep their place, so that values without names belong to the right column."""
    frame = {"ssn": list(range(200)), "b": [0, 1] * 100, "s": [0.5] * 200, "y": [0, 1] * 100, "a": [0, 1] * 100}
    with pytest.warns(UserWarning, match="ssn: "):
        profile = ReferenceProfile.fit(frame, score="s", label="y", sensitive=["ssn", "y"], importance={"a": 2, "b": 1})
    profile.save(tmp_path / "p.json")
    read = ReferenceProfile.load(tmp_path / "p.json")
    assert (read.columns, read.sensitive) == (("ssn", "b", "a"), frozenset({"ssn", "y"}))
    assert [feature.name for feature in read.features] == ["a", "b"]


def test_a_file_of_format_1_is_read_and_keeps_its_id(tmp_path):
    """The format does not list the columns."""
    profile = ReferenceProfile.fit({"a": [0, 1] * 50, "b": [0, 1] * 50}, sensitive=["b"])
    path = tmp_path / "p.json"
    path.write_text(json.dumps(FORMAT_1))
    old = ReferenceProfile.load(path)
    assert (old.columns, old.sensitive, old.id) == ((), frozenset({"b"}), FORMAT_1["id"])
    assert old.features[0] == profile.features[0]
    old.save(path)
    assert ReferenceProfile.load(path) == old


def test_a_file_of_format_2_is_read_and_keeps_its_id(tmp_path):
    """Its bins, its shares and its rules are as they were; saved again it has the newest format and the same id."""
    path = tmp_path / "p.json"
    path.write_text(json.dumps(FORMAT_2))
    old = ReferenceProfile.load(path)
    number, category, sensitive = old.features
    assert (old.id, [number.find_bin(value) for value in (4.9, 4.95, float("inf"))]) == (FORMAT_2["id"], [0, 1, None])
    assert [category.find_bin(value) for value in ("a", "b", "z")] == [0, 1, 3]
    assert [sensitive.find_bin(value) for value in ("a", "b", "z")] == [0, 1, 3]
    assert category.shares == pytest.approx((60.5 / 102, 40.5 / 102, 0.5 / 102, 0.5 / 102))
    assert [column.broken_rule("z") for column in Schema.from_profile(old).columns] == ["type", "domain", "domain"]
    old.save(path)
    content = json.loads(path.read_text())
    assert (content["format_version"], content["id"], ReferenceProfile.load(path)) == (3, FORMAT_2["id"], old)


@pytest.mark.parametrize(
    "change",
    [
        {"rare_filter": "?"},
        {"rare_filter": 5},
        {"rare_filter": "="},
        {"singletons": -1},
        {"invalid": "no"},
        {"invalid": 1.5},
    ],
)
def test_a_damaged_entry_is_refused(tmp_path, change):
    """The fields of format 3 are checked as the others are."""
    path = tmp_path / "p.json"
    ReferenceProfile.fit({"job": ["teacher"] * 60}).save(path)
    content = json.loads(path.read_text())
    content["features"][0].update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(ProfileError, match="is damaged"):
        ReferenceProfile.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: "{", "is not JSON"),
        (lambda content: "[]", "is not a reference profile"),
        (
            lambda content: json.dumps({**content, "format_version": 99}),
            "profile format 99, this version reads up to 3",
        ),
        (lambda content: json.dumps({**content, "rows": 1}), "was edited or damaged"),
        (lambda content: json.dumps({**content, "features": [{}]}), "is damaged"),
        (lambda content: json.dumps({**content, "output": {**content["output"], "edges": [2, 1]}}), "is damaged"),
        (lambda content: json.dumps({**content, "output": {**content["output"], "counts": [-1] * 20}}), "is damaged"),
        (lambda content: json.dumps({**content, "output": {**content["output"], "edges": [1, 1] * 9 + [2]}}), "ascend"),
        (lambda content: json.dumps({**content, "output": {**content["output"], "kind": "soup"}}), "is damaged"),
        (lambda content: json.dumps({**content, "rows": float("inf")}), "is damaged"),
        (lambda content: json.dumps({**content, "rows": float("nan")}), "is damaged"),
        (lambda content: json.dumps({**content, "output": {**content["output"], "edges": [10**400]}}), "is damaged"),
        (lambda content: json.dumps({**content, "output": {**content["output"], "counts": [10**400] * 20}}), "damaged"),
        (lambda content: json.dumps({**content, "output": {**content["output"], "missing": "no"}}), "is damaged"),
        (lambda content: json.dumps({**content, "output": {**content["output"], "name": 5}}), "is damaged"),
        (lambda content: json.dumps({**content, "output": {**content["output"], "labels": [[]] * 20}}), "is damaged"),
        (lambda content: json.dumps({**content, "features": content["features"] * 2}), "is damaged"),
        (lambda content: json.dumps({**content, "sensitive": 5}), "is damaged"),
        (lambda content: "[" * 200_000 + "]" * 200_000, "is nested too deeply"),
        (lambda content: '{"format":' * 100_000 + "1" + "}" * 100_000, "is nested too deeply"),
        (lambda content: "9" * 5000, "is not JSON"),
    ],
)
def test_a_bad_file_is_refused(census, tmp_path, change, message):
    """Broken, unrelated, newer and edited files have different messages."""
    path = tmp_path / "profile.json"
    census.save(path)
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(ProfileError, match=message):
        ReferenceProfile.load(path)


def test_a_folder_is_refused_as_a_file(census, tmp_path):
    """The name of a folder raises its own error, and no partial file remains."""
    for path in (tmp_path, ".", ".."):
        with pytest.raises(IsADirectoryError):
            census.save(path)
    assert list(tmp_path.iterdir()) == []
    assert not tmp_path.with_name(f"{tmp_path.name}.partial").exists()


def test_a_missing_file_is_named(tmp_path):
    """The path and the reason are in the message."""
    with pytest.raises(ProfileError, match=r"cannot read the profile .*none\.json: No such file"):
        ReferenceProfile.load(tmp_path / "none.json")
