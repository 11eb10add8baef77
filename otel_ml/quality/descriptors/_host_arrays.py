"""Arrays that can be read where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from otel_ml._guard import attempt
from otel_ml._values.kinds import is_on_host, kind, sequence

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def host_array(value: Any) -> Array | None:
    """Returns an array, or a tensor that is not on a device, as an array without a copy; None for anything else."""
    family = kind(value)
    if family == "array":
        found: Any = value
    elif family == "tensor":
        found = attempt(_tensor_array, value)
    else:
        return None
    return found if hasattr(found, "dtype") else None


def _tensor_array(tensor: Any) -> Any:
    """Returns a tensor of the host as an array, in single precision if numpy does not have its type. May raise."""
    if not is_on_host(tensor):
        return None
    found = attempt(tensor.detach().numpy)
    return tensor.detach().float().numpy() if found is None else found


def column_values(values: Any) -> Sequence[Any] | None:
    """Returns the values of a column one by one; None if it is on a device or of an unknown type."""
    if type(values) is list:
        return values
    family = kind(values)
    if family in ("array", "tensor"):
        array = host_array(values)
        return None if array is None or not array.ndim else list(array) if array.ndim > 1 else array.tolist()
    listed = sequence(values, attempt(len, values) or 0)
    return None if listed is None else listed[0]
