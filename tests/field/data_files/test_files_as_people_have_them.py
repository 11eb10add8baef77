"""Data files in the formats and folders that people keep them in, and files that are not quite right.

Sources: airbytehq/airbyte#28860, pandas-dev/pandas#59009, DOI-USGS/dataretrieval-python#311, evidentlyai/evidently#1480,
frictionlessdata/frictionless-py#1232.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from otel_ml import ReferenceProfile
from otel_ml.cli import main
from otel_ml.quality import Comparison, CsvFormat, DataFileError, DataFiles, read_training, scan_files

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"age": RNG.normal(40, 9, 900), "city": RNG.choice(["Zürich", "Bern"], 900)})
PROFILE = ReferenceProfile.fit(FRAME)

WRITERS: dict[str, Callable[[Path], object]] = {
    "data.parquet": FRAME.to_parquet,
    "data.pq": FRAME.to_parquet,
    "data.csv": lambda path: FRAME.to_csv(path, index=False),
    "data.CSV": lambda path: FRAME.to_csv(path, index=False),
    "data.csv.gz": lambda path: FRAME.to_csv(path, index=False),
    "data.tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "semicolon.csv": lambda path: FRAME.to_csv(path, index=False, sep=";"),
    "tab.csv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "bar.csv": lambda path: FRAME.to_csv(path, index=False, sep="|"),
    "mark.csv": lambda path: FRAME.to_csv(path, index=False, encoding="utf-8-sig"),
    "wide.csv": lambda path: FRAME.to_csv(path, index=False, encoding="utf-16"),
    "index.csv": FRAME.to_csv,
    "windows.csv": lambda path: FRAME.to_csv(path, index=False, lineterminator="\r\n"),
    "data.jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "data.ndjson.gz": lambda path: FRAME.to_json(path, orient="records", lines=True, compression="gzip"),
    "data.json": lambda path: FRAME.to_json(path, orient="records", indent=1),
    "by_column.json": FRAME.to_json,
    "by_column_indented.json": lambda path: FRAME.to_json(path, indent=2),
    "split.json": lambda path: FRAME.to_json(path, orient="split"),
    "data.feather": FRAME.to_feather,
    "data.arrow": lambda path: FRAME.to_feather(path, compression="uncompressed"),
}


def compare(*paths: Path | str, form: CsvFormat | None = None) -> Comparison:
    return scan_files(PROFILE, DataFiles(paths, form)).compare()


@pytest.mark.parametrize("name", WRITERS)
def test_every_usual_format_is_read(tmp_path: Path, name: str) -> None:
    """Rows and verdicts are the same in each."""
    WRITERS[name](tmp_path / name)
    found = compare(tmp_path / name)

    assert (found.rows, found.findings, [drift.count for drift in found.features]) == (900, {}, [900, 900])
    assert DataFiles([tmp_path / name]).names == ("age", "city")


@pytest.mark.parametrize("given", ["folder", "pattern", "files", "both"])
def test_several_files_are_one_data_set(tmp_path: Path, given: str) -> None:
    """A folder of parts, a pattern, several paths; each file counts once, and other files are left out."""
    folder = tmp_path / "june"
    (folder / "day=2").mkdir(parents=True)
    parts = [folder / "part-0.parquet", folder / "part-1.csv", folder / "day=2" / "part-2.jsonl"]
    FRAME[:300].to_parquet(parts[0])
    FRAME[300:600].to_csv(parts[1], index=False)
    FRAME[600:].to_json(parts[2], orient="records", lines=True)
    (folder / "_SUCCESS").touch()
    (folder / ".part-0.parquet.crc").touch()
    (folder / "README.txt").touch()
    FRAME.to_csv(folder / "_part-3.csv")
    FRAME.to_csv(folder / ".part-4.csv")
    paths = {"folder": [folder], "pattern": [folder / "**" / "part*"], "files": parts, "both": [folder, *parts]}[given]
    found = compare(*paths)

    assert (found.rows, found.findings) == (900, {})


def test_a_feature_may_be_the_index_of_a_file(tmp_path: Path) -> None:
    """A feature, or the moment of a row, is found in the index of a frame too."""
    frame = FRAME.assign(when=pd.date_range("2026", periods=900, freq="h"))
    frame.set_index(["age", "when"]).to_parquet(tmp_path / "i.parquet")
    found = scan_files(PROFILE, DataFiles([tmp_path / "i.parquet"]), by="week").compare()

    assert (found.findings, [drift.count for drift in found.features], len(found.periods)) == ({}, [900, 900], 6)


def test_an_arrow_stream_is_read(tmp_path: Path) -> None:
    """`.arrow` may hold the stream format."""
    import pyarrow as pa

    table = pa.Table.from_pandas(FRAME)
    with pa.OSFile(str(tmp_path / "s.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)

    assert compare(tmp_path / "s.arrow").rows == 900


def test_a_key_that_only_some_rows_have_is_absent_in_the_others(tmp_path: Path) -> None:
    """JSON rows without a key count as absent values, and a column that no row has is absent."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"age": 40.0} if place % 3 else {}) + "\n" for place in range(900)))
    found = {drift.name: drift for drift in compare(path).features}

    assert (found["age"].count, found["age"].missing, found["age"].verdict) == (600, 300, "missing")
    assert found["city"].verdict == "absent"


def test_values_may_have_line_breaks(tmp_path: Path) -> None:
    """Quoted line breaks belong to a value in a file of several blocks too."""
    path = tmp_path / "breaks.csv"
    frame = pd.DataFrame({"city": np.where(RNG.random(130_000) < 0.5, "ab\ncd" * 12, "x,y"), "n": 1})
    frame.to_csv(path, index=False)
    assert path.stat().st_size > 4 << 20
    files = DataFiles([path])
    profile = ReferenceProfile.fit(read_training(files, ["city"]).columns)

    assert scan_files(profile, files).compare().findings == {}
    assert scan_files(profile, files).rows == len(frame)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("age,city\n1,a\n2,b,c\n", "line 3: 3 values, the header has 2 columns"),
        ("age,city\n1,a\n2\n", "line 3: 1 values, the header has 2 columns"),
        ('age,city\n1,"a\nb"\n2\n', "line 4: 1 values, the header has 2 columns"),
        ("age,city\n" + "1,a\n" * 3_000_000 + "2\n", "line 3000002: 1 values, the header has 2 columns"),
        ('age,city\n1,a\n2,"b\n' + "3,c\n" * 99, "line 3: a quote is not closed"),
        ('age,city\n1,a\n"2,b\n' + "3,c\n" * 9, "line 3: 1 values, the header has 2 columns"),
        ('age,city\n1,a\n2,"b\n' + "3,c\n" * 3_000_000, "line 3: a quote is not closed"),
        ("age,city,age\n1,a,2\n", "line 1: the columns 1 and 3 are both called 'age'"),
        ("age,city\n1,Z\xfcrich\n", "line 2: not UTF-8 text (byte 0xfc): give --encoding latin-1"),
        ("age,Stra\xdfe\n1,2\n", "line 1: not UTF-8 text (byte 0xdf): give --encoding latin-1"),
        ("", "has no rows"),
        ("age,city\n", "has no rows"),
        ("age,city", "has no rows"),
    ],
    ids=[
        "more",
        "fewer",
        "after a line break",
        "in a later block",
        "open quote",
        "open quote first",
        "open quote long",
        "two names",
        "encoding",
        "header",
        "empty",
        "none",
        "only a header",
    ],
)
def test_a_file_that_is_not_quite_csv_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    """The message names file, line and column, and quotes no value."""
    path = tmp_path / "bad.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataFileError) as caught:
        compare(path)

    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_the_user_says_encoding_and_separator(tmp_path: Path) -> None:
    """With the right encoding the categories are those of training; the error about a wrong separator names the option."""
    path = tmp_path / "latin.csv"
    FRAME.to_csv(path, index=False, sep=";", encoding="latin-1")

    assert compare(path, form=CsvFormat(encoding="latin-1")).findings == {}
    with pytest.raises(DataFileError, match=r"has one column, 'age;city': give --separator ';'"):
        compare(path, form=CsvFormat(separator=",", encoding="latin-1"))
    with pytest.raises(DataFileError, match="there is no encoding 'latin-99'"):
        compare(path, form=CsvFormat(encoding="latin-99"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.parquet", b"PAR1"),
        ("broken.feather", b"no"),
        ("cut.csv.gz", gzip.compress(b"age\n" * 9999, mtime=0)[:40]),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    """The message names the file."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataFileError, match=name):
        compare(tmp_path / name)


@pytest.mark.parametrize("content", ['{"age": 1}\nnot json\n', '{"age": 1}\n[1]\n', '{"age": 1}\n3\n'])
def test_json_lines_that_are_none_name_the_line(tmp_path: Path, content: str) -> None:
    """One object a line is expected; the value is not quoted."""
    (tmp_path / "bad.jsonl").write_text(content)
    with pytest.raises(DataFileError, match=r"bad\.jsonl, line 2: (not JSON|give one JSON object)"):
        compare(tmp_path / "bad.jsonl")


@pytest.mark.parametrize("name", ["link.csv", "pipe.csv"])
def test_what_is_no_file_is_said(tmp_path: Path, name: str) -> None:
    """A link to nothing and a named pipe are no files to read twice."""
    path = tmp_path / name
    if name == "link.csv":
        path.symlink_to("nowhere")
    else:
        os.mkfifo(path)
    with pytest.raises(DataFileError, match="no file"):
        DataFiles([path])


def test_a_missing_file_and_an_empty_folder_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command exits with 2 and prints one line."""
    saved = tmp_path / "p.json"
    PROFILE.save(saved)
    (tmp_path / "none").mkdir()
    for data in ("none", "none/*.csv", "no.csv"):
        assert main(["drift", "--profile", str(saved), "--data", str(tmp_path / data)]) == 2

    errors = capsys.readouterr().err.splitlines()
    assert [line.partition(str(tmp_path))[0] for line in errors] == [
        "otel-ml drift: no data file in ",
        "otel-ml drift: no file ",
        "otel-ml drift: no file ",
    ]
