"""The webhook's HTTPS: POST /mutate for the API server, GET /healthz and /readyz for probes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from aiohttp import web

from meshcache.agent.address import HostPort
from meshcache.agent.webhook import review
from meshcache.agent.webhook.asks import mentioned
from meshcache.agent.webhook.renewed import Certificate, GuestKeys, Renewed
from meshcache.agent.webhook.review import Allowed
from meshcache.agent.webhook.settings import SidecarSettings
from meshcache.errors import EnvironmentUnfit, InvalidInput, MeshcacheError
from meshcache.tasks import TaskSet

log = structlog.get_logger()

LOOK_EVERY: Final = 5.0
"""Seconds from one look at certificate, mesh key and datasets to the next."""

MAX_BODY: Final = 8 << 20
"""Bytes of a review: the API server's own limit for an object is 3 MiB, and it may send two."""


def build_app(
    settings: SidecarSettings,
    known: "Known",
    key_for: Callable[[str], str],
    *,
    callers_prove: bool = False,
) -> web.Application:
    """The routes.

    Args:
        callers_prove: only who has shown a certificate is told anything: an answer holds the keys
            of the datasets that the pod asks for.
    """

    async def mutate(http: web.Request) -> web.Response:
        if callers_prove and not http.get_extra_info("peercert"):
            return web.json_response({"error": "this takes a client certificate"}, status=403)
        try:
            asked = review.read(await http.read())
        except InvalidInput as error:
            return web.json_response({"error": str(error)}, status=400)
        if asked.object is not None and not await known.is_sure_of(mentioned(asked.object)):
            # No answer: what then becomes of the pod, its failurePolicy says.
            return web.json_response({"error": "the mesh's datasets are not known"}, status=503)
        return web.json_response(review.answer(asked, settings, known.allowed, key_for))

    async def healthz(http: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(http: web.Request) -> web.Response:
        text, status = ("ok\n", 200) if known.answered else ("no agent answers yet\n", 503)
        return web.Response(text=text, status=status)

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_post("/mutate", mutate)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


@asynccontextmanager
async def serving(
    app: web.Application, listen: HostPort, certificate: Certificate
) -> AsyncIterator[HostPort]:
    """Serve; gives the address that is really listened on.

    Raises:
        EnvironmentUnfit: the address cannot be listened on.
    """
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, listen.host, listen.port, ssl_context=certificate.context)
        try:
            await site.start()
        except OSError as error:
            raise EnvironmentUnfit(f"cannot listen on {listen}: {error.strerror}") from error
        yield HostPort(listen.host, runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def keep_current(files: Iterable[Renewed], look: Callable[[], Awaitable[bool]]) -> None:
    """Look after what somebody else renews and after the mesh's datasets, for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for one in files:
            one.renew()
        await look()


class Known:
    """The datasets: those named by hand, and those that an agent of the mesh knows."""

    def __init__(
        self,
        named: list[str],
        ask: Callable[[], Awaitable[list[dict[str, Any]]]] | None,
        *,
        callers_known: bool,
    ) -> None:
        """`ask` gives the agent's datasets; None if there is no agent. `callers_known`: see
        `Allowed`."""
        self._named = named
        self._ask = ask
        self._found: dict[str, tuple[str, ...]] = {}
        self.answered = ask is None
        """Whether the agent has answered, ever."""
        self.allowed = Allowed(
            self.__contains__, lambda name: self._found.get(name, ()), callers_known
        )

    def __contains__(self, name: str) -> bool:
        return name in self._named or name in self._found

    async def is_sure_of(self, names: Iterable[str]) -> bool:
        """Whether it is certain which of these are datasets. One that is not known may have been
        made just now, so the agent is asked again."""
        return all(name in self for name in names) or await self.look()

    async def look(self) -> bool:
        """Ask the agent; whether it has answered. If not, its last answer stands."""
        if self._ask is None:
            return True
        try:
            datasets = await self._ask()
        except MeshcacheError as error:
            log.warning("the mesh's datasets are not known", error=str(error))
            return False
        self._found = {one["name"]: tuple(one.get("namespaces") or ()) for one in datasets}
        self.answered = True
        return True


async def run(
    listen: HostPort,
    certificate: Certificate,
    settings: SidecarSettings,
    known: Known,
    keys: GuestKeys,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[HostPort], None],
) -> None:
    """Serve until `stop` is set. Raises as `serving`."""
    await known.look()
    tasks = TaskSet(on_error=lambda name, error: log.error("failed", task=name, exc_info=error))
    app = build_app(settings, known, keys.key_for, callers_prove=certificate.checks_callers)
    async with serving(app, listen, certificate) as bound:
        tasks.start(keep_current((certificate, keys), known.look), name="keep current")
        on_ready(bound)
        await stop.wait()
        await tasks.close()
