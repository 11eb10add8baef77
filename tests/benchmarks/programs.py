"""Runs the programs: each with its contenders, one process each, round after round.

Where calls are timed, the contenders of a round are interleaved in slices of a fraction of a second: the speed of a shared
machine changes within a minute, and contenders measured minute by minute would be compared at different speeds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import peers
from residents import Resident, ResidentError

HERE = Path(__file__).parent
TIMEOUT = 900
SLOW = frozenset(("otel_everything", "logfire", "guest_by_hand", "guest_ours"))
"""Contenders that get a twelfth of the calls: a call takes fifty times as long."""


@dataclass(frozen=True)
class Program:
    """One measurement program.

    `command` is the script and its arguments; ``{name}`` is replaced by the contender, ``{calls}`` by its calls. The last
    thing it prints is one JSON object of figures.
    """

    command: tuple[str, ...]
    calls: int = 0
    runs: int | None = None
    """Rounds; None for the number on the command line."""
    elsewhere: frozenset[str] = frozenset()
    """Contenders that run in the peers' environment."""
    needs_collector: bool = False
    slices: int | None = None
    """Slices of each contender in a round; None for a program that runs by itself and ends."""

    def line(self, name: str) -> list[str]:
        """Returns the command of one contender, without the interpreter."""
        calls = self.calls // 12 if name in SLOW else self.calls
        script, *arguments = (part.format(name=name, calls=calls) for part in self.command)
        return [str(HERE / script), *arguments]


def _throughput(rate: int) -> Program:
    return Program(("throughput.py", "{name}", "--rate", str(rate), "--seconds", "1.5"), runs=1, slices=4)


def _drift(rows: int) -> Program:
    return Program(("data_rows.py", "{name}", "--rows", str(rows)), runs=1, elsewhere=frozenset(("evidently_drift",)))


def _batch(rows: int) -> Program:
    peers_of_batches = frozenset(("whylogs_numbers", "whylogs_texts"))
    return Program(("data_rows.py", "{name}", "--rows", str(rows)), runs=1, elsewhere=peers_of_batches)


PROGRAMS: dict[str, Program] = {
    "import": Program(("imports.py", "{name}"), runs=1),
    "series": Program(("memory.py", "series", "{name}"), runs=1),
    "record": Program(("memory.py", "record", "{name}"), runs=1),
    "row": Program(("data_rows.py", "{name}"), elsewhere=frozenset(("whylogs_row",))),
    "export": Program(("export.py", "{name}"), runs=3),
    "batch-1k": _batch(1_000),
    "batch-10k": _batch(10_000),
    "batch-100k": _batch(100_000),
    "labels": Program(("labels.py", "{name}"), runs=3),
    "console": Program(("console.py",), runs=1),
    "drift-100k": _drift(100_000),
    "drift-1m": _drift(1_000_000),
    "alongside": Program(("loop.py", "{name}", "--calls", "{calls}", "--load", "alongside"), calls=24_000, slices=8),
    "idle": Program(("loop.py", "{name}", "--calls", "{calls}", "--load", "idle"), calls=16_000, runs=2, slices=4),
    "threads": Program(("loop.py", "{name}", "--calls", "{calls}", "--threads", "4"), calls=16_000, runs=2, slices=4),
    "guest-idle": Program(
        ("loop.py", "{name}", "--calls", "{calls}", "--load", "idle"), calls=12_000, runs=2, slices=6
    ),
    "guest-alongside": Program(("loop.py", "{name}", "--calls", "{calls}"), calls=12_000, runs=2, slices=6),
    "paced": Program(("paced.py", "{name}", "--rate", "2000", "--seconds", "2"), runs=3, slices=8),
    "paced-1": Program(("paced.py", "{name}", "--rate", "2000", "--seconds", "2"), runs=3, slices=6),
    "paced-8": Program(("paced.py", "{name}", "--rate", "2000", "--seconds", "4", "--export", "2"), runs=3, slices=4),
    "fastapi": Program(("fastapi_request.py", "{name}", "--requests", "{calls}"), calls=1_000, slices=8),
    "throughput-1k": _throughput(1_000),
    "throughput-5k": _throughput(5_000),
    "throughput-10k": _throughput(10_000),
    "lifespan": Program(("lifespan.py", "{name}"), runs=3),
    "outage": Program(("outage.py", "200", "--seconds", "60"), runs=1),
    "sampler": Program(("sampler.py", "--seconds", "40", "--json"), runs=1, needs_collector=True),
    "collector": Program(("collector.py", "--json"), runs=3, needs_collector=True),
    "collector-load": Program(("collector_load.py", "5000", "--seconds", "20"), runs=1, needs_collector=True),
    "gpu": Program(("sampler_gpu.py", "--json"), runs=1),
}
"""In the order in which they run: programs that hardly depend on the state of the machine come first."""


@dataclass
class Results:
    """The figures of all rounds, and what could not be run."""

    figures: dict[str, dict[str, list[dict[str, float]]]] = field(default_factory=dict)
    """By program and contender."""
    failed: dict[str, str] = field(default_factory=dict)
    """By ``program/contender``: one line that says why."""
    unavailable: dict[str, str] = field(default_factory=dict)
    """The same, for what this machine does not have: not a failure."""

    def of(self, program: str, contender: str, figure: str) -> list[float]:
        """Returns one figure of all rounds; empty if it was not measured."""
        rounds = self.figures.get(program, {}).get(contender, [])
        return [figures[figure] for figures in rounds if figure in figures]

    def quietest(self, program: str, contender: str, figure: str) -> list[float]:
        """Returns the smallest value of each round's slices, for a figure to which other load only adds."""
        turns, values = PROGRAMS[program].slices or 1, self.of(program, contender, figure)
        return [min(values[start : start + turns]) for start in range(0, len(values), turns)]

    def lost(self) -> dict[str, int]:
        """Returns the lost records by contender over all rounds; only contenders that lost any."""
        found: dict[str, int] = {}
        for program, contenders in self.figures.items():
            for contender, rounds in contenders.items():
                count = round(sum(figures.get("lost", 0) for figures in rounds))
                if count:
                    found[f"{program}/{contender}"] = count
        return found


def flat(value: Any, path: str = "") -> dict[str, float]:
    """Returns the numbers of a JSON value by path: ``{"cost": {"ours": {"cpu": 1}}}`` gives ``{"cost/ours/cpu": 1}``."""
    if isinstance(value, Mapping):
        pairs = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list):
        pairs = [(str(index), each) for index, each in enumerate(value)]
    else:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return {path: float(value)} if is_number else {}
    return {
        key: number for name, each in pairs for key, number in flat(each, f"{path}/{name}" if path else name).items()
    }


def run(wanted: Mapping[str, Sequence[str]], runs: int) -> Results:
    """Runs contenders by program."""
    results = Results()
    with receiver() as endpoint:
        for key, program in PROGRAMS.items():
            names = list(wanted.get(key, ()))
            rounds = min(runs, program.runs or runs)
            for number in range(rounds):
                progress = f"bench: {key}: round {number + 1} of {rounds}"
                if program.slices is None:
                    for name in names:
                        print(f"{progress}: {name}", file=sys.stderr, flush=True)
                        _run_one(key, name, endpoint, results)
                elif names:
                    print(f"{progress}: {', '.join(names)}", file=sys.stderr, flush=True)
                    _interleave(key, names, program.slices, endpoint, results)
    return results


def _interleave(key: str, names: Sequence[str], slices: int, endpoint: str, results: Results) -> None:
    """Runs all contenders of one round, forwards and backwards, so that a machine that gets slower favours none.

    The first slice of each is not counted: others are still starting while it runs.
    """
    with ExitStack() as alive:
        environment = _environment(endpoint)
        residents = {
            name: alive.enter_context(Resident([sys.executable, *PROGRAMS[key].line(name)], environment, TIMEOUT))
            for name in names
            if f"{key}/{name}" not in results.failed
        }
        for number in range(slices + 1):
            for name in list(residents)[:: 1 if number % 2 else -1]:
                try:
                    figures = flat(residents[name].slice())
                except ResidentError as error:
                    results.failed[f"{key}/{name}"] = str(error)
                    del residents[name]
                    continue
                if number:
                    results.figures.setdefault(key, {}).setdefault(name, []).append(figures)


def _run_one(key: str, name: str, endpoint: str, results: Results) -> None:
    program, place = PROGRAMS[key], f"{key}/{name}"
    if place in results.failed or place in results.unavailable:
        return
    if program.needs_collector and not peers.collector_is_built():
        results.unavailable[place] = "the Collector is not built: make pipeline"
        return
    interpreter = sys.executable
    if name in program.elsewhere:
        found = _peers_interpreter()
        if isinstance(found, peers.PeersError):
            results.unavailable[place] = f"not installed: {found}"
            return
        interpreter = found
    figures, why = _execute([interpreter, *program.line(name)], endpoint)
    if figures:
        results.figures.setdefault(key, {}).setdefault(name, []).append(figures)
    else:
        results.failed[place] = why


@cache
def _peers_interpreter() -> str | peers.PeersError:
    """Returns the peers' interpreter; tries once per run."""
    try:
        return str(peers.python())
    except peers.PeersError as error:
        return error


def _execute(command: Sequence[str], endpoint: str) -> tuple[dict[str, float], str]:
    """Returns the figures that a process printed, or its last line if it printed none."""
    try:
        done = subprocess.run(
            command, env=_environment(endpoint), capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return {}, f"no end within {TIMEOUT} s"
    try:
        return flat(_last_json(done.stdout)), "it printed no figure"
    except ValueError:
        return {}, (done.stderr.strip().splitlines() or [f"it ended with {done.returncode} and printed nothing"])[-1]


def _last_json(text: str) -> Any:
    """Returns the last JSON value that was printed: the last line, or the whole output."""
    lines = text.strip().splitlines()
    if not lines:
        raise ValueError("nothing was printed")
    try:
        return json.loads(lines[-1])
    except ValueError:
        return json.loads(text)


def _environment(endpoint: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    return {**kept, **peers.QUIET, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}


@contextmanager
def receiver() -> Iterator[str]:
    """Runs the receiver in a process of its own; yields its endpoint."""
    with subprocess.Popen([sys.executable, str(HERE / "sink.py")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
