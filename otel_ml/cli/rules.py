"""`otel-ml rules`: the recording rules and alerts for Prometheus."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the sub-command."""
    parser = subparsers.add_parser(
        "rules",
        help="print or write the Prometheus recording rules and alerts",
        description="The recording rules and alerts for Prometheus, one set for every model.",
        epilog="example: otel-ml rules --output /etc/prometheus/otel-ml",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write the files there instead of printing them")
    parser.add_argument("--json", action="store_true", help="print the file names and texts as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints or writes the rule files."""
    folder = _folder()
    if folder is None:
        print("otel-ml rules: the rule files are not part of this installation", file=sys.stderr)
        return 1
    files = {
        f"{kind}/{path.name}": path.read_text()
        for kind in ("rules", "alerts")
        for path in sorted((folder / kind).glob("*.yaml"))
    }
    if arguments.output is not None:
        return _write(arguments.output, files)
    if arguments.json:
        print(json.dumps(files))
    else:
        for name, content in files.items():
            print(f"# --- {name}\n{content}")
    return 0


def _write(folder: Path, files: dict[str, str]) -> int:
    for name, content in files.items():
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        except OSError as error:
            print(f"otel-ml rules: cannot write {target}: {error.strerror}", file=sys.stderr)
            return 1
        print(target)
    return 0


def _folder() -> Path | None:
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_deploy" / "prometheus", package.parent / "deploy" / "prometheus"):
        if (folder / "rules").is_dir():
            return folder
    return None
