"""`otel-ml rules`: the recording rules and alerts for Prometheus."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from otel_ml.cli._arguments import add_json
from otel_ml.cli._bundled_files import packaged
from otel_ml.cli._terminal import CommandError, progress

_YOURS = "rules/alert_reference.yaml"
"""The file that users edit."""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = "Prints the recording rules and alerts for Prometheus; one set serves every model."
    parser.epilog = "example: otel-ml rules --output /etc/prometheus/otel-ml"
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write the files there instead of printing them")
    add_json(parser, "the file names and texts")


def run(arguments: argparse.Namespace) -> int:
    """Prints or writes the rule files."""
    folder = packaged("deploy/prometheus")
    if folder is None:
        raise CommandError("this installation has no rule files; reinstall otel-ml from its wheel")
    files = {
        f"{kind}/{path.name}": path.read_text()
        for kind in ("rules", "alerts")
        for path in sorted((folder / kind).glob("*.yaml"))
    }
    if arguments.output is not None:
        _write(arguments.output, files)
    elif arguments.json:
        print(json.dumps(files))
    else:
        for name, content in files.items():
            print(f"# --- {name}\n{content}")
    return 0


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        target = folder / name
        if name == _YOURS and target.exists():
            progress(f"{target}: kept as it is; it says which reference the alerts about drift compare with")
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        except OSError as error:
            raise CommandError(f"cannot write {target}: {error.strerror}") from None
        print(target)
    progress(
        f"next: add to prometheus.yml  rule_files: ['{folder}/rules/*.yaml', '{folder}/alerts/*.yaml']  and reload "
        f"Prometheus; alerts go to the Alertmanager it names. To check: promtool check rules {folder}/*/*.yaml"
    )
