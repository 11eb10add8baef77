"""Runs work off the event loop: a few threads at a time behind a bounded queue; the process never waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class BusyError(Exception):
    """The queue is full, or the work took too long."""


class Threads:
    """Runs functions on daemon threads, which do not delay the end of the process.

    A thread that exceeds its time runs to its end and counts as running until then.
    """

    def __init__(self, name: str, *, running: int, waiting: int, seconds: float) -> None:
        self._name = name
        self._turns = asyncio.Semaphore(running)
        self._places = running + waiting
        self._seconds = seconds
        """Time for one piece of work, including the wait."""

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs the function on a thread and returns or raises what it does.

        Raises:
            BusyError: The queue is full or the time is over.
        """
        if not self._places:
            raise BusyError
        self._places -= 1
        try:
            return await asyncio.wait_for(self._run(work, arguments), self._seconds)
        except asyncio.TimeoutError:
            raise BusyError from None
        finally:
            self._places += 1

    async def _run(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        await self._turns.acquire()
        job = _Job(self._turns)
        threading.Thread(target=job.do, args=(work, arguments), name=self._name, daemon=True).start()
        result: T = await job.future
        return result


class _Job:
    """One piece of work and the future of its result; as a context manager it catches what the work raises."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def do(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        with self:
            self._resolve(work(*arguments), None)

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            self._resolve(None, error)
        return True

    def _resolve(self, result: Any, error: BaseException | None) -> None:
        # the loop may have ended; then nothing waits for the result
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._finish, result, error)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        self._turns.release()
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)
