"""The results as text: one table of the rows, then all peers' figures by program, then what was lost or could not be run."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from programs import Results
from rows import LABELS
from verdicts import Line, Row

HEADERS = ("what", "ours", "beside", "its figure", "ratio", "gate", "aim", "kept")
LEAST_PEERS = 3
"""Number of contenders from which a program gets a table of its own."""


def machine() -> str:
    """Describes the machine that was measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return (
        f"{os.cpu_count()} x {model}, Python {platform.python_version()}, "
        f"{_version('opentelemetry-sdk')}, {_version('prometheus-client')}"
    )


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} is missing (make install)"


def number(value: float | None) -> str:
    """Formats about three significant digits, without an exponent."""
    if value is None:
        return "-"
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}" if abs(value) >= 0.0001 else "< 0.0001"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.1f}"


def cells(line: Line) -> list[str]:
    """Returns the cells of one line of the table."""
    row = line.row
    unit = f" {row.unit}" if row.unit else ""
    is_ratio = row.judged == "ratio"
    bounds = ["" if bound is None else f"<= {bound:g}{' x' if is_ratio else unit}" for bound in (row.gate, row.aim)]
    beside = "" if row.peer is None else row.beside or LABELS.get(row.peer.contender, row.peer.contender)
    kept = line.kept or ("" if line.ours is not None else "not run")
    return [
        row.what,
        "-" if line.ours is None else number(line.ours) + unit,
        beside,
        "" if row.peer is None else "-" if line.peer is None else number(line.peer) + unit,
        "" if row.peer is None else number(line.ratio),
        *bounds,
        ": ".join(filter(None, (kept, line.note.partition(":")[0]))),
    ]


def markdown(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Formats a table with aligned columns; all but the first are figures."""
    table = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(headers))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def peers(results: Results) -> list[str]:
    """Yields, for each program with several contenders, the medians of all their figures."""
    found = []
    for program, contenders in results.figures.items():
        if len(contenders) < LEAST_PEERS:
            continue
        names = list(dict.fromkeys(name for rounds in contenders.values() for name in rounds[0]))
        rows = [
            [LABELS.get(contender, contender), *(number(_median(rounds, name)) for name in names)]
            for contender, rounds in sorted(contenders.items(), key=lambda each: _place(each[0]))
        ]
        found.append(markdown([program, *names], rows))
    return found


def _place(contender: str) -> int:
    order = list(LABELS)
    return order.index(contender) if contender in order else len(order)


def _median(rounds: Sequence[dict[str, float]], name: str) -> float | None:
    values = [figures[name] for figures in rounds if name in figures]
    return statistics.median(values) if values else None


def as_json(lines: Sequence[Line], results: Results) -> dict[str, Any]:
    """Returns everything as JSON data for other programs."""
    return {
        "machine": machine(),
        "rows": [_row(line.row) | {"ours": line.ours, "peer": line.peer, "ratio": line.ratio, "kept": line.kept, "note": line.note} for line in lines],
        "figures": results.figures,
        "lost": results.lost(),
        "failed": results.failed,
        "not_run": results.unavailable,
    }  # fmt: skip


def _row(row: Row) -> dict[str, Any]:
    beside = None if row.peer is None else row.beside or row.peer.contender
    return {"key": row.key, "what": row.what, "unit": row.unit, "beside": beside, "gate": row.gate, "aim": row.aim}
