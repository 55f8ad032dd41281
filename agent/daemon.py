"""The agent's life: put the parts together, serve until told to end, leave nothing behind."""

import asyncio
import contextlib
import errno
import functools
import os
import resource
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog
import uvloop
from aiohttp import web

from meshcache.agent import applying
from meshcache.agent.address import HostPort
from meshcache.agent.api import build_app
from meshcache.agent.catalog import Catalog, Entries, Freshness, Listing, Refreshes
from meshcache.agent.client import AgentClient
from meshcache.agent.config import AgentConfig
from meshcache.agent.declared import TURNS, Declared
from meshcache.agent.follower import Follower
from meshcache.agent.held.holdings import Holdings
from meshcache.agent.held.summary import HELD
from meshcache.agent.loads.loads import Loads
from meshcache.agent.mesh import MeshView
from meshcache.agent.mesh.claims import CLAIMS, Claims
from meshcache.agent.mesh.membership import Membership
from meshcache.agent.mesh.monitor import Monitor
from meshcache.agent.mesh.peers import PeerClient
from meshcache.agent.mesh.records import Records
from meshcache.agent.mounts import Mounts
from meshcache.agent.node import Node
from meshcache.agent.origins import Origins
from meshcache.agent.snapshots import SnapshotOrigin, Snapshots
from meshcache.agent.specs import Plan
from meshcache.agent.trust.auth import Keys, Verifier
from meshcache.agent.trust.keyfile import KeyFile
from meshcache.budget import Budget, memory_limit
from meshcache.errors import EnvironmentUnfit
from meshcache.origin import Origin
from meshcache.prefetch import Prefetcher
from meshcache.reader import Reader
from meshcache.secrets import SecretSource
from meshcache.store import Store
from meshcache.tasks import TaskSet
from meshcache.units import MIB, format_size

log = structlog.get_logger()

END_WITHIN = 4.5
"""Seconds that an ordered end may take; SIGTERM promises 5 in all."""

END_AT_ALL_EVENTS = 4.9
"""Seconds after which an end that is held up is cut short: a thread in a file system that hangs
can be neither cancelled nor waited for. Nothing is lost; the store stands a kill -9."""

_MEMORY_SHARE = 0.25
_MIN_BUDGET = 64 * MIB


def run(config: AgentConfig, *, end_with_stdin: bool = False) -> int:
    """Run an agent until SIGTERM or SIGINT. Blocks.

    Args:
        end_with_stdin: end as well when stdin closes: with the process that started this one.

    Returns:
        The exit code: 0.

    Raises:
        MeshcacheError: it could not start; nothing is left behind.
    """
    uvloop.run(_serve(config, end_with_stdin))
    return 0


async def _serve(config: AgentConfig, end_with_stdin: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _order_to_end, config, stop)
    if end_with_stdin:
        loop.add_reader(0, _order_to_end, config, stop)  # nothing is written to it: it closes
    async with AsyncExitStack() as stack:
        node = await start(config, stack)
        node.ready = True
        sys.stdout.write(_ready_line(node) + "\n")
        sys.stdout.flush()
        await stop.wait()
        node.ready = False
        log.info("leaving", name=node.name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN):
                if not config.keep_mounts:
                    await node.mounts.unmount_all()
                await node.gossip.leave()
                await stack.aclose()


def _order_to_end(config: AgentConfig, stop: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(0)
    if not stop.is_set():
        stop.set()
        # A thread, for the loop may be what is held up; a daemon, for an end in time to end it.
        last = threading.Timer(END_AT_ALL_EVENTS, _end_now, (config.socket,))
        last.daemon = True
        last.start()


def _end_now(control: Path) -> None:
    log.warning("the end was held up and is cut short")
    _remove_socket(control)
    os._exit(0)


def _ready_line(node: Node) -> str:
    alive = sum(peer.state == "alive" for peer in node.mesh.peers())
    mesh = f"a mesh of {alive}" if alive > 1 else "a mesh of one"
    if node.config.join and alive == 1:
        mesh += f" ({node.membership.trouble}; still trying)"
    return (
        f"meshcache agent {node.name} is ready: http {node.address}, gossip "
        f"{node.gossip.me.address}, socket {node.config.socket}, "
        f"cache {node.config.cache_dir} ({format_size(node.store.quota)}), {mesh}"
    )


async def start(config: AgentConfig, stack: AsyncExitStack) -> Node:
    """Start every part; the stack ends them in the opposite order.

    Raises:
        MeshcacheError: a part could not start. What had started ends with the stack.
    """
    _raise_descriptor_limit()
    store = await asyncio.to_thread(_open_store, config)
    stack.callback(store.close)
    key_file = KeyFile(config.mesh_key_file, config.cache_dir, lambda line: log.warning(line))
    guest = config.guest()
    mesh_keys = [guest.secret] if guest else await asyncio.to_thread(key_file.load)
    listening = _listen(config.listen)
    stack.callback(listening.close)
    bound = HostPort(config.listen.host, listening.getsockname()[1])
    address = str(await asyncio.to_thread(config.advertised, bound))

    tasks = TaskSet(
        on_error=lambda name, error: log.error("task failed", task=name, exc_info=error)
    )
    stack.push_async_callback(tasks.close)
    keys = Keys(*mesh_keys, guest=guest.dataset if guest else "")
    client = PeerClient(keys)
    await client.start()
    stack.push_async_callback(client.close)

    membership = Membership(config, mesh_keys, keys, key_file, store, address)
    stack.push_async_callback(membership.close)
    await membership.start()
    gossip = membership.gossip
    records = Records(gossip, config.cache_dir / "records", tasks, fleeting={HELD, CLAIMS})
    records.load()

    monitor = Monitor(gossip)
    mesh = MeshView(gossip, store.store_id, client)
    budget = Budget(max(_MIN_BUDGET, int(memory_limit() * _MEMORY_SHARE)))
    secrets = SecretSource(
        roots=config.secret_roots,
        env=config.secret_envs,
        file_roots=config.file_roots,
        pvc_root=config.pvc_root,
    )
    parts = _Parts(mesh)
    origins = Origins(
        secrets,
        lambda name: parts.catalog.get(name),
        parts.snapshot_origin,
        lambda name: parts.catalog.open(name),
    )
    stack.push_async_callback(origins.close)
    reader = Reader(store, mesh, origins.for_block, budget)
    prefetcher = Prefetcher(reader)
    stack.push_async_callback(prefetcher.close)
    snapshots = Snapshots(store, reader)
    stack.callback(snapshots.close)
    entries = Entries(gossip)
    listing = Listing(snapshots, origins, member=config.name)
    refreshes = Refreshes(entries, listing, mesh)
    parts.catalog = catalog = Catalog(entries, listing, refreshes, snapshots, origins)
    freshness = Freshness(entries, refreshes, origins, tasks)
    mounts = Mounts(
        catalog, freshness, reader, prefetcher, store, folder=config.socket.parent / "doors"
    )
    stack.push_async_callback(mounts.close)
    holdings = Holdings(
        gossip=gossip,
        mesh=mesh,
        catalog=catalog,
        snapshots=snapshots,
        store=store,
        client=client,
        traffic=reader.traffic,
        tasks=tasks,
        guest_of=guest.dataset if guest else "",
    )
    node = Node(
        config=config,
        name=config.name,
        address=address,
        keys=keys,
        verifier=Verifier(keys, time.time),
        store=store,
        membership=membership,
        gossip=gossip,
        monitor=monitor,
        mesh=mesh,
        client=client,
        reader=reader,
        prefetcher=prefetcher,
        snapshots=snapshots,
        origins=origins,
        catalog=catalog,
        refreshes=refreshes,
        freshness=freshness,
        loads=Loads(
            *(catalog, snapshots, store, reader, mesh, client, gossip, tasks), member=config.name
        ),
        mounts=mounts,
        holdings=holdings,
    )
    follower = Follower(node, tasks)
    stack.callback(gossip.subscribe(follower.on_event))
    stack.callback(gossip.subscribe(records.on_event))
    stack.callback(gossip.subscribe(monitor.on_event))
    stack.callback(gossip.subscribe(holdings.on_event))
    stack.callback(gossip.subscribe(node.loads.on_event))
    await stack.enter_async_context(_serving(build_app(node, trusted=False), listening))
    control = _listen_unix(config.socket)
    stack.callback(_remove_socket, config.socket)
    await stack.enter_async_context(_serving(build_app(node, trusted=True), control))
    stack.callback(monitor.end, "the agent ends")
    if config.join:
        await membership.joined()
    mesh.rebuild()
    follower.start()
    holdings.start()
    # Not before: a member that knows nobody yet would take all of a load for its own share.
    tasks.start(node.loads.follow(), name="follow loads")
    if config.apply is not None and config.role != "guest":
        turn = functools.partial(mesh.rank, b"apply", TURNS)
        declared = Declared(config.apply, turn, _applier(config), Claims(gossip).hold)
        following = declared.follow(lambda: bool(mesh.living()), joins=bool(config.join))
        tasks.start(following, name="apply what is declared")
    return node


def _applier(config: AgentConfig) -> Callable[[Plan], AsyncIterator[applying.Outcome]]:
    """Applies as the command does, by this agent's own socket."""

    async def apply(plan: Plan) -> AsyncIterator[applying.Outcome]:
        async with AgentClient(socket=config.socket) as client:
            async for outcome in applying.apply(client, plan):
                yield outcome

    return apply


class _Parts:
    """What ties the knot between the origins and the catalog that knows of them."""

    catalog: Catalog

    def __init__(self, mesh: MeshView) -> None:
        self._mesh = mesh

    def snapshot_origin(self, dataset: str) -> Origin:
        def candidates() -> list[str]:
            head = self.catalog.head(dataset)
            lister = head.lister if head else ""
            living = sorted(self._mesh.living(), key=lambda peer: peer.name != lister)
            return [peer.store_id for peer in living]

        return SnapshotOrigin(dataset, self._mesh, candidates)


def _open_store(config: AgentConfig) -> Store:
    return Store.open(config.cache_dir, config.cache_size)


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listen(where: HostPort) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind)
    except OSError as error:
        raise EnvironmentUnfit(f"cannot listen on {where}: {error.strerror}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise EnvironmentUnfit(
                f"port {where.port} on {where.host} is taken: give another by --listen HOST:PORT"
            ) from error
        raise EnvironmentUnfit(f"cannot listen on {where}: {error.strerror}") from error
    return listening


def _listen_unix(path: Path) -> socket.socket:
    """The control socket. Its permissions are the access control, so it is made with the right
    ones: between bind and chmod a stranger could connect."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_stale(path)
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            control.bind(str(path))
        finally:
            os.umask(mask)
        control.listen(256)
        control.setblocking(False)
    except OSError as error:
        raise EnvironmentUnfit(
            f"cannot make the socket {path}: {error.strerror or error}; give another by --socket"
        ) from error
    return control


def _clear_stale(path: Path) -> None:
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise EnvironmentUnfit(f"{path} is there and is no socket: give another by --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise EnvironmentUnfit(f"another agent listens on {path}: give this one its own --socket")


def _remove_socket(path: Path) -> None:
    path.unlink(missing_ok=True)


@asynccontextmanager
async def _serving(app: web.Application, listening: socket.socket) -> AsyncIterator[None]:
    runner = web.AppRunner(
        app, handle_signals=False, access_log=None, shutdown_timeout=1.0, keepalive_timeout=75
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening, backlog=1024).start()
        yield
    finally:
        await runner.cleanup()
