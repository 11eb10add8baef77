"""Contenders of the benchmarks that run side by side and are timed in turn."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import programs  # noqa: E402  (found by the line above)
from residents import Resident, ResidentError  # noqa: E402

LINE = "import sys\nfor number, _ in enumerate(sys.stdin): print({answer}, flush=True)"


def resident(program: str, timeout: float = 30.0) -> Resident:
    """A contender that is a few lines of Python."""
    return Resident([sys.executable, "-c", program], os.environ, timeout)


def test_a_slice_is_asked_for_by_a_line() -> None:
    """Each input line returns the figures of one more slice of the same process."""
    with resident(LINE.format(answer="number")) as contender:
        assert [contender.slice() for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("raise SystemExit('bench: no such contender')", "bench: no such contender"),
        ("raise SystemExit(3)", "it ended with 3 and printed nothing"),
        ("raise ValueError('torn')", "ValueError: torn"),
    ],
)
def test_a_contender_that_ends_says_why(program: str, why: str) -> None:
    """The table shows the last line that it printed."""
    with resident(program) as contender, pytest.raises(ResidentError, match=why):
        contender.slice()


def test_a_contender_that_hangs_is_ended() -> None:
    """A contender that does not answer in time is ended."""
    hanging = resident("import time; time.sleep(600)", timeout=0.2)
    with hanging as contender, pytest.raises(ResidentError, match=r"no slice within 0\.2 s"):
        contender.slice()


def test_contenders_are_interleaved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forwards and backwards, the first turn uncounted; one that fails leaves the others their turns."""
    log = tmp_path / "turns"
    script = tmp_path / "contender.py"
    script.write_text(
        "import sys\n"
        "name = sys.argv[1]\n"
        "for number, _ in enumerate(sys.stdin):\n"
        f"    open({str(log)!r}, 'a').write(name)\n"
        "    if name == 'x' and number == 1: raise SystemExit('broken')\n"
        "    print('{\"turn\": %d}' % number, flush=True)\n",
        encoding="utf-8",
    )
    monkeypatch.setitem(programs.PROGRAMS, "turns", programs.Program((str(script), "{name}"), slices=2))

    found = programs.run({"turns": ["a", "x", "b"]}, 1)

    assert log.read_text(encoding="utf-8") == "bxa" + "axb" + "ba"
    assert found.figures == {"turns": {name: [{"turn": 1.0}, {"turn": 2.0}] for name in "ab"}}
    assert found.failed == {"turns/x": "broken"}
