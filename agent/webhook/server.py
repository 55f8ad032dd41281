"""The webhook's HTTPS: POST /mutate for the API server, GET /healthz for probes."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from meshcache.agent.address import HostPort
from meshcache.agent.webhook.review import Allowed, answer
from meshcache.agent.webhook.settings import SidecarSettings
from meshcache.errors import EnvironmentUnfit, InvalidInput, MeshcacheError
from meshcache.tasks import TaskSet

log = structlog.get_logger()

LOOK_EVERY: Final = 5.0
"""Seconds from one look at certificate and datasets to the next."""

MAX_BODY: Final = 8 << 20
"""Bytes of a review: the API server's own limit for an object is 3 MiB, and it may send two."""


class Certificate:
    """A certificate and its key in files that somebody else renews."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Load them.

        Raises:
            InvalidInput: they cannot be read, or do not belong together.
        """
        self._files = (cert, key)
        self._stamp = self._look()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self.context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInput(f"--tls-cert {cert}, --tls-key {key}: {error.args[-1]}") from error

    def _look(self) -> list[tuple[int, int]]:
        stats = []
        for file in self._files:
            with contextlib.suppress(OSError):
                found = file.stat()
                stats.append((found.st_ino, found.st_mtime_ns))
        return stats

    def renew(self) -> bool:
        """Take what the files hold now, if they changed; handshakes from now on see it. Files that
        do not fit together (one is written before the other) are left for the next look."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        try:
            # Into a context aside first: a failed load would leave the one in use without a key.
            aside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            aside.load_cert_chain(*self._files)
            self.context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            log.warning("the new certificate cannot be used yet", error=str(error))
            return False
        self._stamp = stamp
        return True


def build_app(
    settings: SidecarSettings, allowed: Allowed, key_for: Callable[[str], str]
) -> web.Application:
    """The routes."""

    async def mutate(request: web.Request) -> web.Response:
        try:
            return web.json_response(answer(await request.read(), settings, allowed, key_for))
        except InvalidInput as error:
            return web.json_response({"error": str(error)}, status=400)

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_post("/mutate", mutate)
    app.router.add_get("/healthz", healthz)
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


async def keep_current(certificate: Certificate, look: Callable[[], Awaitable[None]]) -> None:
    """Look after the certificate and the mesh's datasets, for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        if certificate.renew():
            log.info("certificate renewed")
        await look()


class Known:
    """The datasets: those named by hand, and those that an agent of the mesh knows.

    While the agent cannot be asked the last answer stands.
    """

    def __init__(
        self, named: list[str], ask: Callable[[], Awaitable[list[dict[str, Any]]]] | None
    ) -> None:
        """`ask` gives the agent's datasets; None if there is no agent."""
        self._named = named
        self._ask = ask
        self._found: dict[str, tuple[str, ...]] = {}
        self.allowed = Allowed(self.__contains__, lambda name: self._found.get(name, ()))

    def __contains__(self, name: str) -> bool:
        return name in self._named or name in self._found

    async def look(self) -> None:
        """Ask the agent."""
        if self._ask is None:
            return
        try:
            datasets = await self._ask()
        except MeshcacheError as error:
            log.warning("the mesh's datasets are not known", error=str(error))
            return
        self._found = {one["name"]: tuple(one.get("namespaces") or ()) for one in datasets}


async def run(
    listen: HostPort,
    certificate: Certificate,
    settings: SidecarSettings,
    known: Known,
    key_for: Callable[[str], str],
    *,
    stop: asyncio.Event,
    on_ready: Callable[[HostPort], None],
) -> None:
    """Serve until `stop` is set. Raises as `serving`."""
    await known.look()
    tasks = TaskSet(on_error=lambda name, error: log.error("failed", task=name, exc_info=error))
    async with serving(build_app(settings, known.allowed, key_for), listen, certificate) as bound:
        tasks.start(keep_current(certificate, known.look), name="keep current")
        on_ready(bound)
        await stop.wait()
        await tasks.close()
