"""Of the map a guest gets what its name is shown, soon and whole, and not a byte of anything else.

In virtual time, over the members' own code: every frame that reaches the guest is looked into.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from meshcache.gossip.core.statemap import ANY, Key
from meshcache.gossip.core.table import LEAF
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process
from tests.gossip.meshes import mesh

SPACES = ("datasets", "heads")
NAMES = ("models", "models-of-others", "photos")
SEEN = frozenset({("datasets", "models"), ("heads", "models")})

_writes = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.tuples(st.sampled_from(SPACES), st.sampled_from(NAMES)),
        st.booleans(),  # a value, or its end
    ),
    max_size=12,
)


def value_of(key: Key, number: int) -> bytes:
    # Names of shown entries are parts of others' names: what is looked for is the value.
    return f"<{number} of {key}>".encode()


def write(network: Network, by: Process, key: Key, value: bytes | None) -> None:
    by.node.write(*key, value, ANY, network.now)
    network.act(by, lambda now: None)


def guest_of(network: Network, seen: frozenset[Key] | None) -> tuple[Process, list[bytes]]:
    """A guest, and the frames that it will have got."""
    for one in network.processes:
        one.node.links.guests.shown = lambda name: seen if name == "models" else frozenset()
    guest = network.start("guest", seeds=["n0:1", "n1:1"], role=LEAF, guest="models")
    frames: list[bytes] = []
    receive = guest.node.receive

    def note(number: int, frame: bytes, now: float) -> None:
        frames.append(frame)
        receive(number, frame, now)

    guest.node.receive = note  # type: ignore[method-assign]
    return guest, frames


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), _writes, _writes)
def test_a_guest_gets_its_entries_whole_and_not_a_byte_of_others(
    seed: int,
    before: list[tuple[int, Key, bool]],
    after: list[tuple[int, Key, bool]],
) -> None:
    network, members = mesh(3, seed=seed)
    hidden: list[bytes] = []

    def do(writes: list[tuple[int, Key, bool]]) -> None:
        for number, (member, key, is_value) in enumerate(writes):
            value = value_of(key, number)
            if key not in SEEN:
                hidden.append(value)
            write(network, members[member], key, value if is_value else None)
            network.run(0.01)

    do(before)
    guest, frames = guest_of(network, SEEN)
    network.run(1)
    assert len(guest.node.members.table.living) == 3
    do(after)
    network.run(25)  # rounds of anti-entropy among them
    for key in SEEN:
        assert guest.node.map.get(*key) == members[0].node.map.get(*key)
    assert {(entry.space, entry.key) for entry in guest.node.map.all()} <= SEEN
    got = b"".join(frames)
    assert not [value for value in hidden if value in got]
    assert b"photos" not in got


def test_a_whole_namespace_may_be_shown() -> None:
    network, members = mesh(3)
    for name in NAMES:
        for space in SPACES:
            write(network, members[0], (space, name), b"record")
    guest, _ = guest_of(network, frozenset({("heads", ""), ("datasets", "models")}))
    network.run(1)
    write(network, members[1], ("heads", "new"), b"record")
    network.run(1)
    seen = {(entry.space, entry.key) for entry in guest.node.map.all()}
    assert seen == {("datasets", "models"), *(("heads", name) for name in (*NAMES, "new"))}


def test_a_guest_with_nothing_amiss_is_not_compared_row_by_row() -> None:
    network, members = mesh(3)
    for name in NAMES:
        write(network, members[0], ("datasets", name), b"record")
    guest, _ = guest_of(network, SEEN)
    network.run(5)
    before = sum(one.node.context.counts["syncs_unequal"] for one in (*members, guest))
    network.run(60)
    assert sum(one.node.context.counts["syncs_unequal"] for one in (*members, guest)) == before


def test_what_a_guest_is_shown_from_now_on_comes_by_anti_entropy() -> None:
    network, members = mesh(3)
    write(network, members[0], ("datasets", "photos"), b"record")
    guest, _ = guest_of(network, SEEN)
    network.run(5)
    assert guest.node.map.get("datasets", "photos") is None
    for one in members:
        one.node.links.guests.shown = lambda name: SEEN | {("datasets", "photos")}
    assert network.run_until(lambda: guest.node.map.get("datasets", "photos") is not None, 25)


def test_a_guest_makes_no_member_forget_that_something_was_deleted() -> None:
    network, members = mesh(3)
    guest, _ = guest_of(network, frozenset())
    network.run(2)
    week_ago = int(members[0].node.context.wall_ms - 8 * 86400 * 1000) << 16
    guest.node.map.floor = week_ago
    network.run(30)
    assert [one.node.map.floor for one in members] == [0, 0, 0]
