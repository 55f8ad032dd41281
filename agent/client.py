"""What an agent can be asked: one method for each.

How it is asked is `meshcache.agent.connection`'s, which also says what goes wrong.
"""

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote, urlencode

from meshcache.agent.connection import CHUNK, Connection
from meshcache.errors import PeerFailed

_LISTING_TIMEOUT = 3600.0
_EVENTS_TIMEOUT = 30.0
"""An agent sends an empty line each 10 s."""


class AgentClient(Connection):
    """An agent, by its socket or its address. An async context manager.

    Every method raises the error that the agent names (any `MeshcacheError`), and besides what
    `Connection` says.
    """

    # --- the members and this agent ---------------------------------------------------------

    async def ready(self) -> bool:
        """Whether it has joined what it was to join, and serves."""
        async with self._request("GET", "/readyz", b"") as (answer, _):
            return answer.status == 200

    async def members(self) -> list[dict[str, Any]]:
        """Everyone that the agent knows, itself among them."""
        return await self._list("/v1/members")

    async def status(self) -> dict[str, Any]:
        """What the agent says of itself: addresses, store, reads, mounts."""
        return await self._object("GET", "/v1/status")

    async def events(self, kinds: Sequence[str]) -> AsyncGenerator[dict[str, Any]]:
        """What happens in the mesh, as it happens; of these kinds, or of all if there are none.

        The first record is of the kind ``begin``; one of the kind ``end`` says why nothing more
        comes.
        """
        target = f"/v1/events?kinds={','.join(kinds)}" if kinds else "/v1/events"
        rest = b""
        async with aclosing(self._stream(target, silence=_EVENTS_TIMEOUT)) as stream:
            async for chunk in stream:
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > CHUNK:
                    raise PeerFailed(f"{self.where} does not answer like an agent")
                for line in filter(None, lines):
                    yield self._as(dict[str, Any], line)

    # --- the mesh keys --------------------------------------------------------------------------

    async def keys(self) -> dict[str, Any]:
        """Each key of the mesh with how many members hold and use it."""
        return await self._object("GET", "/v1/keys")

    async def install_key(self, key: str) -> dict[str, Any]:
        """Have all members accept another key: ``{id, done, failed}``."""
        return await self._object("POST", "/v1/keys", {"key": key})

    async def use_key(self, key_id: str) -> dict[str, Any]:
        """Have all members use an installed key."""
        return await self._object("POST", f"/v1/keys/{_quoted(key_id)}/use")

    async def remove_key(self, key_id: str) -> dict[str, Any]:
        """Have all members forget a key that none uses."""
        return await self._object("DELETE", f"/v1/keys/{_quoted(key_id)}")

    # --- datasets ---------------------------------------------------------------------------

    async def datasets(self, *, exact: bool = False) -> list[dict[str, Any]]:
        """All datasets of the mesh, with how much of each is cached.

        Args:
            exact: every member is asked; else their summaries tell.
        """
        return await self._list(f"/v1/datasets{'?exact=1' * exact}")

    async def dataset(self, name: str, *, exact: bool = False) -> dict[str, Any]:
        """One dataset; `exact` as in `datasets`."""
        return await self._object("GET", f"/v1/datasets/{_quoted(name)}{'?exact=1' * exact}")

    async def locality(self, name: str, path: str = "", *, exact: bool = False) -> dict[str, Any]:
        """Who holds how much of a dataset, or of what is below a path in it.

        Args:
            path: every member is asked if one is given.
            exact: they are asked in any case.
        """
        query = {"path": os.fsencode(path)} if path.strip("/") else {}
        query |= {"exact": b"1"} if exact else {}
        asked = f"?{urlencode(query, quote_via=quote)}" if query else ""
        return await self._object("GET", f"/v1/datasets/{_quoted(name)}/locality{asked}")

    async def create_dataset(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Create one; the origin is listed first, and its errors come back here."""
        return await self._object("POST", "/v1/datasets", record, silence=_LISTING_TIMEOUT)

    async def apply(
        self, datasets: Sequence[Mapping[str, Any]], *, dry_run: bool = False
    ) -> list[dict[str, Any]]:
        """Make or change datasets; says for each what was done: ``{name, result, message}``."""
        wish = {"datasets": datasets, "dry_run": dry_run}
        answer = await self._ask("POST", "/v1/apply", wish, silence=_LISTING_TIMEOUT)
        return self._as(list[dict[str, Any]], answer)

    async def delete_dataset(self, name: str) -> None:
        """Forget a dataset. Nothing at the origin is touched."""
        await self._ask("DELETE", f"/v1/datasets/{_quoted(name)}")

    async def refresh_dataset(self, name: str, every: float | None = None) -> dict[str, Any]:
        """List the origin again, and show what is there now.

        Args:
            name: the dataset.
            every: seconds; from now on the mesh does that by itself. 0: no more.
        """
        target = f"/v1/datasets/{_quoted(name)}/refresh"
        return await self._object("POST", target, {"every": every}, silence=_LISTING_TIMEOUT)

    async def versions(self, name: str) -> list[dict[str, Any]]:
        """The versions of a dataset that are remembered, the newest first."""
        return await self._list(f"/v1/datasets/{_quoted(name)}/versions")

    async def skipped(self, name: str) -> list[dict[str, Any]]:
        """The origin's keys that the dataset shows as no file: ``{key, reason}``, sorted."""
        return await self._list(f"/v1/datasets/{_quoted(name)}/skipped")

    async def entries(self, name: str, path: str) -> list[dict[str, Any]]:
        """What a directory of a dataset holds, sorted by name; of a file, the file itself."""
        return await self._list(f"/v1/datasets/{_quoted(name)}/entries/{_quoted(path)}")

    async def read(self, name: str, path: str, byte_range: str = "") -> AsyncGenerator[bytes]:
        """A file's bytes, as they come.

        Args:
            byte_range: a Range header like ``bytes=0-1023``; "" for the whole file.
        """
        target = f"/v1/datasets/{_quoted(name)}/files/{_quoted(path)}"
        async with aclosing(self._stream(target, byte_range)) as stream:
            async for chunk in stream:
                yield chunk

    # --- loads, mounts, tokens --------------------------------------------------------------

    async def start_load(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Start a load (`meshcache.agent.loads.NewLoad`); a dry run tells what it would do."""
        return await self._object("POST", "/v1/loads", record, silence=_LISTING_TIMEOUT)

    async def check_load(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """What of such a load is loaded already."""
        return await self._object("POST", "/v1/loads/check", record, silence=_LISTING_TIMEOUT)

    async def load(self, name: str) -> dict[str, Any]:
        """How far a load is, and each member with it."""
        return await self._object("GET", f"/v1/loads/{_quoted(name)}")

    async def load_spec(self, name: str) -> dict[str, Any]:
        """A load as it was asked for (`meshcache.agent.loads.NewLoad`)."""
        return await self._object("GET", f"/v1/loads/{_quoted(name)}/spec")

    async def loads(self) -> list[dict[str, Any]]:
        """The loads of the mesh."""
        return await self._list("/v1/loads")

    async def cancel_load(self, name: str) -> dict[str, Any]:
        """End a load; what is loaded stays."""
        return await self._object("POST", f"/v1/loads/{_quoted(name)}/cancel", {})

    async def delete_load(self, name: str) -> None:
        """End a load and forget it."""
        await self._ask("DELETE", f"/v1/loads/{_quoted(name)}")

    async def add_mount(
        self,
        dataset: str,
        mountpoint: str,
        pid: int,
        *,
        keeper: str = "",
        shown: Mapping[str, int] | None = None,
    ) -> dict[str, Any]:
        """Register a mount, which has shown these snapshots (id -> bytes) already; the answer names
        the socket of its door. `keeper` replaces the one that registered by that name before."""
        record = {"dataset": dataset, "mountpoint": mountpoint, "pid": pid}
        record |= {"keeper": keeper, "shown": dict(shown or {})}
        return await self._object("POST", "/v1/mounts", record)

    async def remove_mount(self, mount_id: str) -> None:
        """Take a mount off the agent's list."""
        await self._ask("DELETE", f"/v1/mounts/{_quoted(mount_id)}")

    async def mounts(self) -> list[dict[str, Any]]:
        """The mounts that are registered at the agent."""
        return await self._list("/v1/mounts")

    async def guest_key(self, dataset: str) -> str:
        """A key for guests of one dataset."""
        answer = await self._object("POST", "/v1/keys/guests", {"dataset": dataset})
        return str(answer["key"])

    async def mint_token(self, dataset: str, ttl: float) -> dict[str, Any]:
        """A bearer to read one dataset for `ttl` seconds: ``{token, expires}``."""
        return await self._object("POST", "/v1/tokens", {"dataset": dataset, "ttl": ttl})


def _quoted(path: str) -> str:
    """A name or path as it stands in a request line."""
    return quote(os.fsencode(path.strip("/")), safe="/")
