"""Texts in protobuf messages that are not valid UTF-8: one of them would make a whole request unreadable."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

if TYPE_CHECKING:
    from google.protobuf.message import Message


def valid_text(body: bytes, kind: type[Message]) -> bytes:
    """The same message with U+FFFD for what is not UTF-8.

    Senders that do not check their texts cut them in the middle of a character, or put bytes of a file name in them;
    the Collector passes them on.

    Raises:
        DecodeError: More than a text is wrong.
    """
    message: Message = _without_texts(kind.DESCRIPTOR)()
    message.ParseFromString(body)
    _replace(message, kind.DESCRIPTOR)
    return message.SerializeToString()


@lru_cache
def _without_texts(kind: Any) -> Any:
    """The class of the same messages with bytes instead of texts, which are not checked."""
    pool = DescriptorPool()
    _add(pool, kind.file, set())
    return GetMessageClass(pool.FindMessageTypeByName(kind.full_name))


def _add(pool: DescriptorPool, file: Any, added: set[str]) -> None:
    for needed in file.dependencies:
        _add(pool, needed, added)
    if file.name not in added:
        added.add(file.name)
        copied = FileDescriptorProto()
        file.CopyToProto(copied)
        for message in copied.message_type:
            _as_bytes(message)
        pool.Add(copied)


def _as_bytes(message: DescriptorProto) -> None:
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_STRING:
            field.type = FieldDescriptorProto.TYPE_BYTES
    for nested in message.nested_type:
        _as_bytes(nested)


def _replace(message: Any, kind: Any) -> None:
    for field, value in message.ListFields():
        original = kind.fields_by_name[field.name]
        if original.message_type is not None:
            for item in [value] if hasattr(value, "ListFields") else value:
                _replace(item, original.message_type)
        elif original.type == FieldDescriptorProto.TYPE_STRING:
            if isinstance(value, bytes):
                setattr(message, field.name, _valid(value))
            else:
                value[:] = [_valid(item) for item in value]


def _valid(text: bytes) -> bytes:
    return text.decode("utf-8", "replace").encode("utf-8")
