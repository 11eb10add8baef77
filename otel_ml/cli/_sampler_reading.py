"""One reading of the resource sampler as JSON data and as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_ml.resource_sampler import Gap, Reading, Snapshot

_BYTES: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def as_json(snapshot: Snapshot, mode: str) -> dict[str, Any]:
    """The snapshot as JSON data: readings with their origin, missing figures with the reason, durations in s."""
    from otel_ml.resource_sampler import find_origin

    return {
        "mode": mode,
        "duration": snapshot.duration,
        "sources": [
            {"source": part.source, "duration": part.duration, "readings": len(part.readings)}
            for part in snapshot.sources
        ],
        "readings": [
            {
                "source": part.source,
                "metric": reading.metric.name,
                "value": reading.value,
                "unit": reading.metric.unit,
                "attributes": dict(reading.attributes),
                "from": find_origin(part.source, reading.metric),
            }
            for part in snapshot.sources
            for reading in part.readings
        ],
        "missing": missing_as_json(snapshot),
    }


def missing_as_json(snapshot: Snapshot) -> list[dict[str, str]]:
    """The figures that could not be read, with the reason."""
    return [
        {"source": part.source, "what": gap.what, "kind": gap.kind, "reason": gap.detail}
        for part in snapshot.sources
        for gap in part.gaps
    ]


def as_table(snapshot: Snapshot) -> str:
    """The snapshot as a table: one line for each reading with its origin, then missing figures with the reason."""
    readings = [_reading_row(part.source, reading) for part in snapshot.sources for reading in part.readings]
    lines = _aligned([("SOURCE", "METRIC", "VALUE", "FROM", "ATTRIBUTES"), *readings])
    gaps = [_gap_row(part.source, gap) for part in snapshot.sources for gap in part.gaps]
    if gaps:
        lines += ["", *_aligned([("SOURCE", "MISSING", "WHY"), *gaps])]
    times = ", ".join(f"{part.source} {part.duration * 1000:.2f} ms" for part in snapshot.sources)
    return "\n".join([*lines, "", f"read in {snapshot.duration * 1000:.2f} ms: {times}"])


def _reading_row(source: str, reading: Reading) -> tuple[str, ...]:
    from otel_ml.resource_sampler import find_origin

    attributes = " ".join(f"{name.rpartition('.')[2]}={value}" for name, value in reading.attributes.items())
    return source, reading.metric.name, _value(reading), find_origin(source, reading.metric), attributes


def _gap_row(source: str, gap: Gap) -> tuple[str, ...]:
    return source, gap.what, f"{gap.kind}: {gap.detail}" if gap.detail else gap.kind


def _value(reading: Reading) -> str:
    value, unit = reading.value, reading.metric.unit
    if unit == "By":
        power = min(int(math.log(max(value, 1), 1024)), len(_BYTES) - 1)
        return f"{value / 1024**power:.4g} {_BYTES[power]}" if power else f"{value} B"
    if unit == "1":
        return f"{value * 100:.1f} %" if reading.metric.instrument == "gauge" else str(value)
    text = str(value) if isinstance(value, int) else f"{value:.2f}"
    return text if unit.startswith("{") else f"{text} {'°C' if unit == 'Cel' else unit}"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
