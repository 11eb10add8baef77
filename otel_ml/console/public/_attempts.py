"""How often an address may try to log in."""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT: Final = 10
"""Wrong tokens of one address."""
PEER_LIMIT: Final = 100
"""Wrong tokens of all addresses that one peer, a proxy or a sender that claims to be one, names in its headers."""
SECONDS: Final = 60
"""After this time they are forgotten."""
_ADDRESSES: Final = 10_000


class Attempts:
    """Counts wrong tokens by address, and by the peer that names it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, tuple[float, int]] = {}

    def is_allowed(self, address: str, peer: str) -> bool:
        """Whether an address may try again."""
        return all(self._count(key)[1] < limit for key, limit in _limits(address, peer).items())

    def fail(self, address: str, peer: str) -> None:
        """Counts a wrong token."""
        for key in _limits(address, peer):
            began, count = self._count(key)
            self._failed.pop(key, None)
            self._failed[key] = (began, count + 1)
        while len(self._failed) > _ADDRESSES:
            del self._failed[next(iter(self._failed))]

    def _count(self, key: str) -> tuple[float, int]:
        began, count = self._failed.get(key, (self._clock(), 0))
        return (self._clock(), 0) if self._clock() - began > SECONDS else (began, count)


def _limits(address: str, peer: str) -> dict[str, int]:
    """The limit of each key under which an attempt is counted."""
    named = {} if address == peer else {f"peer {peer}": PEER_LIMIT}
    return {_network(address): LIMIT} | named


def _network(address: str) -> str:
    """The address, or the network of an IPv6 one: one subscriber has all addresses of it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.IPv6Network((found.packed[:8] + bytes(8), 64)))
    return address
