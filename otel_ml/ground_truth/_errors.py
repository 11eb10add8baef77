"""The error of a store that cannot be used."""

from __future__ import annotations


class StoreError(RuntimeError):
    """The store cannot be used; the message says why and what to do."""

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient
        """Whether a later attempt may succeed: the database is locked, full or unreachable."""
