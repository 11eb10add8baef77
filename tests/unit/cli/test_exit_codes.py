"""Exit codes: 0 is yes, 1 is "ran, and the answer is no", 2 is bad input with one line on standard error."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

import otel_ml
from otel_ml.cli import COMMANDS, main
from otel_ml.quality import ReferenceProfile

EXAMPLE = Path(__file__).parents[3] / "examples" / "fastapi_service" / "data" / "train.parquet"
NOT_A_DATABASE = __file__

BAD_INPUT = [
    ("demo --rate 0", "argument --rate: '0' is not a number from 0.001 to 1000000"),
    ("demo --port 99999", "argument --port: '99999' is not a whole number from 1 to 65535"),
    ("demo --seconds -5", "argument --seconds: '-5' is not a number from 0.001 to 1000000"),
    ("demo --folder /proc/zz", "cannot use the folder /proc/zz: No such file or directory"),
    ("demo --folder {folder}", "{folder} is not empty and not a folder of the demo; choose another one with --folder"),
    ("console --port 99999", "argument --port: '99999' is not a whole number from 0 to 65535"),
    ("console --port x", "argument --port: 'x' is not a whole number from 0 to 65535"),
    ("console --retention-hours -1", "--retention-hours -1: expected more than 0, at most 87600"),
    ("console --max-rows 0", "--max-rows 0: expected 1 to 100000000"),
    (
        "console --port 0 --database {file}",
        "{file} is not a DuckDB file; choose another --database",
    ),
    ("mcp --console localhost:4318", "--console takes an address such as http://127.0.0.1:4318, not 'localhost:4318'"),
    ("mcp --token-file none.token", "cannot read --token-file none.token: No such file or directory"),
    ("sampler --interval 0", "argument --interval: '0' is not a number of seconds from 0.05 to 86400"),
    ("sampler --mode pod", "argument --mode: invalid choice: 'pod'"),
    ("sampler --name=", "argument --name: the name is empty"),
    ("sampler --pid x", "argument --pid: 'x' is not a whole number from 1 to"),
    ("sampler --once --pid 99999999", "pid=99999999: there is no such process here"),
    ("sampler --budget 0", "budget (OTEL_ML_SAMPLER_BUDGET) is 0.0: use a share of one core above 0, such as 0.01"),
    ("sampler --endpoint localhost:1", "endpoint is 'localhost:1': use a URL with http:// or https://"),
    ("profile --data none.parquet --output p.json", "no file none.parquet"),
    ("profile --output p.json", "one of the arguments --data --from-console --from-store is required"),
    ("drift --profile none.json --data none.csv", "cannot read the profile none.json"),
    ("drift --profile none.json --data x --threshold x", "argument --threshold: 'x' is not a number from 0 to 1000000"),
    ("report --profile none.json --data none.csv", "cannot read the profile none.json"),
    ("rules --output /proc/zz", "cannot write /proc/zz/rules/"),
    ("label --store sqlite:///none.db none.csv", "no file none.csv"),
    ("evaluate --store none.db --model m", "not a database URL: 'none.db'"),
    ("evaluate --store sqlite:///none.db --model m", "no file none.db"),
    ("evaluate --store none.db --model m --since yesterday", "'yesterday' is neither an age such as 24h or 7d nor a"),
    ("compare --store sqlite:///none.db --model m", "no file none.db"),
    ("compare --store x --model m --difference 0", "argument --difference: '0' is not a number from 0.0001 to 1"),
    ("doctor --endpoint ftp://nowhere", "endpoint is 'ftp://nowhere': use a URL with http:// or https://"),
    ("doctor --timeout 0", "argument --timeout: '0' is not a number of seconds from 0.001 to 3600"),
    ("doctor --features -1", "argument --features: '-1' is not a whole number from 0 to 1000000"),
]


def run(command: str) -> int:
    """The exit code of a command line, whether the parser or the command ends it."""
    umask = os.umask(0o077)  # the console sets it for its process
    try:
        return main(command.split(" "))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else -1
    finally:
        os.umask(umask)


@pytest.mark.parametrize(("command", "message"), BAD_INPUT)
def test_bad_input_is_exit_code_2_and_one_line(
    command: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The line names the command and what is wrong; nothing is printed as a result."""
    (tmp_path / "thesis.txt").write_text("mine")
    places = {"folder": str(tmp_path), "file": NOT_A_DATABASE}
    status = run(command.format(**places))
    shown = capsys.readouterr()
    lines = [line for line in shown.err.splitlines() if not line.endswith(" ...")]

    assert (status, shown.out, len(lines)) == (2, "", 1)
    assert lines[0].startswith(f"otel-ml {command.partition(' ')[0]}: {message.format(**places)}")


def test_a_text_that_is_no_host_name_is_bad_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is about the host if the token is right."""
    monkeypatch.setenv("OTEL_ML_CONSOLE_TOKEN", "correct-horse-battery-staple")
    assert run("console --port 0 --database :memory: --host ..") == 2
    assert capsys.readouterr().err == "otel-ml console: --host ..: not a host name\n"


@pytest.mark.parametrize("command", ["nonsense", "--nonsense"])
def test_an_unknown_command_is_exit_code_2_and_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error refers to the help of the whole command."""
    assert run(command) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("otel-ml: ")
    assert line.endswith("; see otel-ml --help")


@pytest.mark.parametrize("command", list(COMMANDS))
def test_an_unknown_option_is_named_with_the_help_to_read(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of the command, not of the front page, which does not list its options."""
    required = {
        "profile": "--data x --output x ",
        "drift": "--profile x --data x ",
        "report": "--profile x --data x ",
        "label": "--store x x ",
        "evaluate": "--store x --model x ",
        "compare": "--store x --model x ",
    }
    assert run(f"{command} {required.get(command, '')}--bogus") == 2
    assert capsys.readouterr().err == (
        f"otel-ml {command}: unrecognized arguments: --bogus; see otel-ml {command} --help\n"
    )


def test_every_command_is_in_the_table() -> None:
    """Every command has a row in the table of this test."""
    assert {command.partition(" ")[0] for command, _ in BAD_INPUT} == set(COMMANDS)


def test_drift_is_exit_code_1_if_that_was_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--fail` the command reports the drift and ends with 0."""
    ReferenceProfile.fit({"age": [value % 100 for value in range(1000)]}).save(tmp_path / "p.json")
    (tmp_path / "d.csv").write_text("age\n" + "\n".join(str(50 + value % 100) for value in range(1000)))
    command = f"drift --profile {tmp_path}/p.json --data {tmp_path}/d.csv --json"

    assert (run(command), run(f"{command} --fail")) == (0, 1)
    assert [json.loads(line)["drifted"] for line in capsys.readouterr().out.splitlines()] == [["age"], ["age"]]


def test_no_labelled_prediction_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The store could be read, and there was nothing to evaluate."""
    url = f"sqlite:///{tmp_path}/predictions.db"
    truth = otel_ml.GroundTruth(url)
    truth.record_label("unknown", 1, time.time())
    truth.close()

    assert run(f"evaluate --store {url} --model fraud") == 1
    assert (
        capsys.readouterr().err
        == "otel-ml evaluate: no labelled prediction of 'fraud' in this window; the store has no predictions\n"
        "otel-ml evaluate: 1 labels wait for a prediction (1 unknown_id, such as 'unknown')\n"
    )


def test_an_undelivered_check_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor ran, and no receiver took what it sent."""
    for signal in ("TRACES", "METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")

    assert run("doctor --json") == 1
    assert json.loads(capsys.readouterr().out)["delivered"] is False


def test_help_states_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """The help of the whole command lists the exit codes of all commands once."""
    assert run("--help") == 0
    assert "2  bad input" in capsys.readouterr().out


def test_the_version_of_a_model_is_not_the_version_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`evaluate --version` selects the versions to evaluate."""
    assert run(f"evaluate --store sqlite:///{tmp_path}/none.db --model m --version 2") == 2
    assert capsys.readouterr() == ("", f"otel-ml evaluate: no file {tmp_path}/none.db\n")
