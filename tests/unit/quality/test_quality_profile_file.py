"""The file of a profile: what is in it, older formats, and files that are damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from otel_ml._digests import digest
from otel_ml.quality import ProfileError, ReferenceProfile, Schema

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
    assert (content["format_version"], content["id"], ReferenceProfile.load(path)) == (5, FORMAT_2["id"], old)


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
            "profile format 99, this version reads up to 5",
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
