"""The codec: what was encoded is decoded, and nothing else gets through or raises."""

import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshcache.gossip import wire
from meshcache.gossip.errors import FrameInvalid
from tests.gossip.meshes import mesh

MESH = wire.mesh_id("test")
ME, OTHER = b"m" * 16, b"o" * 16
RECORD = wire.Record(OTHER, "name", "1.2.3.4:5", 1, 2, 0, {"zone": "a"})
ENTRY = wire.MapEntry("s", "k", b"v", 3, OTHER)

MESSAGES: list[wire.Message] = [
    wire.Hello(RECORD, (1, 1), 0, False, 3),
    wire.Goaway(1, "why"),
    wire.Redirect(["1.2.3.4:5"]),
    wire.Beat(),
    wire.Probe(7),
    wire.Probed(7),
    wire.Rumours([msgspec.Raw(wire.encode_rumour(wire.Alive(RECORD)))]),
    wire.Ihave([b"12345678"]),
    wire.Graft([b"12345678"]),
    wire.Prune(),
    wire.Digest(b"12345678", b"12345678"),
    wire.Differ(b"x" * 2048, b""),
    wire.Rows([wire.Row(RECORD, 1, 2, 3)], [ENTRY], b"\0\1", b""),
    wire.Reply(ME, 1, OTHER, b"yes"),
    wire.Reach(3, OTHER),
    wire.Reached(3, True),
]
RUMOURS: list[wire.Rumour] = [
    wire.Alive(RECORD),
    wire.Alert(OTHER, 1, ME, 2, 1),
    wire.Dead(OTHER, 1, 2),
    wire.Gone(OTHER, 1),
    wire.Written(ENTRY),
    wire.Happened(ME, 1, "deploy", b"x", True, [OTHER]),
]


def test_every_kind_of_message_has_an_example_here() -> None:
    assert {type(message) for message in MESSAGES} == set(wire.KINDS.values())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message: wire.Message) -> None:
    frame = wire.encode(message, mesh=MESH, to=ME)
    assert wire.decode(frame, mesh=MESH, me=ME) == message


@pytest.mark.parametrize("rumour", RUMOURS, ids=lambda rumour: type(rumour).__name__)
def test_a_rumour_survives_the_wire_and_has_one_name(rumour: wire.Rumour) -> None:
    raw = wire.encode_rumour(rumour)
    assert wire.decode_rumour(raw) == rumour
    assert wire.rumour_id(raw) == wire.rumour_id(wire.encode_rumour(rumour))


def test_a_frame_for_another_process_or_mesh_is_refused() -> None:
    frame = wire.encode(wire.Beat(), mesh=MESH, to=ME)
    for mesh_id, me in ((MESH, OTHER), (wire.mesh_id("other"), ME)):
        with pytest.raises(FrameInvalid):
            wire.decode(frame, mesh=mesh_id, me=me)


def test_only_a_hello_may_be_meant_for_nobody_in_particular() -> None:
    wire.decode(wire.encode(MESSAGES[0], mesh=MESH, to=wire.NOBODY), mesh=MESH, me=ME)
    with pytest.raises(FrameInvalid):
        wire.decode(wire.encode(wire.Beat(), mesh=MESH, to=wire.NOBODY), mesh=MESH, me=ME)


def test_fields_that_a_newer_version_appends_are_ignored() -> None:
    header = wire.encode(wire.Probe(7), mesh=MESH, to=ME)[:16]
    longer = header + msgspec.msgpack.encode([7, "new", {"x": 1}])
    assert wire.decode(longer, mesh=MESH, me=ME) == wire.Probe(7)


def test_an_unknown_kind_is_no_error() -> None:
    frame = bytearray(wire.encode(wire.Beat(), mesh=MESH, to=ME))
    frame[3] = 200
    assert wire.decode(bytes(frame), mesh=MESH, me=ME) is None


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_frame_invalid(data: bytes) -> None:
    header = wire.encode(wire.Beat(), mesh=MESH, to=ME)[:3]
    rest = wire.encode(wire.Beat(), mesh=MESH, to=ME)[4:16]
    for kind in wire.KINDS:
        for frame in (data, header + bytes([kind]) + rest + data):
            with contextlib.suppress(FrameInvalid):
                wire.decode(frame, mesh=MESH, me=ME)


@settings(deadline=None)
@given(st.data())
def test_damaged_frames_neither_raise_nor_change_a_node(data: st.DataObject) -> None:
    """Each frame is a real one with bytes changed, cut or added, given over an open link."""
    network, processes = _PAIR
    node = processes[0].node
    number = next(iter(node.links.by_number))
    message = data.draw(st.sampled_from(MESSAGES))
    frame = bytearray(wire.encode(message, mesh=wire.mesh_id("sim"), to=node.uid))
    kind = frame[3]
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    frame = frame[: data.draw(st.integers(0, len(frame)))] + data.draw(st.binary(max_size=8))
    living = set(node.members.table.living)
    try:
        wire.decode(bytes(frame), mesh=wire.mesh_id("sim"), me=node.uid)
    except FrameInvalid:
        before = node.members.table.digest.total, node.map.digest.total, len(node.links.by_number)
        node.receive(number, bytes(frame), network.now)
        after = node.members.table.digest.total, node.map.digest.total, len(node.links.by_number)
        assert after == before
        node.take()
    else:
        if kind not in (1, 2, 3):  # those may rightly change who is linked
            node.receive(number, bytes(frame), network.now)
            node.take()
    assert node.uid in node.members.table.living
    assert living - {processes[1].uid} <= node.members.table.living | living


_PAIR = mesh(2)
