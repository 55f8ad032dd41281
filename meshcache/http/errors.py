"""What goes wrong between a request and the end of its answer, besides OSError and TimeoutError.

Messages are ours alone: what a server says may hold anything.
"""


class BadAnswer(Exception):
    """What came is not an HTTP/1.1 answer, or not one that is taken."""


class TooLong(BadAnswer):
    """The answer is longer than whoever asked can take."""


class BrokenOff(ConnectionError):
    """The connection ended before the answer did."""
