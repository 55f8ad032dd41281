"""Why a connection failed, in a few words and without what a library wraps around it."""

import os
import socket
import ssl


def cause_of(error: BaseException) -> str:
    """The innermost reason that is told in words: ``connection refused``, ``unknown host``.

    Only the system's own words are passed on: a server's may hold anything, secrets too.
    """
    found = _reason(error, set())
    return found or "the connection failed"


def _reason(error: BaseException, seen: set[int]) -> str | None:
    if id(error) in seen:
        return None
    seen.add(id(error))
    for inner in _inner(error):
        if (reason := _reason(inner, seen)) is not None:
            return reason
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, socket.gaierror):
        return "unknown host"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    # aiohttp's own message has many parts; the system's is in the number.
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return None


def _inner(error: BaseException) -> list[BaseException]:
    wrapped = [
        getattr(error, "os_error", None),  # aiohttp's ClientConnectorError
        (getattr(error, "kwargs", None) or {}).get("error"),  # botocore's
        error.__cause__,
        error.__context__,
        *getattr(error, "exceptions", ()),
    ]
    return [inner for inner in wrapped if isinstance(inner, BaseException)]
