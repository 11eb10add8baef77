"""GPUs that have never answered: they failed before the first reading, so that nothing is known but their place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otel_ml.resource_sampler._source import Gap, GapKind, Reading
from otel_ml.resource_sampler.gpu._identity import DeviceIdentity
from otel_ml.resource_sampler.gpu._nvml import CallFailed

_LOG: Final = logging.getLogger("otel_ml")


@dataclass(frozen=True, slots=True)
class _SilentGpu:
    identity: DeviceIdentity
    gap: Gap


class SilentGpus:
    """Shows each of them as failed from the first reading on, and logs each of them once.

    Args:
        listed: PCI addresses of the GPUs that the kernel module lists; None where there is no list.
        is_whole_machine: Whether every GPU of the list should answer; a container has the list, but not each GPU.
    """

    def __init__(self, listed: Callable[[], frozenset[str] | None], *, is_whole_machine: bool) -> None:
        self._listed = listed
        self._is_whole_machine = is_whole_machine
        self._known: dict[str, _SilentGpu] = {}
        self.counted = 0
        """How many of them the driver counts."""

    def __len__(self) -> int:
        return len(self._known)

    def update(self, failed: Mapping[int, CallFailed], answering: Collection[str]) -> None:
        """Takes the GPUs that the driver counts and cannot open, by index, and the PCI addresses of all others."""
        listed = self._listed()
        addresses = (
            [] if listed is None or "" in answering else sorted({place.lower() for place in listed} - {*answering})
        )
        if len(addresses) < len(failed) or (len(addresses) > len(failed) and not self._is_whole_machine):
            addresses = []
        found: dict[str, tuple[str, GapKind, str]] = {}
        for index, failure in sorted(failed.items()):
            name = f"GPU {index}"
            found[addresses.pop(0) if addresses else name] = (name, failure.kind, failure.detail)
        for address in addresses:
            found[address] = (f"GPU {address}", "lost", "the kernel module lists it, the driver does not count it")
        self.counted = len(failed)
        self._replace(found)

    def nothing_answers(self) -> None:
        """Takes all GPUs that the kernel module lists, where the driver counts none."""
        self.counted = 0
        detail = "the kernel module lists it, the driver counts no GPU"
        self._replace({place.lower(): (f"GPU {place.lower()}", "lost", detail) for place in self._listed() or ()})

    def status(self) -> Iterator[Reading]:
        """`hw.status` of each of them."""
        for silent in self._known.values():
            yield from silent.identity.status("failed")

    def gaps(self) -> Iterator[Gap]:
        """One gap for each of them, at every tick."""
        for silent in self._known.values():
            yield silent.gap

    def clear(self) -> None:
        """Forgets them."""
        self._known = {}
        self.counted = 0

    def _replace(self, found: Mapping[str, tuple[str, GapKind, str]]) -> None:
        before, self._known = self._known, {}
        for place, (name, kind, detail) in found.items():
            known = before.get(place)
            if known is None:
                at = "" if place in name else f" at {place}"
                text = "otel-ml: %s%s has not answered since this start (%s): hw.status shows it as failed"
                _LOG.warning(text, name, at, detail)
                known = _SilentGpu(DeviceIdentity(place, name, ""), Gap(name.lower(), kind, detail))
            self._known[place] = known
        for place in before.keys() - found.keys():
            _LOG.info("otel-ml: %s answers now", before[place].identity.name)
