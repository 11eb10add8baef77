"""Compiles the stand-in for NVIDIA's library, gives it scenarios, and reads what it counted."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nvml.c")
H100 = Path(__file__).with_name("h100.scenario").read_text(encoding="utf-8").splitlines()
SONAME = "libnvidia-ml.so.1"


_LOADED: list[ctypes.CDLL] = []
"""The library of this process."""


def build(folder: Path) -> Path:
    """The compiled library in a folder."""
    library = folder / SONAME
    compiler = shutil.which(os.environ.get("CC", "cc"))
    assert compiler is not None, "a C compiler is needed to test the GPU source"
    subprocess.run(
        [
            compiler,
            "-std=gnu11",
            "-O1",
            "-Wall",
            "-Werror",
            "-Wno-format-truncation",
            "-shared",
            "-fPIC",
            f"-Wl,-soname,{SONAME}",
        ]
        + ["-o", str(library), str(SOURCE), "-lpthread"],
        check=True,
        timeout=120,
    )
    return library


def scenario(*rules: str, gpus: int = 2, base: Iterable[str] = H100) -> str:
    """The text of a scenario: so many GPUs, named GPU-a, GPU-b ..., and rules of its own."""
    names = [f"0 - {index} text uuid GPU-{chr(97 + index)}" for index in range(gpus)]
    return "\n".join([f"0 - * value gpus {gpus}", *base, *names, *rules]) + "\n"


class FakeDriver:
    """The library in this process; loading it by path makes the binding's look-up by name find it."""

    def __init__(self, library: Path, folder: Path) -> None:
        # the binding keeps the first one that it finds, so a second build would be unused
        if not _LOADED:
            _LOADED.append(ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL))
        self.library = _LOADED[0]
        self.library.fake_time.argtypes = [ctypes.c_double]
        self.library.fake_calls.restype = ctypes.c_long
        self.library.fake_after_shutdown.restype = ctypes.c_long
        self._folder = folder
        self._loads = 0
        self.time = 0.0
        self.may_hold = (0, 0, 0)
        """What a test leaves behind on purpose, in the form of `held`."""

    def load(self, *rules: str, gpus: int = 2, base: Iterable[str] = H100) -> None:
        """Starts over with a scenario, at second 0."""
        self._loads += 1
        path = self._folder / f"{self._loads}.scenario"
        path.write_text(scenario(*rules, gpus=gpus, base=base), encoding="utf-8")
        self.at(0.0)
        bad = self.library.fake_load(str(path).encode())
        assert bad == 0, f"line {bad} of the scenario: {path.read_text(encoding='utf-8').splitlines()[bad - 1]}"

    def unload(self) -> None:
        """From now on there is no driver; calls that hang return."""
        self.library.fake_release()
        self.library.fake_load(b"")

    def at(self, seconds: float) -> None:
        """Sets the library's clock."""
        self.time = seconds
        self.library.fake_time(seconds)

    def clock(self) -> float:
        """The same clock for the sampler."""
        return self.time

    def calls(self, name: str = "") -> int:
        """Calls of a function, or of all, since the scenario or `forget`."""
        return int(self.library.fake_calls(name.encode()))

    def table(self) -> dict[str, int]:
        """Calls by function."""
        buffer = ctypes.create_string_buffer(1 << 14)
        self.library.fake_table(buffer, len(buffer))
        rows = (line.split() for line in buffer.value.decode().splitlines())
        return {name: int(count) for name, count in rows}

    def forget(self) -> None:
        """Sets the counts of calls to 0."""
        self.library.fake_forget_calls()

    def release(self) -> None:
        """Lets calls that hang return."""
        self.library.fake_release()

    @property
    def overlaps(self) -> int:
        """Calls that began while another one was inside; asking for events does not count."""
        return int(self.library.fake_overlaps())

    @property
    def after_shutdown(self) -> int:
        """Calls while the library was not initialised."""
        return int(self.library.fake_after_shutdown())

    @property
    def held(self) -> tuple[int, int, int]:
        """Initialisations, event sets and GPM samples that were not given back."""
        library = self.library
        return library.fake_initialised(), library.fake_event_sets(), library.fake_gpm_samples()
