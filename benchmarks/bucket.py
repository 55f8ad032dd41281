"""A bucket that is made up as it is asked for: ListObjectsV2, HEAD and ranged GET, no data kept.

Its keys are a sorted sequence, which may be computed (`Numbered`: a million keys cost no memory);
an object's bytes are the output of blake3 for its key and version, so every range is computed
alone. Everything is the same in each run. Requests are counted, and pages can be made to fail.

``python -m benchmarks.bucket --files 1000000`` serves one on a free port, and prints it.
"""

import argparse
import asyncio
import base64
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote
from xml.sax.saxutils import escape

from aiohttp import web
from blake3 import blake3

NAME = "made-up"
"""The bucket; every other one has the same objects."""

_TIME = "2026-01-02T03:04:05.678Z"
_HTTP_TIME = "Fri, 02 Jan 2026 03:04:05 GMT"
_PAGE = 1000
_BEYOND = "\U0010ffff"


class Numbered(Sequence[str]):
    """Keys ``PREFIX000012/000345.bin``, `per_folder` of them in each folder."""

    def __init__(self, files: int, *, per_folder: int = 1000, prefix: str = "") -> None:
        self._files = files
        self._per_folder = per_folder
        self._prefix = prefix

    def __len__(self) -> int:
        return self._files

    def __getitem__(self, index: int) -> str:  # type: ignore[override] # no slices are needed
        if not 0 <= index < self._files:
            raise IndexError(index)
        folder, number = divmod(index, self._per_folder)
        return f"{self._prefix}{folder:06}/{number:06}.bin"


class Bucket:
    """One bucket and its server. A context manager: it listens on 127.0.0.1."""

    def __init__(self, keys: Sequence[str], *, size: int = 100_000, delay: float = 0.0) -> None:
        """`keys` must be sorted; `size` is each object's, in bytes; `delay` is before each page,
        in seconds."""
        self.keys = keys
        self.size = size
        self.delay = delay
        self.versions: dict[str, int] = {}
        """Key -> how often it was replaced."""
        self.removed: set[str] = set()
        self.counts: Counter[str] = Counter()
        """Requests by kind: page, top, one, head, get."""
        self.fail_from: int | None = None
        """Pages from this one on, counted from 1, are answered with status 500."""
        self.fails_late = False
        """They are answered with status 200 and an error in the body, as S3 does at times."""
        self.begins_behind: Literal["yes", "ignored", "refused"] = "yes"
        """What becomes of ``start-after``: a directory bucket of S3 refuses it."""
        self.page_size = _PAGE
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_route("GET", "/{bucket}", self._list)
        app.router.add_route("GET", "/{bucket}/", self._list)
        app.router.add_route("*", "/{bucket}/{key:.+}", self._object)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def tag(self, key: str) -> str:
        """The ETag of a key's object as it is now."""
        return blake3(self._seed(key)).digest(16).hex()

    def data(self, key: str, start: int, stop: int) -> bytes:
        """A range of a key's object as it is now."""
        return blake3(self._seed(key)).digest(stop - start, seek=start)

    def _seed(self, key: str) -> bytes:
        return f"{self.versions.get(key, 0)} {key}".encode("utf-8", "surrogateescape")

    # --- listing --------------------------------------------------------------------------------

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        most = min(int(query.get("max-keys", self.page_size)), self.page_size)
        self.counts["top" if delimiter else "one" if most == 1 else "page"] += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.fail_from is not None and self.counts["page"] >= self.fail_from:
            error = "<Error><Code>InternalError</Code><Message>made to fail</Message></Error>"
            return web.Response(
                status=200 if self.fails_late else 500, text=error, content_type="application/xml"
            )
        token = query.get("continuation-token")
        begin = query.get("start-after", "")
        if begin and self.begins_behind == "refused":
            error = "<Error><Code>NotImplemented</Code><Message>no start-after</Message></Error>"
            return web.Response(status=501, text=error, content_type="application/xml")
        if self.begins_behind != "yes":
            begin = ""
        after = base64.b64decode(token).decode() if token else begin
        index = max(bisect_left(self.keys, prefix), bisect_right(self.keys, after) if after else 0)
        parts: list[str] = []
        last = ""
        while index < len(self.keys) and (key := self.keys[index]).startswith(prefix):
            if len(parts) == most:
                break
            slash = key.find(delimiter, len(prefix)) if delimiter else -1
            if slash >= 0:
                last = key[: slash + 1] + _BEYOND
                parts.append(f"<CommonPrefixes><Prefix>{_spelled(key[: slash + 1])}</Prefix>")
                parts[-1] += "</CommonPrefixes>"
                index = bisect_right(self.keys, last)
                continue
            last = key
            index += 1
            if key not in self.removed:
                parts.append(self._contents(key))
        truncated = index < len(self.keys) and self.keys[index].startswith(prefix)
        following = base64.b64encode(last.encode()).decode()
        token = f"<NextContinuationToken>{following}</NextContinuationToken>" if truncated else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{NAME}</Name><Prefix>{_spelled(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"
            f"<EncodingType>url</EncodingType><IsTruncated>{str(truncated).lower()}</IsTruncated>"
            f"{token}{''.join(parts)}</ListBucketResult>"
        )
        return web.Response(text=text, content_type="application/xml")

    def _contents(self, key: str) -> str:
        return (
            f"<Contents><Key>{_spelled(key)}</Key><LastModified>{_TIME}</LastModified>"
            f"<ETag>&quot;{self.tag(key)}&quot;</ETag><Size>{self.size}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )

    # --- objects --------------------------------------------------------------------------------

    async def _object(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        self.counts["head" if request.method == "HEAD" else "get"] += 1
        place = bisect_left(self.keys, key)
        if place == len(self.keys) or self.keys[place] != key or key in self.removed:
            return web.Response(status=404)
        tag = f'"{self.tag(key)}"'
        if request.headers.get("If-Match", tag) != tag:
            return web.Response(status=412)
        headers = {"ETag": tag, "Last-Modified": _HTTP_TIME, "Accept-Ranges": "bytes"}
        part = request.http_range
        start, stop = part.start or 0, min(part.stop or self.size, self.size)
        if request.method == "HEAD":
            return web.Response(headers=headers | {"Content-Length": str(self.size)})
        status = 200
        if "Range" in request.headers:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{self.size}"
        return web.Response(status=status, headers=headers, body=self.data(key, start, stop))


def _spelled(key: str) -> str:
    return escape(quote(key, safe="/"))


async def _serve(keys: Sequence[str], size: int) -> None:
    async with Bucket(keys, size=size) as bucket:
        print(bucket.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser("benchmarks.bucket", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--per-folder", type=int, default=1000)
    parser.add_argument("--size", type=int, default=100_000, help="bytes of each object")
    options = parser.parse_args()
    keys = Numbered(options.files, per_folder=options.per_folder)
    asyncio.run(_serve(keys, options.size))


if __name__ == "__main__":
    main()
