"""What worker and agent say to each other over a mount's door, and worker and keeper over theirs.

Each message is one packet of msgpack; a file that belongs to it travels with it as a descriptor.
The door is the only way from a mount to the agent: it knows one dataset, and it only reads. The
keeper holds it, too, so it stays when a worker dies; what was lent to one worker is given back at
the latest when the next one begins, or the door closes.

A keeper outlives its agents and workers, so it may be of an older version than they are. So fields
are added at the end, with defaults, and a keeper passes over messages that it does not know.
"""

from typing import Literal

import msgspec

# --- the door: worker -> agent --------------------------------------------------------------


class Want(msgspec.Struct, frozen=True, tag="want", array_like=True):
    """Asks for a block. It is answered by one `Block` or one `Fail` with the same number."""

    seq: int
    snapshot: bytes
    """The id, 32 bytes, of a snapshot that this mount has shown."""
    row: int
    index: int
    """The block within the file, from 0."""


class Opened(msgspec.Struct, frozen=True, tag="opened", array_like=True):
    """Says that a file is opened. With `seq` it is answered by one `Checked` with the same number;
    0 wants no answer."""

    seq: int
    snapshot: bytes
    row: int


class Peek(msgspec.Struct, frozen=True, tag="peek", array_like=True):
    """Asks for the bytes [start, stop) of a wanted block, if they are there before the block is. It
    is answered by one `Peeked` with the same number, or not at all."""

    seq: int
    want: int
    """The number of the `Want`."""
    start: int
    stop: int


class GiveBack(msgspec.Struct, frozen=True, tag="give-back", array_like=True):
    """Says that these loans are not mapped any more."""

    lent: list[int]


class Begin(msgspec.Struct, frozen=True, tag="begin", array_like=True):
    """The first message of each worker. A door outlives the worker that it was opened for: nothing
    that was lent or asked for over it before belongs to this one."""


class Report(msgspec.Struct, frozen=True, tag="report", array_like=True):
    """Keeper -> agent, over the door as well: how the mount's workers are, when that changes."""

    state: Literal["serving", "replacing", "slowed"]
    """A worker answers; another one takes over; they die again and again, so the next one waits."""
    worker: int
    """Process id of the one that answers, as its keeper numbers it; 0 for none."""
    restarts: int
    """Workers that died."""
    pause: float
    """Seconds for which nobody answered when one died, or was replaced, last; 0 if none was."""
    version: str = ""
    """Of the program that the worker runs."""
    upgrades: int = 0
    """Workers that were replaced on demand."""
    failed: int = 0
    """Attempts at that which failed: the worker is still the one before."""
    problem: str = ""
    """Why the last of them did."""


# --- the door: agent -> worker --------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag="hello", array_like=True):
    """The answer to `Begin`; again when the budget changes."""

    dataset: str
    block_size: int
    """Bytes."""
    budget: int
    """Bytes of blocks that the worker may keep mapped."""
    most: int
    """Blocks that it may keep mapped."""


class Opens(msgspec.Struct, frozen=True, tag="opens", array_like=True):
    """Says what the agent wants to hear of opens, from now on: nothing (``""``), now and then that
    there are some (``tell``), or each one, which waits for the answer (``ask``)."""

    mode: Literal["", "tell", "ask"]


class Checked(msgspec.Struct, frozen=True, tag="checked", array_like=True):
    """Lets a file be opened, or not."""

    seq: int
    error: str = ""
    """Empty, or the name of a class of `meshcache.errors`."""
    message: str = ""


class Head(msgspec.Struct, frozen=True, tag="head", array_like=True):
    """Shows a snapshot, whose file comes along. The first follows the `Hello`."""

    snapshot: bytes
    size: int
    """Bytes of the snapshot itself, from the start of its file."""


class Block(msgspec.Struct, frozen=True, tag="block", array_like=True):
    """Lends the block that was wanted; its file comes along, the data at its start."""

    seq: int
    lent: int
    """The number of the loan, for `GiveBack`."""
    length: int
    """Bytes."""


class Peeked(msgspec.Struct, frozen=True, tag="peeked", array_like=True):
    """Gives bytes of a block that is still coming: a file with them alone comes along."""

    seq: int


class Fail(msgspec.Struct, frozen=True, tag="fail", array_like=True):
    """Says that the wanted block cannot be had."""

    seq: int
    error: str
    """The name of a class of `meshcache.errors`."""
    message: str


ToAgent = Begin | Want | Peek | GiveBack | Opened | Report
ToWorker = Hello | Head | Block | Peeked | Fail | Opens | Checked

# --- keeper and worker ----------------------------------------------------------------------


class Show(msgspec.Struct, frozen=True, tag="show", array_like=True):
    """A snapshot that the mount shows, or has shown; its file comes along.

    Worker -> keeper: for every new head, so that the keeper can give it to the next worker.
    Keeper -> worker: each of them, the oldest first, before the worker has a door.
    """

    snapshot: bytes
    size: int
    """Bytes of the snapshot itself, from the start of its file."""
    block_size: int
    """Bytes."""
    told: bool = False
    """Whether the kernel has forgotten what is different from the snapshot before (`Told`)."""


class Told(msgspec.Struct, frozen=True, tag="told", array_like=True):
    """Worker -> keeper: the kernel has forgotten what is different in this snapshot from the one
    shown before. A worker that dies before leaves that to the next one."""

    snapshot: bytes


class NewDoor(msgspec.Struct, frozen=True, tag="new-door", array_like=True):
    """Keeper -> worker: the socket that comes along is the door from now on."""


class Serve(msgspec.Struct, frozen=True, tag="serve", array_like=True):
    """Keeper -> worker: get ready to answer the kernel. The file on which the kernel's first
    request waits comes along (`meshcache.fuse.handshake`)."""

    uid: int
    """Owner of all files, as they are shown."""
    gid: int
    deadline: float
    """Seconds after which a request of the kernel ends, whatever hangs below."""
    too_late: int
    """The errno that it then ends with."""


class Go(msgspec.Struct, frozen=True, tag="go", array_like=True):
    """Keeper -> worker: the answer to the first request was accepted; everything after it comes on
    the device that comes along."""

    waited: float = 0.0
    """Seconds for which the requests that lie there may have waited. 0 if their keeper ends them
    itself."""


class Drain(msgspec.Struct, frozen=True, tag="drain", array_like=True):
    """Keeper -> worker: read no more requests, say `Drained`, and end when all that were read are
    answered."""


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A request that waits in a worker's hands, named by what the kernel asks in it."""

    opcode: int
    inode: int
    offset: int
    age: float
    """Seconds since it was read from the device."""


class Drained(msgspec.Struct, frozen=True, tag="drained", array_like=True):
    """Worker -> keeper: another one may read from the device."""

    waiting: list[Waiting] = []
    unlisted: float = 0.0
    """Both as in `Pong`."""


class Left(msgspec.Struct, frozen=True, tag="left", array_like=True):
    """Worker -> keeper: all that was read is answered; it ends."""


class Ping(msgspec.Struct, frozen=True, tag="ping", array_like=True):
    """Keeper -> worker: say something. One that does not answers nobody."""


class Pong(msgspec.Struct, frozen=True, tag="pong", array_like=True):
    """Worker -> keeper: the answer to `Ping`."""

    waiting: list[Waiting] = []
    """The requests in its hands that are not answered yet; the oldest, if they are many."""
    unlisted: float = 0.0
    """Seconds since the oldest that is not listed was read, at most."""


class DoorLost(msgspec.Struct, frozen=True, tag="door-lost", array_like=True):
    """Worker -> keeper: the agent closed the door; please bring a new one."""


class Answering(msgspec.Struct, frozen=True, tag="answering", array_like=True):
    """Worker -> keeper: the mount answers."""


FromKeeper = Show | NewDoor | Serve | Go | Drain | Ping
FromWorker = Show | Told | Answering | DoorLost | Pong | Drained | Left

# --- keeper and template --------------------------------------------------------------------


class Fork(msgspec.Struct, frozen=True, tag="fork", array_like=True):
    """Keeper -> template: make a worker, whose control socket comes along."""


class Forked(msgspec.Struct, frozen=True, tag="forked", array_like=True):
    """Template -> keeper: the answer to `Fork`, in the order of asking; a pidfd comes along."""

    pid: int
    version: str = ""
    """Of the program."""


class Ended(msgspec.Struct, frozen=True, tag="ended", array_like=True):
    """Template -> keeper: a worker has ended."""

    pid: int
    code: int
    """Its exit code; a signal's number is negative."""


FromTemplate = Forked | Ended

encode = msgspec.msgpack.Encoder().encode

decode_to_agent = msgspec.msgpack.Decoder(ToAgent).decode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_keeper = msgspec.msgpack.Decoder(FromKeeper).decode
decode_to_template = msgspec.msgpack.Decoder(Fork).decode
decode_from_template = msgspec.msgpack.Decoder(FromTemplate).decode
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode
