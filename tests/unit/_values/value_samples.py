"""Values of many types for the tests of the value boundary."""

from __future__ import annotations

import enum
import math
import types

import numpy as np

NAN = float("nan")
INF = float("inf")


class Colour(enum.Enum):
    ONE = 1
    RED = "red"
    NESTED = (1, 2)


class Answer(enum.Enum):
    YES = True


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Tensor:
    """A stand-in for a tensor: it has a device, and fails the test when one on a device is read."""

    def __init__(self, values, device="cpu"):
        self._array = np.asarray(values)
        self.device = types.SimpleNamespace(type=device)
        self.ndim = self._array.ndim
        self.shape = self._array.shape
        self.synced = False

    def _read(self):
        self.synced = self.synced or self.device.type != "cpu"
        return self._array

    def detach(self):
        return self

    def __getitem__(self, key):
        return Tensor(self._read()[key])

    def tolist(self):
        return self._read().tolist()

    def item(self):
        return self._read().item()

    def cpu(self):
        return Tensor(self._read())

    def __float__(self):
        return float(self._read())

    def __len__(self):
        return len(self._array)


Tensor.__module__ = "torch"


def same(left, right):
    """Equal in type and value, with NaN equal to itself."""
    both_nan = isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right)
    return type(left) is type(right) and (both_nan or left == right)
