"""`otel-ml profile` and `otel-ml drift`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from otel_ml.cli import main
from otel_ml.quality import ReferenceProfile

DATA = Path(__file__).parents[3] / "examples" / "fastapi_service" / "data"
TRAIN, REPLAY = str(DATA / "train.parquet"), str(DATA / "replay.parquet")


def run(*arguments):
    return main(arguments)


@pytest.fixture
def saved(tmp_path, capsys):
    """The census profile as the command writes it."""
    path = tmp_path / "profile.json"
    arguments = ["--label", "employed", "--score", "predicted_probability", "--exclude", "id", "year", "prediction"]
    assert run("profile", "--data", TRAIN, *arguments, "--output", str(path), "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["id"], summary["rows"], summary["skipped"]) == (ReferenceProfile.load(path).id, 6000, {})
    return path


def test_the_profile_command_writes_what_fit_makes(saved, train):
    """The file contains what the function returns."""
    made = ReferenceProfile.fit(train, score="predicted_probability", label="employed")
    assert ReferenceProfile.load(saved) == made


def test_the_profile_command_prints_bins_and_what_is_left_out(tmp_path, capsys):
    """The output lists each feature, and why the id is not one."""
    assert run("profile", "--data", TRAIN, "--output", str(tmp_path / "p.json"), "--sensitive", "SEX") == 0
    output = capsys.readouterr().out
    assert "AGEP                     number    10 bins: 00 (-inf, 10), 01 [10, 19), 02 [19, 25), ..." in output
    assert "  not monitored: id: no whole number in it repeats" in output


def test_a_profile_is_written_to_a_pipe(tmp_path):
    """An output that is not a regular file is written to and not replaced, such as /dev/null for root."""
    profile = ReferenceProfile.fit({"age": [float(year % 7) for year in range(400)]})
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    profile.save(pipe)
    profile.save(file)
    assert os.read(reader, 65536) == file.read_bytes()
    assert pipe.is_fifo()
    os.close(reader)


def test_a_column_that_occurs_twice_is_refused(tmp_path, capsys):
    """The message names the column and its places."""
    path = tmp_path / "twice.csv"
    path.write_text("a,b,a\n" + "".join(f"x,1,{number % 7}\n" for number in range(400)))
    assert run("profile", "--data", str(path), "--output", str(tmp_path / "p.json")) == 2
    assert capsys.readouterr().err == (
        f"otel-ml profile: {path}, line 1: the columns 1 and 3 are both called 'a': rename one\n"
    )


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_the_drift_command_compares_a_file(saved, replay, tmp_path, capsys, form):
    """Parquet and CSV give the same figures."""
    path = tmp_path / f"replay.{form}"
    replay.to_csv(path, index=False) if form == "csv" else replay.to_parquet(path)
    assert run("drift", "--profile", str(saved), "--data", str(path), "--score", "predicted_probability", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["rows"], figures["drifted"], len(figures["features"])) == (6000, [], 17)
    age = figures["features"][0]
    assert {name: age[name] for name in ("name", "verdict", "findings", "count", "missing", "invalid")} == {
        "name": "AGEP",
        "verdict": "ok",
        "findings": [],
        "count": 6000,
        "missing": 0,
        "invalid": 0,
    }
    assert (age["psi"], age["psi_noise"], age["jensen_shannon"]) == (
        pytest.approx(0.0100066170),
        pytest.approx(0.0093528260),
        pytest.approx(0.0424567122),
    )


def test_the_drift_command_can_fail_on_drift(saved, replay, tmp_path, capsys):
    """With `--fail` a drifted feature is exit code 1; the table marks it."""
    path = tmp_path / "older.parquet"
    replay.assign(AGEP=replay["AGEP"] + 20).drop(columns=["SEX"]).to_parquet(path)
    arguments = ("drift", "--profile", str(saved), "--data", str(path))
    assert (run(*arguments), run(*arguments, "--fail")) == (0, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["SEX", "absent", "-", "-", "-", "0", "100.0", "%", "0.0", "%"]
    assert lines[3] == "    the data has no such column"
    place = next(place for place, line in enumerate(lines) if "AGEP" in line)
    assert lines[place].split()[1] == "out_of_range"
    assert lines[place + 1].startswith(
        "    also drifted; 7.9 % outside the range of training (expected 0.0 %); values went up; 01 [10, 19):"
    )
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["profile", "--data", "none.parquet", "--output", "p.json"], "profile: no file none.parquet"),
        (
            ["profile", "--data", TRAIN, "--output", "p.json", "--label", "y"],
            "profile: no column 'y'; there are id, year",
        ),
        (["profile", "--data", TRAIN, "--output", "p.json", "--exclude", "y"], "profile: no column 'y'"),
        (["profile", "--data", TRAIN, "--output", "/nowhere/p.json"], "profile: cannot write /nowhere/p.json: No such"),
        (["profile", "--data", __file__, "--output", "p.json"], "give a .parquet, .csv, .tsv, .jsonl or .feather file"),
        (["drift", "--profile", "none.json", "--data", TRAIN], "drift: cannot read the profile none.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, capsys):
    """The message says what is wrong; nothing is written."""
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_broken_file_and_a_missing_score_are_named(saved, tmp_path, capsys):
    """The drift command refuses a damaged or wrong file."""
    broken, empty = tmp_path / "broken.parquet", tmp_path / "empty.csv"
    broken.write_bytes(b"PAR1 no")
    empty.write_text("AGEP\n")
    base = ("drift", "--profile", str(saved), "--data")
    assert [run(*base, str(broken)), run(*base, str(empty)), run(*base, REPLAY, "--score", "p")] == [2, 2, 2]
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith(f"otel-ml drift: cannot read {broken}: ")
    assert errors[1:] == [f"otel-ml drift: {empty} has no rows", errors[2]]
    assert errors[2].startswith(f"otel-ml drift: {REPLAY} has no column 'p'; there are id, year, AGEP")


def test_the_output_of_the_profile_command_cannot_be_a_folder(tmp_path, capsys):
    """The command refuses it with one line."""
    assert [run("profile", "--data", TRAIN, "--output", path) for path in (".", str(tmp_path))] == [2, 2]
    errors = capsys.readouterr().err.splitlines()
    assert [line for line in errors if "cannot write" in line] == [
        "otel-ml profile: cannot write .: Is a directory",
        f"otel-ml profile: cannot write {tmp_path}: Is a directory",
    ]


def test_names_of_columns_cannot_control_the_terminal(tmp_path, capsys):
    """Control characters of a file are replaced, in tables and in messages."""
    data, saved = tmp_path / "d.csv", tmp_path / "p.json"
    names = ["\x1b[31mred", "id\x1b]0;title\x07", "ok"]
    rows = [f"{position % 2},{position},\x1b[2J{position % 3}" for position in range(300)]
    data.write_text("\n".join([",".join(names), *rows]))
    assert run("profile", "--data", str(data), "--output", str(saved)) == 0
    assert run("drift", "--profile", str(saved), "--data", str(data)) == 0
    assert run("profile", "--data", str(data), "--output", str(saved), "--label", "none") == 2
    assert run("drift", "--profile", str(saved), "--data", str(tmp_path / "\x1b[31m.csv")) == 2
    shown = capsys.readouterr()
    assert "\ufffd[31mred" in shown.out
    assert not {"\x1b", "\x07"} & set(shown.out + shown.err)


def test_a_sensitive_column_may_be_excluded(tmp_path, capsys):
    """A column that is not a feature can be sensitive."""
    path = str(tmp_path / "p.json")
    arguments = ("profile", "--data", TRAIN, "--output", path, "--exclude", "id", "--sensitive", "id", "SEX")
    assert run(*arguments) == 0
    assert ReferenceProfile.load(path).sensitive == {"id", "SEX"}
    assert "id" not in ReferenceProfile.load(path).columns
    assert run(*arguments, "nosuch") == 2
    assert "no column 'nosuch'" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("command", ["profile", "drift"])
def test_help_shows_an_example(command, capsys):
    """`--help` ends with an example."""
    with pytest.raises(SystemExit):
        run(command, "--help")
    assert f"  otel-ml {command} --" in capsys.readouterr().out


def test_the_columns_of_the_tables_stay_aligned(tmp_path, capsys):
    """A long name widens the first column of every line."""
    data, saved = tmp_path / "d.csv", tmp_path / "p.json"
    rows = [f"{position % 2},{position % 3}" for position in range(300)]
    data.write_text("\n".join(["median_house_age_in_the_block,b", *rows]))
    assert run("profile", "--data", str(data), "--output", str(saved)) == 0
    kinds = [line.index(" category ") for line in capsys.readouterr().out.splitlines()[1:]]
    assert run("drift", "--profile", str(saved), "--data", str(data)) == 0
    lengths = [len(line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [len(set(kinds)), len(set(lengths))] == [1, 1]
