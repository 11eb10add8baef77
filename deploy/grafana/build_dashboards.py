"""Writes the dashboards as classic JSON, the only form that Grafana's file provisioning takes.

python deploy/grafana/build_dashboards.py           writes dashboards/*.json
python deploy/grafana/build_dashboards.py --check   exits with 1 if a file differs from what would be written
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from dashboard_set import dashboards

FOLDER = Path(__file__).resolve().parent / "dashboards"


def files() -> dict[str, str]:
    """Name and text of each file."""
    return {f"{each.name}.json": json.dumps(each.json(), indent=2) + "\n" for each in dashboards()}


def differing(expected: dict[str, str]) -> list[str]:
    """Names of the files that are missing, too many or not what would be written."""
    found = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    return sorted(name for name in expected | found if expected.get(name) != found.get(name))


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    options = parser.parse_args(arguments)
    expected = files()
    if options.check:
        for name in differing(expected):
            print(
                f"build_dashboards: dashboards/{name} is not what build_dashboards.py writes: run it", file=sys.stderr
            )
        return 1 if differing(expected) else 0
    for name in differing(expected):
        file = FOLDER / name
        file.write_text(expected[name], encoding="utf-8") if name in expected else file.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
