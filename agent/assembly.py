"""Putting an agent together: every part, in the order in which they need each other."""

import asyncio
import contextlib
import functools
import resource
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import structlog

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
from meshcache.agent.listening import listen, listen_unix, remove_socket, serving
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
from meshcache.agent.trust import metricstoken
from meshcache.agent.trust.auth import Keys, Verifier
from meshcache.agent.trust.keyfile import KeyFile
from meshcache.budget import Budget, memory_limit
from meshcache.fanout import Fanout
from meshcache.origin import Origin
from meshcache.prefetch import Prefetcher
from meshcache.reader import Reader
from meshcache.secrets import SecretSource
from meshcache.store import Store
from meshcache.tasks import TaskSet
from meshcache.units import MIB

log = structlog.get_logger()

_MEMORY_SHARE = 0.25
_MIN_BUDGET = 64 * MIB


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
    if config.metrics_token_file is not None:
        await asyncio.to_thread(metricstoken.load, config.metrics_token_file)
    listening = listen(config.listen)
    stack.callback(listening.close)
    bound = HostPort(config.listen.host, listening.getsockname()[1])
    address = str(await asyncio.to_thread(config.advertised, bound))

    tasks = TaskSet(
        on_error=lambda name, error: log.error("task failed", task=name, exc_info=error)
    )
    stack.push_async_callback(tasks.close)
    keys = Keys(*mesh_keys, guest=guest.dataset if guest else "")
    client = PeerClient(keys)
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
        traffic=reader.accounts.traffic,
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
        fanout=Fanout(mesh.can_give),
    )
    follower = Follower(node, tasks)
    stack.callback(gossip.subscribe(follower.on_event))
    stack.callback(gossip.subscribe(records.on_event))
    stack.callback(gossip.subscribe(monitor.on_event))
    stack.callback(gossip.subscribe(holdings.on_event))
    stack.callback(gossip.subscribe(node.loads.on_event))
    await stack.enter_async_context(serving(build_app(node, trusted=False), listening))
    control = listen_unix(config.socket)
    stack.callback(remove_socket, config.socket)
    await stack.enter_async_context(serving(build_app(node, trusted=True), control))
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
