"""What a source of readings is, and how its steps are read so that one failure does not spoil the others."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, NamedTuple, Protocol

from otel_ml.semconv import Metric

GapKind = Literal[
    "absent",
    "unsupported",
    "vanished",
    "permission",
    "malformed",
    "io",
    "driver",
    "lost",
    "failed",
    "capped",
    "elsewhere",
    "excluded",
]

EXPECTED: Final = frozenset({"absent", "unsupported", "driver", "capped", "elsewhere", "excluded"})
"""Gaps that are a property of this machine, are read by another process, or are left out on purpose; shown, but not
counted as errors."""

SECONDS_PER_TICK: Final = 1.0 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
"""Unit of the CPU times in /proc."""
SEARCH_SECONDS: Final = 5.0
"""The longest time until a process is found by its name."""

_GAP_OF_ERRNO: Final[dict[int, GapKind]] = {
    errno.ENOENT: "absent",
    errno.ENOTDIR: "absent",
    errno.ENOTSUP: "absent",
    errno.ENODEV: "absent",  # a control group that was removed
    errno.ESRCH: "vanished",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}


class Reading(NamedTuple):
    """One value that was read: the metric that it belongs to, the value in the metric's unit, and its attributes.

    A source that returns the same attributes object at every tick makes series cheap to recognise.
    """

    metric: Metric
    value: int | float
    attributes: Mapping[str, str | int]


measured: Final[Callable[[tuple[Metric, int | float, Mapping[str, str | int]]], Reading]] = partial(
    tuple.__new__, Reading
)
"""Makes a reading of its three parts in half of the time, for sources with dozens of readings a tick."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be read; it has no point in this tick."""

    what: str
    kind: GapKind
    detail: str = ""
    """The message of the system or driver; for people, never an attribute."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one source returned in one tick."""

    readings: tuple[Reading, ...]
    gaps: tuple[Gap, ...] = ()
    elsewhere: float = 0.0
    """CPU seconds used on other threads than the calling one."""


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """What one source returned in one tick, and how long that took in seconds."""

    source: str
    readings: tuple[Reading, ...]
    gaps: tuple[Gap, ...]
    duration: float
    elsewhere: float = 0.0
    """CPU seconds used on other threads."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all sources returned in one tick."""

    sources: tuple[SourceSnapshot, ...]
    duration: float


class Source(Protocol):
    """Where readings come from.

    `read` is called by one thread at a time, once a tick. It returns what it could read and names the rest in gaps.
    It may keep state from one tick to the next, which must be keyed by process id if a fork would make it wrong.
    """

    @property
    def name(self) -> str:
        """Short name, a closed set: it becomes an attribute."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics that `read` may ever return."""
        ...

    def read(self) -> Report:
        """Reads everything once."""
        ...

    def close(self) -> None:
        """Closes handles; called by the reading thread after its last read. Another read reopens them."""
        ...


def gather(steps: Iterable[tuple[str, Callable[[], Iterable[Reading | Gap]]]]) -> Report:
    """Runs the steps of a source one by one; a step that fails becomes a gap, and what it had read before is kept."""
    items: list[Reading | Gap] = []
    for what, step in steps:
        try:
            items.extend(step())  # what was read before a failure is kept
        except OSError as error:  # noqa: PERF203 - one step must not spoil the next
            items.append(to_gap(what, error))
        except (ValueError, ArithmeticError, IndexError, KeyError) as error:
            items.append(Gap(what, "malformed", type(error).__name__))
    readings = tuple([item for item in items if type(item) is Reading])  # a third faster than isinstance
    return Report(readings, tuple([item for item in items if type(item) is Gap]))


def to_gap(what: str, error: OSError) -> Gap:
    """The gap for a failed system call."""
    return Gap(what, _GAP_OF_ERRNO.get(error.errno or 0, "io"), error.strerror or type(error).__name__)
