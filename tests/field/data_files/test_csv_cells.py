"""CSV is text: the profile, or the whole column, decides what a cell means.

Sources: apache/arrow#46223, apache/arrow#35807, apache/arrow#46853, frictionlessdata/frictionless-py#1232,
pandas-dev/pandas#55032, pola-rs/polars#27654, opendp/dpcreator#433, JuliaData/DataFrames.jl#291, evidentlyai/evidently#329, AndreaBozzo/dataprof#425.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from otel_ml import ReferenceProfile
from otel_ml.cli import main
from otel_ml.quality import CsvFormat, DataFiles, FeatureDrift, read_training, scan_files

ROWS = 2000
RNG = np.random.default_rng(0)
ABC = RNG.integers(0, 3, ROWS)


def pick(*values: object) -> list[object]:
    return [values[place % len(values)] for place in ABC]


NUMBERS = RNG.normal(size=ROWS)
COLUMNS: dict[str, Any] = {
    "float": NUMBERS,
    "float with missing": pd.Series(NUMBERS).where(NUMBERS > -1),
    "single precision": NUMBERS.astype(np.float32),
    "whole": RNG.integers(-500, 500, ROWS),
    "whole with missing": pd.Series(RNG.integers(-500, 500, ROWS)).where(NUMBERS > -1),
    "nullable whole": pd.array(pick(1, 2, None), dtype="Int64"),
    "few numbers": pick(0, 1, 2),
    "few numbers with missing": pd.Series(pick(1, 2, np.nan)),
    "few fractions": pick(0.1, 0.123456789, 2.5),
    "few single fractions": np.array(pick(0.1, 0.25, 0.3), dtype=np.float32),
    "boolean": NUMBERS > 0,
    "nullable boolean": pd.array(pick(True, False, None), dtype="boolean"),
    "code": pick("01", "02", "10"),
    "blanks": pick(" a", "b ", "c d"),
    "not ASCII": pick("Zürich", "東京", "Łódź"),
    "quoted": pick('5" pipe', "a,b", "two\nlines"),
    "text with missing": pick("x", None, "y"),
}


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    elif path.suffix == ".feather":
        frame.to_feather(path)
    else:
        frame.to_csv(path, index=False)
    return path


def compare(profile: ReferenceProfile, path: Path, form: CsvFormat | None = None) -> FeatureDrift:
    return scan_files(profile, DataFiles([path], form)).features()[0]


def counted(drift: FeatureDrift) -> dict[str, Any]:
    shares = [(found.label, None if found.share is None else round(found.share, 12)) for found in drift.bins]
    return {"count": drift.count, "missing": drift.missing, "invalid": drift.invalid, "bins": shares}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_row_lands_in_the_same_bins_from_any_file(tmp_path: Path, name: str) -> None:
    """Frame, parquet, CSV, Feather and JSON lines give the same counts, and a column has no finding against itself."""
    frame = pd.DataFrame({name: COLUMNS[name]})
    profile = ReferenceProfile.fit(frame)
    expected = counted(profile.compare(frame).features[0])
    assert expected["invalid"] == 0
    for ending in ("parquet", "csv", "csv.gz", "feather", "jsonl"):
        drift = compare(profile, write(frame, tmp_path / f"data.{ending}"))
        assert (ending, counted(drift), drift.findings) == (ending, expected, ())


@pytest.mark.parametrize("name", COLUMNS)
def test_a_profile_of_a_csv_file_fits_the_frame(tmp_path: Path, name: str) -> None:
    """Conversely, a profile of the CSV file finds nothing in the frame or in the parquet file."""
    frame = pd.DataFrame({name: COLUMNS[name]})
    files = DataFiles([write(frame, tmp_path / "data.csv")])
    profile = ReferenceProfile.fit(read_training(files, files.names).columns)

    for drift in (profile.compare(frame).features[0], compare(profile, write(frame, tmp_path / "data.parquet"))):
        assert (drift.findings, drift.invalid, drift.psi) == ((), 0, pytest.approx(0, abs=0.01))


def lines(path: Path, cells: Iterable[object]) -> Path:
    path.write_text("x,c\n" + "".join(f"{place % 977 / 7:.40f},{cell}\n" for place, cell in enumerate(cells)))
    return path


@pytest.mark.filterwarnings("ignore:values without a bin")
@pytest.mark.parametrize(
    ("late", "kinds"),
    [
        ([""] * 190_000 + ["late"] * 10_000, {type(None), str}),
        (["1"] * 190_000 + ["1.5"] * 10_000, {float}),
        ([str(place % 999) for place in range(190_000)] + ["unknown"], {float, str}),
    ],
    ids=["text after empty cells", "fractions after whole numbers", "one text after numbers"],
)
def test_late_cells_count_as_much_as_early_ones(tmp_path: Path, late: list[str], kinds: set[type]) -> None:
    """A file of several blocks is read like a small one: no cell decides how later ones are read."""
    path = lines(tmp_path / "late.csv", late)
    assert path.stat().st_size > 8 << 20
    files = DataFiles([path])
    column = read_training(files, ["c"]).columns["c"]
    drift = compare(ReferenceProfile.fit({"c": column}), path)

    assert ({type(value) for value in np.asarray(column).tolist()}, drift.findings) == (kinds, ())
    assert drift.count + drift.missing + drift.invalid == len(late)


def test_one_odd_cell_is_one_invalid_value(tmp_path: Path) -> None:
    """The other cells of the column are numbers as before."""
    profile = ReferenceProfile.fit({"c": NUMBERS})
    drift = compare(profile, lines(tmp_path / "odd.csv", ["?", *NUMBERS[1:]]))

    assert (drift.count, drift.invalid, drift.invalid_kinds, drift.verdict) == (ROWS - 1, 1, ("text",), "ok")


@pytest.mark.parametrize("write_number", ["{:,.2f} $".format, "about {:.1f}".format, "{:.2f}%".format])
def test_numbers_that_became_text_are_a_finding(tmp_path: Path, write_number: Callable[[float], str]) -> None:
    """No value has a bin, each is counted as invalid, and the command says so."""
    profile = ReferenceProfile.fit({"c": NUMBERS})
    path = tmp_path / "text.csv"
    pd.DataFrame({"c": [write_number(value) for value in NUMBERS]}).to_csv(path, index=False)
    drift = compare(profile, path)

    assert (drift.verdict, drift.count, drift.missing, drift.invalid, drift.psi) == ("invalid", 0, 0, ROWS, None)


@pytest.mark.parametrize("cell", ["NA", "None", "nan", "null", "N/A"])
def test_a_category_may_be_called_like_a_missing_value(tmp_path: Path, cell: str) -> None:
    """Namibia is a country if the profile knows it; elsewhere such a cell is missing."""
    path = lines(tmp_path / "countries.csv", pick(cell, "NE", "NC"))
    known = compare(ReferenceProfile.fit({"c": pick(cell, "NE", "NC")}), path)
    unknown = compare(ReferenceProfile.fit({"c": pick("NE", "NC", "NG")}), path)

    assert (known.missing, known.findings) == (0, ())
    assert unknown.missing == int(np.sum(ABC == 0))


def test_the_user_says_which_cells_are_missing(tmp_path: Path) -> None:
    """`nulls` replaces the usual ones; an empty cell is always missing."""
    path = lines(tmp_path / "nulls.csv", [("-1", "NA", "", "5")[place % 4] for place in range(400)])
    files = DataFiles([path], CsvFormat(nulls=("-1",)))
    column = read_training(files, ["c"]).columns["c"]

    assert list(column[:4]) == [None, "NA", None, "5"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["007", "012", "100"], ["007", "012", "100"]),
        (["1", "2", "3"], [1, 2, 3]),
        (["1", "", "3"], [1.0, None, 3.0]),
        (["+1.5", ".5", "1e3"], [1.5, 0.5, 1000.0]),
        (["0.5", "0", "-0.25"], [0.5, 0.0, -0.25]),
        ([" 1.5", "2 ", "  "], [1.5, 2.0, None]),
        (["a ", " NA", "b"], ["a", None, "b"]),
        (["True", "", "FALSE"], [True, None, False]),
        (["12345678901234567890", "99999999999999999999", "1"], [12345678901234567890.0, 1e20, 1.0]),
        (["yes", "no", "NA"], ["yes", "no", None]),
        (["1.0.2", "1.10", "2"], ["1.0.2", "1.10", "2"]),
        (["-01", "02", "10"], ["-01", "02", "10"]),
    ],
)
def test_a_column_is_typed_by_all_of_its_cells(tmp_path: Path, cells: list[str], expected: list[object]) -> None:
    """Without a profile: numbers if all cells are, booleans, or text; codes with leading zeros stay text."""
    files = DataFiles([lines(tmp_path / "typed.csv", cells)])
    column = pd.Series(read_training(files, ["c"]).columns["c"])

    assert [None if pd.isna(value) else value for value in column.tolist()] == expected


@pytest.mark.filterwarnings("ignore:values without a bin")
def test_cells_that_are_no_numbers_are_part_of_the_reference(tmp_path: Path) -> None:
    """Three of 100 cells were `unknown` in training: the same share later is no finding, but 100 % is."""
    cells = ["unknown" if place % 33 == 0 else f"{value:.6f}" for place, value in enumerate(NUMBERS)]
    files = DataFiles([lines(tmp_path / "some.csv", cells)])
    data = read_training(files, ["c"])
    profile = ReferenceProfile.fit(data.columns)
    all_unknown = compare(profile, lines(tmp_path / "all.csv", ["unknown"] * ROWS))

    assert profile.features[0].invalid == 61
    assert (compare(profile, files.paths[0]).findings, all_unknown.verdict) == ((), "invalid")


@pytest.mark.parametrize("moment", ["2026-06-01", "2026-06-01 12:00:00", "2026-06-01T12:00:00Z"])
def test_dates_are_no_categories(tmp_path: Path, moment: str) -> None:
    """A column of dates is left out of the profile: tomorrow's date is not drift."""
    files = DataFiles([lines(tmp_path / "dates.csv", [moment] * 400)])
    with pytest.warns(UserWarning, match="dates"):
        profile = ReferenceProfile.fit(read_training(files, files.names).columns)

    assert [feature.name for feature in profile.features] == ["x"]


def test_a_semicolon_file_has_decimal_commas(tmp_path: Path) -> None:
    """As spreadsheets write it in most of Europe, `1,5` between semicolons is a number."""
    path = tmp_path / "europe.csv"
    pd.DataFrame({"c": NUMBERS, "d": NUMBERS}).to_csv(path, index=False, sep=";", decimal=",")
    profile = ReferenceProfile.fit({"c": NUMBERS})

    assert counted(compare(profile, path)) == counted(profile.compare({"c": NUMBERS}).features[0])


def test_types_of_a_file_differ_from_those_of_training(tmp_path: Path) -> None:
    """Numbers among texts, and whole numbers as halves, are the categories of training."""
    frame = pd.DataFrame({"c": pick("a", "b", "123")})
    profile = ReferenceProfile.fit(frame)
    few = ReferenceProfile.fit({"c": pick(1, 2, 3)})
    half = pd.DataFrame({"c": np.array(pick(1, 2, 3), dtype=np.float16)})

    assert compare(profile, write(frame, tmp_path / "mixed.csv")).findings == ()
    assert compare(few, write(half, tmp_path / "half.csv")).findings == ()


def test_the_command_reads_codes_as_the_profile_has_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`01` of a parquet file is `01` of a CSV file; nothing has drifted."""
    frame = pd.DataFrame({"code": pick("01", "02", "10"), "x": NUMBERS})
    parquet, csv, saved = write(frame, tmp_path / "a.parquet"), write(frame, tmp_path / "a.csv"), tmp_path / "p.json"
    assert main(["profile", "--data", str(parquet), "--output", str(saved)]) == 0
    capsys.readouterr()
    assert main(["drift", "--profile", str(saved), "--data", str(csv), "--fail", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["findings"] == {}


@pytest.mark.parametrize(
    ("numbers", "kind", "said"), [(200, "number", "c: 10 values have no bin"), (4, "category", "")]
)
def test_the_command_says_what_counts_as_invalid(
    tmp_path: Path, capsys: Any, numbers: int, kind: str, said: str
) -> None:
    """Numbers with other separators are invalid in a column of many numbers, and categories among a few."""
    cells = [str(place % numbers / 8) for place in range(400)] + ['"1.234,56"'] * 10
    path, saved = lines(tmp_path / "c.csv", cells), tmp_path / "p.json"
    assert main(["profile", "--data", str(path), "--output", str(saved)]) == 0

    feature = next(one for one in ReferenceProfile.load(saved).features if one.name == "c")
    assert (feature.kind, feature.invalid) == (kind, 10 if said else 0)
    told = capsys.readouterr().err
    assert said in told
    assert ("have no bin" in told) == bool(said)
