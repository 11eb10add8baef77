"""Describes an image by its size, brightness, contrast and sharpness. Needs numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from otel_ml._guard import attempt
from otel_ml._values.kinds import kind
from otel_ml.quality.descriptors._host_arrays import host_array

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

IMAGE_PARTS: Final = ("width", "height", "brightness", "contrast", "sharpness")
CHANNELS: Final = (1, 3, 4)
_WHOLE: Final = 128
"""Rows, and columns, of an image that is read whole."""
_TILES: Final = 8
_TILE: Final = _WHOLE // _TILES
_LONGEST_LIST: Final = 4096
_MOST_LEVELS: Final = 4
_PLAIN_MODES: Final = ("L", "RGB", "I", "I;16", "F")

Crop = Callable[[int, int, int, int], Any]
"""Returns the pixels between left, top, right and bottom."""


def describe_image(value: object) -> tuple[float, ...] | None:
    """Returns the values of `IMAGE_PARTS` in the units of the image; None for anything else.

    Of a large image 64 tiles of 16 by 16 pixels are read.
    """
    opened = attempt(_open_picture, value) if kind(value) == "picture" else _open_array(value)
    return None if opened is None else attempt(_describe, *opened)


def is_image_shape(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is one image: height by width, with channels last or first."""
    return len(shape) == 2 or (len(shape) == 3 and (shape[2] in CHANNELS or shape[0] in CHANNELS))


def list_shape(rows: Any) -> tuple[int, ...]:
    """Returns the shape of nested lists; that of a list of anything else is its length."""
    shape: list[int] = []
    while type(rows) in (list, tuple) and len(shape) <= _MOST_LEVELS:
        shape.append(len(rows))
        rows = rows[0] if rows else None
    return tuple(shape)


def _open_picture(picture: Any) -> tuple[int, int, Crop]:
    """Opens an image of PIL. May raise, as its methods may."""
    import numpy as np

    def crop(left: int, top: int, right: int, bottom: int) -> Any:
        tile = picture.crop((left, top, right, bottom))
        return np.asarray(tile if tile.mode in _PLAIN_MODES else tile.convert("RGB"))

    width, height = picture.size
    return width, height, crop


def _open_array(value: object) -> tuple[int, int, Crop] | None:
    array = host_array(value)
    if array is None and type(value) in (list, tuple):
        array = attempt(_nested, value)
    if array is None or array.dtype.kind not in "iufb" or not is_image_shape(array.shape):
        return None
    if array.ndim == 3 and array.shape[2] not in CHANNELS:
        array = array.transpose(1, 2, 0)
    pixels = array
    return array.shape[1], array.shape[0], lambda left, top, right, bottom: pixels[top:bottom, left:right]


def _nested(rows: Any) -> Array | None:
    """Returns nested lists of numbers as an array. May raise."""
    import numpy as np

    return np.array(rows) if 0 < len(rows) <= _LONGEST_LIST and len(rows[0]) <= _LONGEST_LIST else None


def _describe(width: int, height: int, crop: Crop) -> tuple[float, ...] | None:
    import numpy as np

    tiles = [crop(left, top, right, bottom) for top, bottom in _spans(height) for left, right in _spans(width)]
    pixels = np.stack(tiles).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # the result says whether all pixels are finite
        brightness, contrast = float(pixels.mean()), float(pixels.std())
        steps = np.abs(np.diff(pixels, axis=2))
        sharpness = float(steps.mean()) if steps.size else 0.0
    found = (float(width), float(height), brightness, contrast, sharpness)
    return found if bool(np.isfinite(found).all()) else None


def _spans(size: int) -> list[tuple[int, int]]:
    """Returns the parts of a side that are read: all of it, or evenly spaced ones."""
    if size <= _WHOLE:
        return [(0, size)]
    starts = [(size - _TILE) * place // (_TILES - 1) for place in range(_TILES)]
    return [(start, start + _TILE) for start in starts]
