"""Contenders that run side by side and are timed in turn, slice by slice."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


class ResidentError(Exception):
    """A contender returned no figures, with the last line that it printed."""


class Resident:
    """One contender in a process of its own: each line on its input requests a slice, each output line answers it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], timeout: float) -> None:
        """Starts it.

        Args:
            command: The interpreter, the script and its arguments.
            environment: Of the process.
            timeout: Seconds for each slice, the first of which waits for the start.
        """
        self._timeout = timeout
        self._output: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  (closed below)
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            text=True,
        )

    def slice(self) -> Any:
        """Requests one slice and returns its figures.

        Raises:
            ResidentError: It ended, took too long, or printed something else.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Timer(self._timeout, self._process.kill)
        late.start()
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise ResidentError(self._why(is_late=not late.is_alive())) from None
        finally:
            late.cancel()

    def _why(self, *, is_late: bool) -> str:
        if is_late:
            return f"no slice within {self._timeout:g} s"
        self._process.kill()
        ended = self._process.wait()
        self._output.seek(0)
        return (self._output.read().strip().splitlines() or [f"it ended with {ended} and printed nothing"])[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._output.close()
