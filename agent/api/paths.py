"""A file's path in a URL."""

from urllib.parse import unquote_to_bytes

from aiohttp import web


def path_of(request: web.Request) -> str:
    """The path below ``/v1/datasets/NAME/files/`` (or entries), decoded once; bytes that are no
    UTF-8 stay what they are.

    Taken from the raw URL: aiohttp's own decoding would replace such bytes. Only names that the
    snapshot lists are ever found, so ``..`` leads nowhere.
    """
    raw = request.rel_url.raw_path
    _, _, rest = raw.removeprefix("/v1/datasets/").partition("/")
    _, _, path = rest.partition("/")
    return unquote_to_bytes(path).decode("utf-8", "surrogateescape")
