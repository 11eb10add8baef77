"""Readings of the network interfaces of a network namespace from /proc/net/dev."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._proc_files import read_bytes
from otel_ml.resource_sampler._source import Gap, Reading, measured

MAX_INTERFACES: Final = 32

_VIRTUAL: Final = re.compile(
    r"(lo|(veth|docker|br-|virbr|cni|cbr|flannel|cali|cilium|lxc|ifb|dummy|tunl|kube-|nodelocaldns|vnet|tap|sit|gre|ip6tnl).*)"
)
_NAMES_KEPT: Final = 1024

_Attributes = Mapping[str, str | int]


class Network:
    """The interfaces that are not virtual: those carry the same bytes again.

    Args:
        proc: Root of the proc file system.
    """

    def __init__(self, proc: Path) -> None:
        self._table = str(proc / "net" / "dev")
        self._known: dict[bytes, tuple[_Attributes, _Attributes] | None] = {}
        """Attributes of an interface (receive, transmit); None for a virtual one."""

    def read(self) -> Iterator[Reading | Gap]:
        """Bytes, errors and dropped packets by interface and direction."""
        interfaces = []
        for line in read_bytes(self._table).splitlines()[2:]:
            name, _, columns = line.rpartition(b":")
            attributes = self._known[name] if name in self._known else self._look(name)
            if attributes is not None:
                interfaces.append((columns.split(), attributes))
        for row, directions in interfaces[:MAX_INTERFACES]:
            for first, direction in zip((0, 8), directions, strict=True):
                yield measured((semconv.SYSTEM_NETWORK_IO, int(row[first]), direction))
                yield measured((semconv.SYSTEM_NETWORK_ERRORS, int(row[first + 2]), direction))
                yield measured((semconv.SYSTEM_NETWORK_PACKET_DROPPED, int(row[first + 3]), direction))
        if len(interfaces) > MAX_INTERFACES:
            yield Gap("network", "capped", f"{len(interfaces) - MAX_INTERFACES} of {len(interfaces)} left out")

    def _look(self, raw: bytes) -> tuple[_Attributes, _Attributes] | None:
        name = raw.decode("utf-8", "replace").strip()
        found = None
        if not _VIRTUAL.fullmatch(name):
            found = (
                {semconv.NETWORK_INTERFACE_NAME: name, semconv.NETWORK_IO_DIRECTION: "receive"},
                {semconv.NETWORK_INTERFACE_NAME: name, semconv.NETWORK_IO_DIRECTION: "transmit"},
            )
        if len(self._known) >= _NAMES_KEPT:
            self._known.clear()
        self._known[raw] = found
        return found
