"""The command line: help, version, and the plain commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_ml.cli import COMMANDS, main


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "otel_ml", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` ends with 0 and shows a line to copy."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    shown = capsys.readouterr().out

    assert ended.value.code == 0
    assert "example" in shown
    assert f"otel-ml {command}" in shown
    assert "--json" in shown


def test_help_imports_no_command() -> None:
    """The help of the whole command lists every sub-command."""
    done = run("--help")

    assert done.returncode == 0
    assert [name for name in COMMANDS if name not in done.stdout] == []


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints one line."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("otel-ml ")


def test_the_demo_keeps_the_files_of_another_folder(tmp_path: Path) -> None:
    """It refuses a folder with other files."""
    (tmp_path / "thesis.txt").write_text("mine")
    done = run("demo", "--folder", str(tmp_path), "--seconds", "1")

    assert done.returncode == 2
    assert "not a folder of the demo" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_rules_are_printed_and_written(tmp_path: Path) -> None:
    """The rule files come as JSON or as files."""
    printed = json.loads(run("rules", "--json").stdout)
    written = run("rules", "--output", str(tmp_path / "rules"))

    assert written.returncode == 0
    assert {str(path.relative_to(tmp_path / "rules")) for path in (tmp_path / "rules").rglob("*.yaml")} == set(printed)
    assert any("PredictionErrorRate" in content for content in printed.values())
    folder = tmp_path / "rules"
    assert f"rule_files: ['{folder}/rules/*.yaml', '{folder}/alerts/*.yaml']" in written.stderr


def test_the_doctor_reports_a_missing_receiver() -> None:
    """The exit code is 1, and the findings name the extras."""
    done = run("doctor", "--endpoint", "http://127.0.0.1:9", "--timeout", "1", "--json")
    found = json.loads(done.stdout)

    assert done.returncode == 1
    assert (found["mode"], found["delivered"]) == ("own", False)
    assert found["extras"]["console"] is True
