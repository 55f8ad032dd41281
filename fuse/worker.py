"""The process that answers the kernel, forked from a template (`meshcache.fuse.template`).

It begins with one socket, to its keeper. Over that come the snapshots that the mount has shown, the
door to the agent (and a new one when the agent was restarted) and the files on which the kernel's
requests come. It has no mount of its own, opens no path of any dataset, and keeps nothing that
another worker could not be given: it may die at any moment. Until it is given the device it is a
spare, ready to take over.

Four tasks: one reads the control socket, one reads the door, one takes names back when the head
moves, and pyfuse3's answer the kernel. It ends when the file system was unmounted, or when the
keeper is gone.
"""

import asyncio
import concurrent.futures.thread  # noqa: F401 (asyncio's own import comes too late, see `confine`)
import logging
import mmap
import os
import resource
import secrets
import socket
import sys
from collections.abc import Sequence

import structlog
import uvloop

from meshcache.errors import MeshcacheError
from meshcache.fuse import sandbox
from meshcache.fuse.blocks import Blocks
from meshcache.fuse.device import Device
from meshcache.fuse.errnos import set_too_late
from meshcache.fuse.filesystem import Filesystem
from meshcache.fuse.invalidate import take_back
from meshcache.fuse.messages import (
    Answering,
    Begin,
    Block,
    Checked,
    DoorLost,
    Drain,
    Drained,
    Fail,
    FromKeeper,
    Go,
    Head,
    Hello,
    Left,
    NewDoor,
    Opens,
    Peeked,
    Ping,
    Pong,
    Serve,
    Show,
    Told,
    decode_from_keeper,
    decode_to_worker,
    encode,
)
from meshcache.fuse.opens import OpenWatch
from meshcache.fuse.packets import Packet, PacketSocket
from meshcache.fuse.rehearsal import rehearse
from meshcache.fuse.session_loops import SessionLoops, serve
from meshcache.fuse.tree import Tree
from meshcache.fuse.waits import Waits
from meshcache.snapshot import Snapshot
from meshcache.tasks import TaskSet

log = structlog.get_logger("meshcache.fuse.worker")


class Worker:
    """One mount's worker."""

    def __init__(self, control: socket.socket, confined: sandbox.Sandbox) -> None:
        self._control = PacketSocket(control)
        self._confined = confined
        self._tree = Tree()
        first = secrets.randbits(48)
        self._blocks = Blocks(first)
        self._watch = OpenWatch(asyncio.get_running_loop().time, first)
        self._tasks = TaskSet(self._on_error)
        self._end = asyncio.Event()
        self._failed = False
        self._loops: SessionLoops | None = None
        self._waits: Waits | None = None
        self._door: PacketSocket | None = None
        self._going = asyncio.Event()
        self._heads: asyncio.Queue[tuple[Snapshot, Snapshot]] = asyncio.Queue()

    async def run(self) -> int:
        """Serve until the end; gives the exit code."""
        self._tasks.start(self._read_control(), name="read the control socket")
        self._tasks.start(self._take_back(), name="take names back")
        await self._end.wait()
        await self._tasks.close()
        await self._blocks.close()
        return 1 if self._failed else 0

    def _on_error(self, name: str, error: BaseException) -> None:
        log.error("the worker failed", task=name, error=repr(error), exc_info=error)
        self._failed = True
        self._end.set()

    # --- the keeper -------------------------------------------------------------------------

    async def _read_control(self) -> None:
        while (packet := await self._control.receive()) is not None:
            self._obey(decode_from_keeper(packet.data), packet.files)
        self._end.set()  # without a keeper nobody could unmount

    def _obey(self, message: FromKeeper, files: Sequence[int]) -> None:
        match message:
            case Show() as kept:
                self._blocks.block_size = kept.block_size
                self._show(kept, files[0])
            case NewDoor():
                self._leave_door()
                door = self._door = PacketSocket(socket.socket(fileno=files[0]))
                self._tasks.start(self._read_door(door), name="read the door")
            case Serve() as terms:
                device = Device(files[0])
                self._loops = SessionLoops(device, self._on_unanswered)
                self._waits = Waits(device, asyncio.get_running_loop().time, terms.deadline)
                self._tasks.start(self._serve(self._loops, self._waits, terms), name="serve")
            case Ping():
                assert self._waits is not None, "only one that answers is asked"
                self._control.send(encode(Pong(*self._waits.told())))
            case Go(waited=waited):
                assert self._loops is not None, "the keeper has it answer the first request before"
                self._loops.device.go_on_with(files[0], waited)
                self._going.set()
                self._control.send(encode(Answering()))
                self._tell_confined()
            case Drain():
                assert self._loops is not None
                assert self._waits is not None
                self._loops.leave()
                self._control.send(encode(Drained(*self._waits.told())))

    def _tell_confined(self) -> None:
        """Not before there is a mount: of one that failed the user is to read why, and no more."""
        taken, missed = self._confined.taken, self._confined.missed
        if self._confined.sees_files:
            log.warning("the worker can open files: neither Landlock nor chroot is to be had")
        log.info("confined", to=",".join(taken), not_to=",".join(missed) or None)

    async def _serve(self, loops: SessionLoops, waits: Waits, terms: Serve) -> None:
        set_too_late(terms.too_late)
        filesystem = Filesystem(
            self._tree, self._blocks, self._watch, waits, uid=terms.uid, gid=terms.gid
        )
        await serve(filesystem, loops)
        if loops.device.left:
            self._control.send(encode(Left()))
        self._end.set()

    def _on_unanswered(self, task: str, error: BaseException) -> None:
        if isinstance(error, BlockingIOError):
            return  # the request that was to be read was taken back: its asker was killed
        log.error("a request was not answered", task=task, error=repr(error), exc_info=error)

    # --- the agent --------------------------------------------------------------------------

    async def _read_door(self, door: PacketSocket) -> None:
        door.send(encode(Begin()))
        try:
            while (packet := await door.receive()) is not None:
                try:
                    self._on_message(door, packet)
                except (MeshcacheError, ValueError, OSError) as error:
                    log.error("the agent sent something unusable", error=str(error))
                    break
        finally:
            door.close()
        if door is self._door:  # else another one has taken its place
            self._leave_door()
            log.warning("the agent closed the door: serving what is mapped, waiting for a new one")
            self._control.send(encode(DoorLost()))

    def _leave_door(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None
            self._blocks.lose_door()
            self._watch.lose_door()

    def _on_message(self, door: PacketSocket, packet: Packet) -> None:
        message = decode_to_worker(packet.data)
        file = packet.files[0] if packet.files else None
        match message:
            case Hello(block_size=block_size, budget=budget, most=most):
                self._blocks.agree(block_size=block_size, budget=budget, most=most)
            case Head(snapshot=id, size=size):
                if file is None:
                    raise OSError("a snapshot came without its file")
                kept = Show(id, size, self._blocks.block_size)
                self._control.send(encode(kept), [file])
                self._show(kept, file)
                self._blocks.use(door, self._tree.find)
            case Block():
                self._blocks.take(message, file)
            case Peeked():
                self._blocks.take_part(message, file)
            case Fail():
                self._blocks.fail(message)
            case Opens():
                self._watch.use(door, message)
            case Checked():
                self._watch.take(message)

    def _show(self, kept: Show, file: int) -> None:
        snapshot = _open(kept.snapshot.hex(), kept.size, file)
        old = self._tree.show(snapshot)
        if old is not None and not kept.told:
            self._heads.put_nowait((old, snapshot))

    async def _take_back(self) -> None:
        await self._going.wait()  # before, there is nothing that the kernel could be told by us
        assert self._loops is not None
        while True:
            old, new = await self._heads.get()
            try:
                names = await asyncio.to_thread(take_back, old, new, self._loops.device.number)
            except OSError as error:
                log.warning("the kernel cannot be told what changed", error=str(error))
            else:
                self._control.send(encode(Told(bytes.fromhex(new.id))))
                log.info("shows a new snapshot", snapshot=new.id, changed=names)


def _open(id: str, size: int, file: int) -> Snapshot:
    """A snapshot, mapped for as long as the tree keeps it; closes the file. What the agent gives is
    verified by the agent."""
    try:
        if os.fstat(file).st_size < size:  # reading past the end would kill us
            raise OSError("a snapshot's file is cut off")
        data = memoryview(mmap.mmap(file, size, mmap.MAP_SHARED, mmap.PROT_READ))
    finally:
        os.close(file)
    return Snapshot(data, known_id=id)


def prepare() -> None:
    """Settings of the process, which its children have as well."""
    # What is lent comes as a descriptor, and many may come at once.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # The thread that takes names back must not keep the loop waiting for the interpreter's lock.
    sys.setswitchinterval(0.0005)
    rehearse()


def confine(keeper: int) -> sandbox.Sandbox:
    """Give up what no worker needs (`meshcache.fuse.sandbox`); `keeper` is a process id.

    Nothing can be imported after this, as no file can be opened.
    """
    return sandbox.enter(sandbox.own_uid(keeper))


def run(control: socket.socket, confined: sandbox.Sandbox) -> int:
    """Be a worker until the end; gives the exit code. `confined` is what `confine` gave."""

    async def work() -> int:
        return await Worker(control, confined).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())
