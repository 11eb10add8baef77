"""What `otel-ml drift` and `compare` report about a data set that differs from training.

Sources: yakew7/Fair-Code#461, evidentlyai/evidently#187, evidentlyai/evidently#1480, evidentlyai/evidently#530,
Azure/cosmos-explorer#2499 (names of columns as HTML).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from otel_ml import ReferenceProfile
from otel_ml.cli import main
from otel_ml.quality import Comparison, DataFiles, ProfileError, scan_files

ROWS = 7000
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "a": RNG.normal(size=ROWS),
        "job": RNG.choice(["nurse", "cook", "smith"], ROWS),
        "when": pd.date_range("2026-06-01", periods=ROWS, freq="86s"),
    }
)
with pytest.warns(UserWarning, match="not monitored: when"):
    PROFILE = ReferenceProfile.fit(FRAME)
LATE = FRAME["when"] >= "2026-06-05"
SOME = RNG.random(ROWS)


def findings(frame: Any, **arguments: Any) -> Mapping[str, tuple[str, ...]]:
    return PROFILE.compare(frame, **arguments).findings


def feature(comparison: Comparison, name: str) -> Any:
    return next(drift for drift in comparison.features if drift.name == name)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    PROFILE.save(tmp_path / "p.json")
    return tmp_path / "p.json"


CHANGES: dict[str, tuple[pd.DataFrame, str, tuple[str, ...]]] = {
    "absent": (FRAME.drop(columns="a"), "a", ("absent",)),
    "renamed": (FRAME.rename(columns={"a": "b"}), "a", ("absent",)),
    "empty": (FRAME.assign(a=np.nan), "a", ("missing",)),
    "infinite": (FRAME.assign(a=np.inf), "a", ("invalid",)),
    "a sixth missing": (FRAME.assign(job=FRAME["job"].where(SOME > 0.165)), "job", ("missing",)),
    "mostly missing": (FRAME.assign(a=FRAME["a"].where(SOME < 0.07)), "a", ("missing",)),
    "text": (FRAME.assign(a=FRAME["a"].map("{:,.2f} $".format)), "a", ("invalid",)),
    "new category": (FRAME.assign(job=FRAME["job"].where(SOME > 0.1, "pilot")), "job", ("unseen", "drifted")),
    "shifted": (FRAME.assign(a=FRAME["a"] + 1), "a", ("out_of_range", "drifted")),
    "empty text": (FRAME.assign(job=""), "job", ("missing",)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_what_goes_away_or_changes_is_found(tmp_path: Path, saved: Path, change: str, ending: str) -> None:
    """The command exits with 1, unless the feature is allowed; every row is in exactly one count."""
    frame, name, expected = CHANGES[change]
    if (change, ending) == ("empty text", "parquet"):
        expected = ("unseen", "drifted")  # a text without characters is a value; in a CSV file it is an empty cell
    data = tmp_path / f"new.{ending}"
    frame.to_parquet(data) if ending == "parquet" else frame.to_csv(data, index=False)
    command = ["drift", "--profile", str(saved), "--data", str(data), "--fail"]
    assert (main(command), main([*command, "--allow", name])) == (1, 0)

    found = PROFILE.compare(frame) if ending == "parquet" else None
    if found is not None:
        drift = feature(found, name)
        assert drift.findings
        assert set(drift.findings) <= set(expected)
        assert drift.count + drift.missing + drift.invalid == ROWS


def test_a_file_with_none_of_the_columns_is_all_absent(tmp_path: Path, saved: Path) -> None:
    """A data set without any of the columns has a finding for each."""
    pd.DataFrame({"zzz": range(1000)}).to_csv(tmp_path / "z.csv", index=False)

    assert main(["drift", "--profile", str(saved), "--data", str(tmp_path / "z.csv"), "--fail"]) == 1
    assert findings({"zzz": range(1000)}) == {"a": ("absent",), "job": ("absent",)}


@pytest.mark.parametrize(("shift", "direction"), [(1.0, "up"), (-1.0, "down")])
def test_the_direction_of_a_number_is_reported(shift: float, direction: str) -> None:
    """The bins that moved most come first, with both shares."""
    drift = feature(PROFILE.compare({"a": FRAME["a"] + shift}), "a")

    assert (drift.direction, len(drift.changes)) == (direction, 3)
    outer = drift.changes[0]
    assert (outer.label[:2], outer.share > 0.25, round(outer.reference, 1)) == ("09" if shift > 0 else "00", True, 0.1)
    assert feature(PROFILE.compare(FRAME), "a").direction is None


def test_new_categories_are_named_and_cut() -> None:
    """The five most frequent ones, long ones cut; those of a sensitive column never."""
    names = ["pilot"] * 400 + ["x" * 500] * 300 + [f"rare {place % 7}" for place in range(300)]
    frame = FRAME.assign(job=[*names, *FRAME["job"][1000:]])
    drift = feature(PROFILE.compare(frame), "job")
    secret = ReferenceProfile.fit(FRAME[["job"]], sensitive=("job",)).compare(frame)

    assert list(drift.new_categories.items())[:2] == [("pilot", 400), ("x" * 40, 300)]
    assert len(drift.new_categories) == 5
    assert feature(secret, "job").new_categories is None
    told = str(secret) + json.dumps(secret.to_dict()) + secret._repr_html_()
    assert not re.search("pilot|xxx|rare|nurse|cook|smith", told)


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        (["canary"] * 900, ("text",)),
        ([True] * 900, ("boolean",)),
        ([float("inf")] * 900, ("infinite",)),
        ([[1.0]] * 900, ("other",)),
    ],
)
def test_the_kind_of_invalid_values_is_reported(values: list[object], kinds: tuple[str, ...]) -> None:
    """The report names the kind, never the value itself."""
    found = PROFILE.compare({"a": values, "job": ["cook"] * 900})
    drift = feature(found, "a")

    assert (drift.verdict, drift.invalid, drift.invalid_kinds) == ("invalid", 900, kinds)
    assert f"of another type (expected 0.0 %): {kinds[0]}" in str(found)
    assert "canary" not in str(found) + found._repr_html_()


@pytest.mark.parametrize("by", ["day", "week", "hour"])
def test_a_change_is_seen_in_its_period(by: Any) -> None:
    """Over the whole week the shift hides; the split by day shows since when."""
    frame = FRAME.assign(a=FRAME["a"] + np.where(LATE, 0.8, 0), job=FRAME["job"].where(~LATE | (SOME > 0.03)))
    found = PROFILE.compare(frame, by=by, time="when")

    assert (len(found.periods), sum(period.rows for period in found.periods)) == (
        {"day": 7, "week": 1, "hour": 168}[by],
        ROWS,
    )
    if by == "day":
        assert [period.verdict for period in found.periods] == ["ok"] * 4 + ["missing"] * 3
        assert found.since == {"a": "2026-06-05", "job": "2026-06-05"}
        assert str(found).splitlines()[-1] == "  since 2026-06-05: a, job"
        assert [line.split()[0] for line in str(found).splitlines()[-8:-1]] == [
            f"2026-06-0{day}" for day in range(1, 8)
        ]


def test_a_change_that_ended_has_no_beginning() -> None:
    """A feature without a finding in the last period has no first period of change."""
    middle = FRAME["when"].dt.day.isin([3, 4])
    found = PROFILE.compare(FRAME.assign(a=FRAME["a"].where(~middle)), by="day")

    assert [period.verdict for period in found.periods][1:5] == ["ok", "missing", "missing", "ok"]
    assert (found.since, found.findings) == ({}, {"a": ("missing",)})


def test_periods_with_too_few_rows_end_no_change() -> None:
    """A last day with a handful of rows does not end a change."""
    moved = (FRAME["a"] + np.where(LATE, 1, 0)).clip(upper=FRAME["a"].max())
    frame = FRAME.assign(a=moved)[: -1004 + 50]
    found = PROFILE.compare(frame, by="day")

    assert [period.verdict for period in found.periods][-2:] == ["drifted", "too_few"]
    assert found.since == {"a": "2026-06-05"}


MOMENTS: dict[str, Any] = {
    "datetimes": FRAME["when"],
    "with zone": FRAME["when"].dt.tz_localize("UTC").dt.tz_convert("America/New_York"),
    "ISO texts": FRAME["when"].dt.strftime("%Y-%m-%dT%H:%M:%S"),
    "dates": FRAME["when"].dt.date,
    "seconds": FRAME["when"].astype("datetime64[s]").astype("int64"),
    "milliseconds": FRAME["when"].astype("datetime64[ms]").astype("int64"),
    "python": FRAME["when"].dt.to_pydatetime().tolist()
    if not hasattr(FRAME["when"].dt.to_pydatetime(), "to_list")
    else FRAME["when"].dt.to_pydatetime().to_list(),
}


@pytest.mark.parametrize("form", MOMENTS)
@pytest.mark.parametrize("ending", ["frame", "parquet", "csv", "jsonl"])
def test_every_usual_form_of_a_moment_is_read(tmp_path: Path, saved: Path, form: str, ending: str) -> None:
    """Datetimes with and without a zone, dates, ISO texts and seconds since 1970 give the same seven days."""
    frame = FRAME.assign(when=MOMENTS[form])
    data, report = tmp_path / f"d.{ending}", tmp_path / "r.html"
    if ending == "frame":
        labels = [period.label for period in PROFILE.compare(frame, by="day", time="when").periods]
        assert labels == [f"2026-06-0{day}" for day in range(1, 8)]
        return
    {
        "parquet": lambda: frame.to_parquet(data),
        "csv": lambda: frame.to_csv(data, index=False),
        "jsonl": lambda: (
            frame.astype({"when": str}).to_json(data, orient="records", lines=True)
            if form not in {"seconds", "milliseconds"}
            else frame.to_json(data, orient="records", lines=True)
        ),
    }[ending]()
    command = ["drift", "--profile", str(saved), "--data", str(data), "--by", "day", "--time", "when"]
    assert main([*command, "--report", str(report)]) == 0

    assert re.findall(r"2026-06-\d\d", report.read_text()) == [f"2026-06-0{day}" for day in range(1, 8)]


@pytest.mark.parametrize("write", ["csv", "frame"])
def test_the_message_names_the_first_value_that_is_no_moment(tmp_path: Path, write: str) -> None:
    """Days before months, as in exports of spreadsheets, are not guessed; one odd cell is found among good ones."""
    days = [*FRAME["when"].astype(str)[:50], None, "30/06/2026 08:15", *FRAME["when"].astype(str)[52:]]
    frame = FRAME.assign(when=days)
    data = tmp_path / "new.csv"
    frame.to_csv(data, index=False)

    scan = {
        "csv": lambda: scan_files(PROFILE, DataFiles([data]), by="day", time="when"),
        "frame": lambda: PROFILE.compare(frame, by="day", time="when"),
    }[write]
    with pytest.raises(ProfileError, match=r"such as 2026-06-30 or seconds since 1970, but '30/06/2026 08:15'$"):
        scan()


def test_the_time_column_is_found_or_asked_for() -> None:
    """The only column with datetimes is taken; with none or two the message names them. Rows without a moment are shown."""
    two = FRAME.assign(paid=FRAME["when"])
    some = FRAME.assign(when=FRAME["when"].where(SOME > 0.5))
    with pytest.raises(ProfileError, match="datetimes are in when, paid"):
        PROFILE.compare(two, by="day")
    with pytest.raises(ProfileError, match="no column holds datetimes"):
        PROFILE.compare(FRAME[["a", "job"]], by="day")
    with pytest.raises(ProfileError, match="the time column holds no datetimes.*, but 'nurse'"):
        PROFILE.compare(FRAME, by="day", time="job")
    with pytest.raises(ProfileError, match="no column 'zzz'"):
        PROFILE.compare(FRAME, by="day", time="zzz")

    assert PROFILE.compare(some, by="day").periods[-1].label == "unknown"


@pytest.mark.parametrize(
    "make", [dict, pl.from_pandas, pa.Table.from_pandas, lambda frame: frame.astype({"job": "category"})]
)
def test_compare_takes_what_people_hold(make: Any) -> None:
    """A mapping, frames of polars and arrow, categories; split by day too."""
    found = PROFILE.compare(make(FRAME), by="day", time="when")

    assert (found.rows, found.findings, len(found.periods)) == (ROWS, {}, 7)


def test_a_comparison_is_a_table() -> None:
    """A row per feature; with a split a row per period and feature."""
    frame = PROFILE.compare(FRAME.drop(columns="a")).to_frame()
    split = PROFILE.compare(FRAME, by="day").to_frame()

    assert frame[["feature", "verdict", "changed"]].to_numpy().tolist() == [
        ["a", "absent", "the data has no such column"],
        ["job", "ok", ""],
    ]
    assert (len(split), split["day"].iloc[0]) == (14, "2026-06-01")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "style"} or name[:2] == "on"]


def test_the_report_is_one_page_without_scripts(tmp_path: Path) -> None:
    """Names and categories are escaped; nothing is loaded from elsewhere."""
    bad = "<script>alert(1)</script>&"
    frame = pd.DataFrame(
        {bad: RNG.choice(["x", "<b>y</b>"], 900), "when": pd.date_range("2026", periods=900, freq="h")}
    )
    with pytest.warns(UserWarning, match="not monitored"):
        profile = ReferenceProfile.fit(frame)
    profile.compare(frame.replace("x", "<img src=q onerror=alert(2)>"), by="week").save(tmp_path / "r.html")
    page, parsed = (tmp_path / "r.html").read_text(), Tags()
    parsed.feed(page)

    assert parsed.links == []
    assert parsed.tags & {"script", "link", "img", "b", "iframe", "a", "form"} == set()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in page
    assert "&lt;img src=q onerror=alert(2)&gt;" in page


def test_two_data_sets_are_compared_without_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first data set is fitted, and the second one compared with it."""
    FRAME.to_csv(tmp_path / "old.csv", index=False)
    FRAME.assign(a=FRAME["a"] + 1).to_parquet(tmp_path / "new.parquet")
    command = ["drift", "--reference", str(tmp_path / "old.csv"), "--data", str(tmp_path / "new.parquet"), "--json"]
    assert main([*command, "--sensitive", "job", "--fail"]) == 1
    figures = json.loads(capsys.readouterr().out)

    assert (figures["findings"], figures["reference_rows"]) == ({"a": ["out_of_range", "drifted"]}, ROWS)
    assert [found["label"] for found in figures["features"][1]["bins"]] == ["c00", "c01", "c02", "__other__"]


def test_the_command_passes_on_what_the_user_says_about_columns(tmp_path: Path) -> None:
    """Numbers, kept columns, the clock and the number of bins, as in `fit`."""
    frame = pd.DataFrame(
        {"few": [0, 1] * 450, "id": range(900), "hour": [place % 24 for place in range(900)], "a": SOME[:900]}
    )
    frame.to_csv(tmp_path / "d.csv", index=False)
    given = ["--numeric", "few", "--keep", "id", "--periodic", "hour", "--bins", "5"]
    saved = tmp_path / "p.json"
    assert main(["profile", "--data", str(tmp_path / "d.csv"), "--output", str(saved), *given]) == 0

    assert ReferenceProfile.load(saved) == ReferenceProfile.fit(
        frame, numeric=["few"], keep=["id"], periodic=["hour"], bins=5
    )
    assert main(["profile", "--data", str(tmp_path / "d.csv"), "--output", str(saved), "--bins", "99"]) == 2


def test_allowed_names_have_to_exist(tmp_path: Path, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name in `--allow` is an error."""
    FRAME.to_parquet(tmp_path / "d.parquet")

    assert main(["drift", "--profile", str(saved), "--data", str(tmp_path / "d.parquet"), "--allow", "jobb"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "otel-ml drift: --allow: no feature 'jobb' in the profile"


def test_the_table_fits_a_terminal() -> None:
    """Lines have at most 100 characters, whatever changed."""
    frame = pd.DataFrame({f"feature_{place}": RNG.normal(size=900) for place in range(30)})
    profile = ReferenceProfile.fit(frame)
    moved = (frame * 3 + 1).assign(when=pd.date_range("2026", periods=900, freq="h"), feature_3="new")
    text = str(profile.compare(moved, by="week"))

    assert max(map(len, text.splitlines())) <= 100
