"""Sizes and durations as people write them.

Sizes are bytes and binary: ``64MiB``, ``64Mi`` (Kubernetes) and ``64M`` (juicefs, rclone) all
mean 64 * 2**20. Durations are seconds: ``90``, ``1h``, ``5m``, ``1h30m``, ``250ms``.
"""

import re

from meshcache.errors import InvalidInput

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<power>[kmgtp]?)(?:i?b|i)?", re.IGNORECASE)

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_size(text: str) -> int:
    """Bytes from ``"1.16GiB"``, ``"64Mi"``, ``"100M"`` or ``"4096"``.

    Raises:
        InvalidInput: the text is no size, or one of zero bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match["number"]) * 1024 ** _POWERS[match["power"].lower()]) if match else 0
    if size <= 0:
        raise InvalidInput(f"{text!r} is not a size: write bytes or a unit, like 64MiB or 1.5GiB")
    return size


def format_size(size: float) -> str:
    """``1245708288`` as ``"1.16GiB"``: two decimals, as Fluid's columns have them."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            return f"{value:.0f}B" if unit == "B" else f"{value:.2f}{unit}"
        value /= 1024
    return f"{value:.2f}PiB"


def parse_duration(text: str) -> float:
    """Seconds from ``"1h"``, ``"1h30m"``, ``"250ms"`` or ``"90"`` (seconds).

    Raises:
        InvalidInput: the text is no duration, or one of zero length.
    """
    stripped = text.strip().lower()
    parts = _DURATION_PART.findall(stripped)
    if parts and "".join(number + unit for number, unit in parts) == stripped:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    else:
        try:
            seconds = float(stripped)
        except ValueError:
            seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InvalidInput(f"{text!r} is not a duration: write seconds or a unit, like 90s or 1h")
    return seconds


def format_age(seconds: float) -> str:
    """An age as kubectl writes it: ``45s``, ``3m12s``, ``5h``, ``12d``."""
    total = max(0, int(seconds))
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        rest = total % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 48:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest and hours < 8 else f"{hours}h"
    return f"{days}d"
