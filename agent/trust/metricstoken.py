"""The bearer by which a scraper may see datasets' names in the metrics: any text in a file.

Prometheus can prove no mesh key, and shall not have it.
"""

import hmac
from pathlib import Path

from meshcache.errors import InvalidInput, ProofInvalid

MIN_SIZE = 16
"""Characters at least: what is shorter can be guessed."""


def load(path: Path) -> bytes:
    """The token in a file.

    Raises:
        InvalidInput: no such file, or one that holds no token.
    """
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise InvalidInput(f"--metrics-token-file {path}: {error.strerror}") from error
    if len(token) < MIN_SIZE:
        raise InvalidInput(
            f"--metrics-token-file {path}: a token has {MIN_SIZE} characters or more"
        )
    return token


def check(token: str, path: Path | None) -> None:
    """Check a scraper's token. The file is read each time, so a replaced Secret counts at once.

    Raises:
        ProofInvalid: it is another, or there is none (any more).
    """
    if path is None:
        raise ProofInvalid("this agent takes no bearer for its metrics: give --metrics-token-file")
    try:
        known = load(path)
    except InvalidInput as error:
        raise ProofInvalid("this agent's --metrics-token-file holds no token any more") from error
    if not hmac.compare_digest(known, token.encode("utf-8", "surrogateescape")):
        raise ProofInvalid("the bearer is not the token of --metrics-token-file")
