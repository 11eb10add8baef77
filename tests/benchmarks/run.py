"""What otel-ml costs beside its peers, in one table: `make bench`.

Each contender runs in a process of its own, several times, interleaved with the others. A figure is the median of its rounds; a
ratio is the median of the ratios of each round, since the machine's clock drifts. Absolute figures depend on the machine,
the ratios are what is compared. Spans and events of the counted runs must have reached a receiver, a process of its own on
loopback. The exit code is 1 when a gate is missed, a program failed, or a record was lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import report
from programs import run
from rows import BESIDE, ROWS
from verdicts import Row, judge

KEYS = list(dict.fromkeys(row.key for row in ROWS))
EPILOG = f"""rows: {", ".join(KEYS)}

example:
  python tests/benchmarks/run.py --only metrics caller cpu --runs 5
"""


def wanted(rows: list[Row], *, full: bool, all_peers: bool) -> dict[str, list[str]]:
    """Returns the contenders that must run, by program."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for figure in row.figures(full=full):
            found.setdefault(figure.program, []).append(figure.contender)
    if all_peers:
        for program, contenders in BESIDE.items():
            found[program] = [*contenders, *found.get(program, [])]
    return {program: list(dict.fromkeys(contenders)) for program, contenders in found.items()}


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of rounds: use 1 or more")
    return int(text)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=_rounds, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=KEYS, metavar="ROW", help="these rows and nothing else")
    parser.add_argument("--full", action="store_true", help="Evidently on 1M x 30 too: about six minutes more")
    parser.add_argument("--json", action="store_true", help="print the table and all figures as JSON")
    given = parser.parse_args()
    rows = [row for row in ROWS if not given.only or row.key in given.only]
    began = time.monotonic()
    results = run(wanted(rows, full=given.full, all_peers=not given.only), given.runs)
    lines = [judge(row, results) for row in rows]
    lost = results.lost()
    if given.json:
        print(json.dumps(report.as_json(lines, results), indent=1))
    else:
        print(
            f"{report.machine()}; {given.runs} round{'s' if given.runs > 1 else ''}, {time.monotonic() - began:.0f} s\n"
        )
        print(report.markdown(report.HEADERS, map(report.cells, lines)))
        for text in report.peers(results):
            print(f"\n{text}")
        for title, found in (("lost", lost), ("failed", results.failed), ("not run", results.unavailable)):
            for place, what in found.items():
                print(f"\n{title}: {place}: {what}")
    missed = [line.row.what for line in lines if line.kept == "NO"]
    print(
        f"bench: {'missed: ' + '; '.join(missed) if missed else 'every gate that was measured is kept'}",
        file=sys.stderr,
    )
    return 1 if missed or lost or results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
