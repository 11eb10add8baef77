"""What the wire format's pieces write is what the protobuf library writes, and they read it back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ml import _protobuf

TEXTS = st.text(st.characters(codec="utf-8"), max_size=400)
KINDS = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}


@given(TEXTS, TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False))
def test_an_attribute_is_what_the_library_writes(name, value):
    """Attributes of every type, length and sign agree; an empty key is written out, which means the same."""
    message = Span.FromString(_protobuf.attribute(_protobuf.tag(9), name, value))

    assert list(message.attributes) == [KeyValue(key=name, value=AnyValue(**{KINDS[type(value)]: value}))]


def test_a_lone_surrogate_is_replaced():
    """A lone surrogate is replaced, because it cannot be encoded."""
    (attribute,) = Span.FromString(_protobuf.attribute(_protobuf.tag(9), "a\ud800", "b\ud800")).attributes

    assert (attribute.key, attribute.value.string_value) == ("a?", "b?")


def test_another_type_is_refused():
    """A value of another type raises TypeError."""
    with pytest.raises(TypeError, match="list"):
        _protobuf.attribute(_protobuf.tag(9), "name", [1])


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_read_back(number):
    """The value is returned with the position after it."""
    encoded = _protobuf.varint(number)

    assert _protobuf.read_varint(b"x" + encoded + b"y", 1) == (number, 1 + len(encoded))


def test_a_varint_that_does_not_end_is_refused():
    """A message that ends too early, or more than ten bytes, raise ValueError."""
    for message in (b"", b"\x80", b"\x80" * 20):
        with pytest.raises(ValueError, match="no varint"):
            _protobuf.read_varint(message)


@given(st.lists(TEXTS, max_size=5))
def test_fields_are_read_back(texts):
    """Each field has its number, its whole bytes, and its payload."""
    message = ArrayValue(values=[AnyValue(string_value=text) for text in texts]).SerializeToString()
    found = list(_protobuf.fields(message))

    assert b"".join(field for _, field, _ in found) == message
    assert [AnyValue.FromString(payload).string_value for _, _, payload in found] == texts
    assert [_protobuf.field(number, payload) for number, _, payload in found] == [field for _, field, _ in found]


@pytest.mark.parametrize("message", [b"\x0b", b"\x0a\x05x", b"\x09abc"])
def test_a_malformed_message_is_refused(message):
    """A group, a cut text and a cut number raise ValueError."""
    with pytest.raises(ValueError, match="no field|cut off"):
        list(_protobuf.fields(message))
