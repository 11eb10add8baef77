"""The name of an exception's class."""

from __future__ import annotations

import asyncio
import json

import pytest

from otel_ml._exceptions import UNKNOWN, exception_type


class Outer:
    class Inner(Exception):
        pass


class Meta(type):
    def __getattribute__(cls, name):
        raise RuntimeError(name)


def made(name, module, qualname=None):
    cls = type(name, (Exception,), {"__module__": module})
    cls.__qualname__ = qualname or name
    return cls


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (ValueError, "ValueError"),
        (json.JSONDecodeError, "json.decoder.JSONDecodeError"),
        (
            asyncio.TimeoutError,
            "asyncio.exceptions.TimeoutError" if asyncio.TimeoutError is not TimeoutError else "TimeoutError",
        ),
        (Outer.Inner, f"{__name__}.Outer.Inner"),
        (made("MyError", "__main__"), "__main__.MyError"),
        (made("MyError", None), "MyError"),
        (made("My\nError", "a\u202e"), "a\ufffd.My Error"),
        (made("MyError", "m" * 200), "m" * 128),
        (object(), UNKNOWN),
    ],
)
def test_a_class_has_one_name(cls, expected):
    """Module and qualified name, without a module for builtins; clean and bounded."""
    assert exception_type(cls) == expected


def test_a_metaclass_has_no_say():
    """The name is read from the type itself."""
    assert exception_type(Meta("Sly", (Exception,), {"__module__": "app"})) == "app.Sly"
