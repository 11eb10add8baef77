"""The ledger: every record that was produced ends in exactly one of delivered, rejected, dropped or in flight."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from otel_ml import semconv
from otel_ml._export.answers import Answer


@dataclass(frozen=True)
class Ledger:
    """The account of one signal at one moment, in records (spans, log records, data points of metrics).

    ``produced == delivered + rejected + sum(dropped.values()) + in_flight`` at any quiet moment. *Delivered* means
    accepted by the first hop.
    """

    produced: int = 0
    delivered: int = 0
    rejected: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """By one of `otel_ml.semconv.DROP_REASONS`; only reasons that occurred."""
    in_flight: int = 0
    """Without a final answer: in a queue, being sent, or on disk."""
    spooled: int = 0
    """Those of ``in_flight`` that are in the spool. A process that replays what an earlier one left there enters it
    as produced."""
    folded: tuple[str, ...] = ()
    """Of metrics: the models that share the series of ``__other__`` now; ten are named."""

    def lost(self) -> int:
        """Returns how many records the first hop will never receive."""
        return self.rejected + sum(self.dropped.values())


class Book:
    """The running account of one signal; safe to write from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._produced = 0
        self._delivered = 0
        self._rejected = 0
        self._dropped: dict[str, int] = dict.fromkeys(semconv.DROP_REASONS, 0)
        self._spooled = 0
        self._ever_spooled = 0

    def produce(self, count: int) -> None:
        """Enters records, which are in flight from now on."""
        with self._lock:
            self._produced += count

    def enter(self, answer: Answer, count: int) -> int:
        """Enters the final answer to a request of so many records; returns how many of them were not accepted."""
        with self._lock:
            if answer.kind == "too_large":
                self._dropped["too_large"] += count
                return count
            rejected = min(max(answer.rejected, 0), count) if answer.kind == "accepted" else count
            self._rejected += rejected
            self._delivered += count - rejected
            return rejected

    def drop(self, reason: str, count: int) -> None:
        """Enters dropped records, by one of `otel_ml.semconv.DROP_REASONS`."""
        with self._lock:
            self._dropped[reason] += count

    def spool(self, count: int) -> None:
        """Enters that records were written to the spool (positive), or left it with a final answer (negative)."""
        with self._lock:
            self._spooled += count
            self._ever_spooled += max(0, count)

    def failed(self) -> int:
        """Returns the records that the first hop did not accept when they were sent; it never falls."""
        with self._lock:
            return self._rejected + sum(self._dropped.values()) + self._ever_spooled

    def answered(self) -> int:
        """Returns the records that the first hop accepted or rejected."""
        with self._lock:
            return self._delivered + self._rejected

    def drop_unqueued(self, reason: str, count: int) -> None:
        """Enters and drops records that never got into a queue."""
        with self._lock:
            self._produced += count
            self._dropped[reason] += count

    def read(self, waiting: int = 0) -> Ledger:
        """Returns the account now; ``waiting`` are records in a queue that are not in the book yet."""
        with self._lock:
            dropped = {reason: count for reason, count in self._dropped.items() if count}
            ended = self._delivered + self._rejected + sum(dropped.values())
            produced = self._produced + waiting
            return Ledger(produced, self._delivered, self._rejected, dropped, produced - ended, self._spooled)

    def reset_after_fork(self) -> None:
        """Opens a new account in a forked child: what was in flight belongs to the parent."""
        self.__init__()  # type: ignore[misc]
