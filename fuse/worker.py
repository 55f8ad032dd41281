"""The process that answers the kernel: ``python -m meshcache.fuse.worker --control N``.

The keeper starts it, with one socket. Over that come the door to the agent (and a new one when the
agent was restarted) and, once there is a head to show, the files on which the kernel's requests
come. It has no mount of its own, opens no path of any dataset, and keeps nothing that another
worker could not be given: it may die at any moment.

Four tasks: one reads the control socket, one reads the door, one takes names back when the head
moves, and pyfuse3's answer the kernel. It ends when the file system was unmounted, or when the
keeper is gone.
"""

import argparse
import asyncio
import gc
import logging
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence

import structlog
import uvloop

from meshcache.errors import MeshcacheError
from meshcache.fuse.blocks import Blocks
from meshcache.fuse.device import Device, serve
from meshcache.fuse.filesystem import Filesystem
from meshcache.fuse.invalidate import take_back
from meshcache.fuse.messages import (
    Answering,
    Block,
    Checked,
    DoorLost,
    Fail,
    Head,
    Hello,
    NewDoor,
    Opens,
    Serve,
    Showing,
    decode_from_keeper,
    decode_to_worker,
    encode,
)
from meshcache.fuse.opens import OpenWatch
from meshcache.fuse.packets import Packet, PacketSocket
from meshcache.fuse.tree import Tree
from meshcache.snapshot import Snapshot
from meshcache.tasks import TaskSet

log = structlog.get_logger("meshcache.fuse.worker")


class Worker:
    """One mount's worker."""

    def __init__(self, control: socket.socket) -> None:
        self._control = PacketSocket(control)
        self._tree = Tree()
        self._blocks = Blocks()
        self._watch = OpenWatch(asyncio.get_running_loop().time)
        self._tasks = TaskSet(self._on_error)
        self._end = asyncio.Event()
        self._failed = False
        self._device: int | None = None
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
            match decode_from_keeper(packet.data):
                case NewDoor():
                    door = PacketSocket(socket.socket(fileno=packet.files[0]))
                    self._tasks.start(self._read_door(door), name="read the door")
                case Serve(uid=uid, gid=gid):
                    first, then = packet.files
                    self._tasks.start(self._serve(first, then, uid, gid), name="serve")
        self._end.set()  # without a keeper nobody could unmount

    async def _serve(self, first: int, then: int, uid: int, gid: int) -> None:
        def answering() -> None:
            self._device = first
            self._control.send(encode(Answering()))

        device = Device(first, then, on_first_answered=answering)
        filesystem = Filesystem(self._tree, self._blocks, self._watch, uid=uid, gid=gid)
        await serve(filesystem, device, self._on_unanswered)
        self._end.set()

    def _on_unanswered(self, task: str, error: BaseException) -> None:
        log.error("a request was not answered", task=task, error=repr(error), exc_info=error)

    # --- the agent --------------------------------------------------------------------------

    async def _read_door(self, door: PacketSocket) -> None:
        try:
            while (packet := await door.receive()) is not None:
                try:
                    self._on_message(door, packet)
                except (MeshcacheError, ValueError, OSError) as error:
                    log.error("the agent sent something unusable", error=str(error))
                    break
        finally:
            door.close()
            self._blocks.lose_door()
            self._watch.lose_door()
        log.warning("the agent closed the door: serving what is mapped, waiting for a new one")
        self._control.send(encode(DoorLost()))

    def _on_message(self, door: PacketSocket, packet: Packet) -> None:
        message = decode_to_worker(packet.data)
        file = packet.files[0] if packet.files else None
        match message:
            case Hello(block_size=block_size, budget=budget, deadline=deadline):
                self._blocks.agree(block_size=block_size, budget=budget, deadline=deadline)
            case Head():
                self._show(message, file)
                self._blocks.use(door, self._tree.find)
            case Block():
                self._blocks.take(message, file)
            case Fail():
                self._blocks.fail(message)
            case Opens():
                self._watch.use(door, message)
            case Checked():
                self._watch.take(message)

    def _show(self, head: Head, file: int | None) -> None:
        if file is None:
            raise OSError("a snapshot came without its file")
        # Mapped for as long as the tree keeps it; what the agent gives is verified by the agent.
        try:
            if os.fstat(file).st_size < head.size:  # reading past the end would kill us
                raise OSError("a snapshot's file is cut off")
            data = memoryview(mmap.mmap(file, head.size, mmap.MAP_SHARED, mmap.PROT_READ))
        finally:
            os.close(file)
        first = not self._tree.shown
        snapshot = Snapshot(data, known_id=head.snapshot.hex())
        old = self._tree.show(snapshot)
        if first:
            self._control.send(encode(Showing()))
        elif old is not None:
            self._heads.put_nowait((old, snapshot))

    async def _take_back(self) -> None:
        while True:
            old, new = await self._heads.get()
            if self._device is None:
                continue  # the kernel remembers nothing yet
            try:
                names = await asyncio.to_thread(take_back, old, new, self._device)
            except OSError as error:
                log.warning("the kernel cannot be told what changed", error=str(error))
            else:
                log.info("shows a new snapshot", snapshot=new.id, changed=names)


def _prepare() -> None:
    """Settings of the process."""
    # Ctrl-C and a stopped pod reach the whole group: the keeper unmounts, the worker waits for it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Each mapping holds a descriptor.
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
    # Nothing here makes cycles in the way of a read; what was made by now is there to stay.
    gc.freeze()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker; gives the exit code."""
    parser = argparse.ArgumentParser("meshcache.fuse.worker")
    parser.add_argument("--control", type=int, required=True, help="descriptor of the keeper's")
    options = parser.parse_args(arguments)
    _prepare()

    async def run() -> int:
        return await Worker(socket.socket(fileno=options.control)).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


if __name__ == "__main__":
    # Not sys.exit: a thread may still be in the kernel, populating a mapping or taking a name
    # back, and the interpreter would wait for it.
    code = main()
    sys.stderr.flush()
    os._exit(code)
