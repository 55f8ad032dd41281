"""A Secret in Kubernetes' protobuf, which is how Helm writes its releases.

Field numbers: k8s.io/api/core/v1/generated.proto, k8s.io/apimachinery/pkg/apis/meta/v1.
"""

import base64
from collections.abc import Iterator
from typing import Any

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"


def secret(body: bytes) -> dict[str, Any]:
    """The Secret, as JSON has it."""
    assert body.startswith(_MAGIC)
    (raw,) = _all(2, body[len(_MAGIC) :])
    (metadata,) = _all(1, raw)
    labels, data = _map(11, metadata), _map(2, raw)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": _all(1, metadata)[0].decode(),
            "labels": {name: value.decode() for name, value in labels.items()},
        },
        "type": _all(3, raw)[0].decode(),
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def _map(field: int, message: bytes) -> dict[str, bytes]:
    return {_all(1, entry)[0].decode(): _all(2, entry)[0] for entry in _all(field, message)}


def _all(field: int, message: bytes) -> list[bytes]:
    return [value for number, value in _fields(message) if number == field]


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields that have a length: texts, bytes and messages. Numbers are passed over."""
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        size, at = _number(message, at)
        if tag & 7 == 2:
            yield tag >> 3, message[at : at + size]
            at += size


def _number(message: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where the next field begins."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not byte & 0x80:
            return value, at
