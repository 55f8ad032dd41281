"""The marks of a sample as few bytes.

An empty string is "nothing". Else the first byte names the form: the bitmap itself, the same
deflated, or the places of the marks, two bytes each: whichever is the shortest.
"""

import zlib

import numpy as np

from meshcache.agent.held.sample import POINTS, Bits

_BITMAP, _DEFLATED, _PLACES = b"\x01", b"\x02", b"\x03"

_MOST = POINTS // 8
"""Bytes of the longest bitmap."""


def encode(bits: Bits) -> bytes:
    """At most 2 KiB and a byte."""
    if not bits.any():
        return b""
    bitmap = np.packbits(bits).tobytes()
    places = np.flatnonzero(bits).astype("<u2").tobytes()
    return min(
        _BITMAP + bitmap, _DEFLATED + zlib.compress(bitmap, wbits=-15), _PLACES + places, key=len
    )


def decode(data: bytes, count: int) -> Bits | None:
    """What `encode` made of `count` marks; None if it did not."""
    form, rest = data[:1], data[1:]
    if not form:
        return np.zeros(count, dtype=np.bool_)
    if form == _PLACES:
        return _from_places(rest, count)
    if form == _DEFLATED:
        try:
            rest = zlib.decompressobj(wbits=-15).decompress(rest, _MOST + 1)
        except zlib.error:
            return None
    elif form != _BITMAP:
        return None
    if len(rest) != -(-count // 8):
        return None
    return np.unpackbits(np.frombuffer(rest, dtype=np.uint8), count=count).astype(np.bool_)


def _from_places(data: bytes, count: int) -> Bits | None:
    if len(data) % 2:
        return None
    places = np.frombuffer(data, dtype="<u2")
    if len(places) and int(places.max()) >= count:
        return None
    bits = np.zeros(count, dtype=np.bool_)
    bits[places] = True
    return bits
