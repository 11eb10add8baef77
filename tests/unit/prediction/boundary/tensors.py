"""A tensor without torch."""

from __future__ import annotations

import types

import numpy as np


class Tensor:
    """A stand-in for a tensor that fails when one on a device is read."""

    def __init__(self, values, device="cpu"):
        self._array = np.asarray(values)
        self.device = types.SimpleNamespace(type=device)
        self.ndim = self._array.ndim
        self.shape = self._array.shape

    def detach(self):
        return self

    def __getitem__(self, key):
        return Tensor(self._array[key], self.device.type)

    def tolist(self):
        assert self.device.type == "cpu", "a device was synchronised"
        return self._array.tolist()

    item = cpu = numpy = __len__ = tolist


Tensor.__module__ = "torch"
