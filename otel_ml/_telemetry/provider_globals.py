"""The global providers of the OTel API, replaced by those of a second life, or for one test."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

_numbers = itertools.count(1)
_number = 0


def number() -> int:
    """Returns the number of the global providers: instruments that were made under another one count elsewhere."""
    return _number


def swap_globals(tracer_provider: Any, meter_provider: Any, logger_provider: Any) -> Callable[[], None]:
    """Replaces the OTel globals; returns the function that restores them.

    The API lets a process set each of them once, so its private guards have to be reset, as opentelemetry-test-utils
    does in ``globals_test.py``. Only providers of ours whose engine has ended are replaced, and those of tests.
    """
    global _number
    from opentelemetry import trace
    from opentelemetry._logs import _internal as logs
    from opentelemetry.metrics import _internal as metrics
    from opentelemetry.util._once import Once

    places: list[tuple[Any, str, Any]] = [
        (trace, "_TRACER_PROVIDER", tracer_provider),
        (metrics, "_METER_PROVIDER", meter_provider),
        (logs, "_LOGGER_PROVIDER", logger_provider),
    ]
    former = [(module, name, getattr(module, name)) for module, name, _ in places]
    former += [(module, f"{name}_SET_ONCE", getattr(module, f"{name}_SET_ONCE")) for module, name, _ in places]
    for module, name, provider in places:
        once = Once()
        once.do_once(lambda: None)
        setattr(module, f"{name}_SET_ONCE", once)
        setattr(module, name, provider)
    former_number, _number = _number, next(_numbers)

    def undo() -> None:
        global _number
        _number = former_number
        for module, name, value in former:
            setattr(module, name, value)

    return undo
