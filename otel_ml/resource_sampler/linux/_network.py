"""Readings of the network interfaces of a network namespace from /proc/net/dev."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._proc_files import read_bytes, read_text
from otel_ml.resource_sampler._source import Gap, Reading, measured
from otel_ml.resource_sampler.linux._disks import KIND_SECONDS

MAX_INTERFACES: Final = 32

_ETHERNET: Final = frozenset({"1", "32"})
"""ARPHRD_ETHER and ARPHRD_INFINIBAND; tunnels and the loopback have other types."""

_Attributes = Mapping[str, str | int]


class Network:
    """The interfaces whose bytes no other one counts.

    Args:
        table: /proc/net/dev of the namespace.
        sys: Root of the sys file system of the same namespace.
        clock: Monotonic seconds.
    """

    def __init__(self, table: Path, sys: Path, clock: Callable[[], float]) -> None:
        self._table = str(table)
        self._routes = (table.parent / "route", table.parent / "ipv6_route")
        self._sys = sys
        self._clock = clock
        self._chosen_at = float("-inf")
        self._names: list[str] = []
        self._known: dict[str, tuple[_Attributes, _Attributes]] = {}
        """Attributes of the interfaces to report (receive, transmit)."""

    def read(self) -> Iterator[Reading | Gap]:
        """Bytes, errors and dropped packets by interface and direction."""
        rows = [line.rpartition(b":") for line in read_bytes(self._table).splitlines()[2:]]
        names = [name.decode("utf-8", "replace").strip() for name, _, _ in rows]
        now = self._clock()
        if names != self._names or now - self._chosen_at >= KIND_SECONDS:
            self._chosen_at = now
            self._known = {name: _described(name) for name in self._choose(names)}
            self._names = names
        chosen = [
            (columns.split(), self._known[name])
            for name, (_, _, columns) in zip(names, rows, strict=True)
            if name in self._known
        ]
        for row, directions in chosen[:MAX_INTERFACES]:
            for first, direction in zip((0, 8), directions, strict=True):
                yield measured((semconv.SYSTEM_NETWORK_IO, int(row[first]), direction))
                yield measured((semconv.SYSTEM_NETWORK_ERRORS, int(row[first + 2]), direction))
                yield measured((semconv.SYSTEM_NETWORK_PACKET_DROPPED, int(row[first + 3]), direction))
        if len(chosen) > MAX_INTERFACES:
            yield Gap("network", "capped", f"{len(chosen) - MAX_INTERFACES} of {len(chosen)} left out")

    def forget(self) -> None:
        """Looks every interface up again."""
        self._names = []

    def _choose(self, names: Sequence[str]) -> list[str]:
        """The interfaces with hardware, and those of a pod that lead out of it.

        Bonds, bridges, VLANs and tunnels count the bytes of the hardware below them again; so does the hardware below
        an interface that has hardware itself, such as the virtual function of a machine at Azure or the uplink of a
        switch whose ports are interfaces. Beside hardware, which pods can be given too, an interface leads out if it
        has the default route; on a host the others lead to its containers.
        """
        folders = {name: self._sys / "class" / "net" / name for name in names if name != "lo"}
        hardware = [name for name, folder in folders.items() if _has_hardware(folder)]
        leading_out = [name for name, folder in folders.items() if _leads_out(folder)]
        if hardware:
            routed = self._default_routes()
            return hardware + [name for name in leading_out if name in routed]
        return leading_out or [name for name, folder in folders.items() if not folder.exists()]

    def _default_routes(self) -> set[str]:
        """The interfaces of the default routes."""
        version4, version6 = ([line.split() for line in _text(path).splitlines()] for path in self._routes)
        return {row[0] for row in version4 if len(row) > 7 and row[1] == row[7] == "00000000"} | {
            row[-1] for row in version6 if row[:2] == ["0" * 32, "00"]
        }


def _has_hardware(folder: Path) -> bool:
    """Whether an interface has hardware that no other interface with hardware counts."""
    if not (folder / "device").exists() or (folder / "master" / "device").exists():
        return False
    return not any((upper / "device").exists() for upper in folder.glob("upper_*"))


def _leads_out(folder: Path) -> bool:
    """Whether an interface without hardware has its other end outside of its namespace."""
    if _text(folder / "type") not in _ETHERNET or (folder / "master").exists() or any(folder.glob("lower_*")):
        return False
    return _text(folder / "iflink") != _text(folder / "ifindex") or (folder / "tun_flags").exists()


def _text(path: Path) -> str:
    try:
        return read_text(str(path)).strip()
    except OSError:
        return ""


def _described(name: str) -> tuple[_Attributes, _Attributes]:
    return (
        {semconv.NETWORK_INTERFACE_NAME: name, semconv.NETWORK_IO_DIRECTION: "receive"},
        {semconv.NETWORK_INTERFACE_NAME: name, semconv.NETWORK_IO_DIRECTION: "transmit"},
    )
