"""`otel-ml rules`: the recording rules and alerts for Prometheus."""

from __future__ import annotations

import argparse
import json
import shlex
import textwrap
from pathlib import Path
from typing import Final

from otel_ml.cli._arguments import add_json
from otel_ml.cli._bundled_files import packaged
from otel_ml.cli._terminal import CommandError, progress
from otel_ml.cli._thresholds.files import read, rule_files
from otel_ml.cli._thresholds.parts import text

_OWN: Final = "otel-ml rules --thresholds"
"""In the first line of the files that follow from a file of the user."""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = "Prints the recording rules and alerts for Prometheus; one set serves every model."
    parser.epilog = "example: otel-ml rules --thresholds limits.yaml --output /etc/prometheus/otel-ml"
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write the files there instead of printing them")
    parser.add_argument(
        "--thresholds", type=Path, metavar="FILE", help="your limits and objectives, for all models or for some"
    )
    parser.add_argument(
        "--defaults", action="store_true", help="print the default limits and objectives, a file to edit"
    )
    parser.add_argument(
        "--kubernetes",
        action="store_true",
        help="print the files as objects for the Prometheus Operator (PrometheusRule)",
    )
    add_json(parser, "the file names and texts")


def run(arguments: argparse.Namespace) -> int:
    """Prints or writes the rule files."""
    folder = packaged("deploy/prometheus")
    if folder is None:
        raise CommandError("this installation has no rule files; reinstall otel-ml from its wheel")
    defaults = folder / "thresholds.yaml"
    if arguments.defaults:
        print(defaults.read_text(encoding="utf-8"), end="")
        return 0
    files = {
        f"{kind}/{path.name}": path.read_text(encoding="utf-8")
        for kind in ("rules", "alerts")
        for path in sorted((folder / kind).glob("*.yaml"))
    }
    if arguments.thresholds is not None:
        for file in rule_files(read(arguments.thresholds, defaults)):
            files[f"rules/{file.name}.yaml"] = text(file, f"{_OWN} {arguments.thresholds}")
    if arguments.output is not None:
        _write(arguments.output, files, keeps_own=arguments.thresholds is None)
    elif arguments.json:
        print(json.dumps(files))
    elif arguments.kubernetes:
        print("".join(_prometheus_rule(name, content) for name, content in files.items()), end="")
    else:
        for name, content in files.items():
            print(f"# --- {name}\n{content}")
    return 0


def _prometheus_rule(file: str, text: str) -> str:
    name = file.removesuffix(".yaml").replace("/", "-").replace("_", "-")
    return (
        f"---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: otel-ml-{name}\n"
        f"  labels: {{ app.kubernetes.io/part-of: otel-ml }}\nspec:\n{textwrap.indent(text, '  ')}"
    )


def _write(folder: Path, files: dict[str, str], *, keeps_own: bool) -> None:
    if keeps_own:
        _refuse_to_reset(folder / "rules" / "limits.yaml")
    for name, content in files.items():
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"cannot write {target}: {error.strerror}") from None
        print(target)
    here, shown = folder.absolute(), shlex.quote(str(folder))
    progress(
        f"next: add to prometheus.yml  rule_files: ['{here}/rules/*.yaml', '{here}/alerts/*.yaml']  and reload "
        "Prometheus; alerts go to the Alertmanager it names. "
        f"To check: promtool check rules {shown}/rules/*.yaml {shown}/alerts/*.yaml"
    )


def _refuse_to_reset(limits: Path) -> None:
    """An update without the user's file must not bring the default limits back unnoticed."""
    try:
        first = limits.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return
    _, found, own = first.partition(_OWN)
    if found:
        raise CommandError(
            f"{limits} follows from {own.strip().removesuffix('.')}: add --thresholds with it, or remove {limits}"
        )
