"""What depends on the process: forks and threads, its exit, file locks, its instance id, how a job waits for room."""

from __future__ import annotations

from otel_ml._process.forks import forks_without_hooks, hold_at_fork, in_child, spawn, warn_if_replaced

__all__ = ["forks_without_hooks", "hold_at_fork", "in_child", "spawn", "warn_if_replaced"]
