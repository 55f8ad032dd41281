"""What worker and agent say to each other over a mount's door, and worker and keeper over theirs.

Each message is one packet of msgpack; a file that belongs to it travels with it as a descriptor.
The door is the only way from a mount to the agent: it knows one dataset, it only reads, and it
outlives neither side, so what was lent over it is given back at the latest when it closes.
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


class GiveBack(msgspec.Struct, frozen=True, tag="give-back", array_like=True):
    """Says that these loans are not mapped any more."""

    lent: list[int]


# --- the door: agent -> worker --------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag="hello", array_like=True):
    """The first message of the agent on a new door."""

    dataset: str
    block_size: int
    """Bytes."""
    budget: int
    """Bytes of blocks that the worker may keep mapped."""
    deadline: float
    """Seconds after which a request of the kernel ends with an errno, whatever hangs below."""


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


class Fail(msgspec.Struct, frozen=True, tag="fail", array_like=True):
    """Says that the wanted block cannot be had."""

    seq: int
    error: str
    """The name of a class of `meshcache.errors`."""
    message: str


ToAgent = Want | GiveBack | Opened
ToWorker = Hello | Head | Block | Fail | Opens | Checked

# --- keeper and worker ----------------------------------------------------------------------


class NewDoor(msgspec.Struct, frozen=True, tag="new-door", array_like=True):
    """Keeper -> worker: the socket that comes along is the door from now on."""


class Serve(msgspec.Struct, frozen=True, tag="serve", array_like=True):
    """Keeper -> worker: answer the kernel. Two files come along: the one on which the kernel's
    first request waits, and the device, for everything after it (`meshcache.fuse.handshake`)."""

    uid: int
    """Owner of all files, as they are shown."""
    gid: int


class Showing(msgspec.Struct, frozen=True, tag="showing", array_like=True):
    """Worker -> keeper: there is a head to show."""


class DoorLost(msgspec.Struct, frozen=True, tag="door-lost", array_like=True):
    """Worker -> keeper: the agent closed the door; please bring a new one."""


class Answering(msgspec.Struct, frozen=True, tag="answering", array_like=True):
    """Worker -> keeper: the kernel's first request was answered; the mount answers."""


FromKeeper = NewDoor | Serve
FromWorker = Showing | Answering | DoorLost

encode = msgspec.msgpack.Encoder().encode

decode_to_agent = msgspec.msgpack.Decoder(ToAgent).decode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_keeper = msgspec.msgpack.Decoder(FromKeeper).decode
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode
