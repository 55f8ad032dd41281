"""A tree finds every inode that it has shown, and lists each name once."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.errors import NotAFile, NotFound, PathNotFound
from meshcache.fuse.shown import MAX_SHOWN
from meshcache.fuse.tree import Tree
from meshcache.snapshot import ROOT_INODE, Snapshot
from tests.fuse.agent import snapshot_of


def shown(*listings: dict[str, bytes]) -> Tree:
    tree = Tree()
    for listing in listings:
        tree.show(Snapshot(snapshot_of(listing)))
    return tree


def inode_of(tree: Tree, path: str) -> int:
    inode = ROOT_INODE
    for part in path.split("/"):
        inode = tree.lookup(inode, part.encode()).inode
    return inode


def names(tree: Tree, inode: int) -> list[bytes]:
    return [listed.name for listed in tree.list(inode, 0)]


def test_a_tree_without_a_snapshot_shows_nothing() -> None:
    with pytest.raises(NotFound):
        _ = Tree().head
    with pytest.raises(NotFound):
        Tree().find(ROOT_INODE)


def test_a_changed_file_has_another_inode_and_the_old_one_is_still_found() -> None:
    tree = shown({"a/x": b"old", "a/y": b"same"})
    old_x, old_y, directory = (inode_of(tree, path) for path in ("a/x", "a/y", "a"))
    tree.show(Snapshot(snapshot_of({"a/x": b"newer", "a/y": b"same"})))
    assert inode_of(tree, "a") == directory
    assert inode_of(tree, "a/y") == old_y
    assert inode_of(tree, "a/x") != old_x
    assert tree.file(old_x).size == 3
    assert tree.file(inode_of(tree, "a/x")).size == 5
    assert tree.file(old_y).snapshot is tree.head


def test_a_removed_name_is_not_found_but_its_inode_is() -> None:
    tree = shown({"a/x": b"1", "b": b"2"})
    inode, directory = inode_of(tree, "a/x"), inode_of(tree, "a")
    tree.show(Snapshot(snapshot_of({"b": b"2"})))
    with pytest.raises(PathNotFound):
        tree.lookup(ROOT_INODE, b"a")
    assert tree.file(inode).size == 1
    assert tree.lookup(directory, b"x").inode == inode  # for who stands in that directory


def test_an_inode_of_a_snapshot_too_old_is_stale() -> None:
    tree = shown({"x": b"first"})
    inode = inode_of(tree, "x")
    for number in range(MAX_SHOWN):
        tree.show(Snapshot(snapshot_of({"x": b"%d" % number})))
    assert len(tree.shown) == MAX_SHOWN
    with pytest.raises(NotFound):
        tree.find(inode)


def test_showing_the_head_again_changes_nothing_and_an_older_one_comes_back() -> None:
    first, second = (Snapshot(snapshot_of({"x": data})) for data in (b"1", b"2"))
    tree = Tree()
    assert tree.show(first) is None
    assert tree.show(first) is None
    assert tree.show(second) is first
    assert tree.show(first) is second
    assert tree.shown == (first, second)


def test_a_directory_is_no_file_and_a_number_out_of_range_no_inode() -> None:
    tree = shown({"a/x": b"1"})
    with pytest.raises(NotAFile):
        tree.file(ROOT_INODE)
    for inode in (0, 2, 1 << 63, (1 << 64) - 1):
        with pytest.raises(NotFound):
            tree.find(inode)


def test_dot_and_dot_dot_are_the_directory_and_its_parent() -> None:
    tree = shown({"a/b/x": b"1"})
    a, b = inode_of(tree, "a"), inode_of(tree, "a/b")
    assert tree.lookup(b, b".").inode == b
    assert tree.lookup(b, b"..").inode == a
    assert tree.lookup(ROOT_INODE, b"..").inode == ROOT_INODE


@given(st.sets(st.binary(min_size=1, max_size=6).map(bytes.hex), max_size=40), st.data())
def test_a_listing_in_any_pieces_has_each_name_once(found: set[str], data: st.DataObject) -> None:
    tree = shown(dict.fromkeys(found, b"x"))
    seen, offset = [], 0
    while True:
        count = data.draw(st.integers(1, 5))
        piece = list(islice(tree.list(ROOT_INODE, offset), count))
        if not piece:
            break
        seen += [listed.name for listed in piece]
        offset = piece[-1].next_offset
        assert 0 < offset < 1 << 63
    assert seen == [b".", b"..", *sorted(name.encode() for name in found)]


def test_a_listing_that_began_before_the_head_moved_ends_as_it_began() -> None:
    tree = shown({f"{number:03}": b"x" for number in range(100)})
    listing = tree.list(ROOT_INODE, 0)
    first = [next(listing) for _ in range(50)]
    tree.show(Snapshot(snapshot_of({f"{number:03}": b"x" for number in range(50, 200)})))
    rest = list(tree.list(ROOT_INODE, first[-1].next_offset))
    assert [listed.name for listed in first + rest][2:] == [b"%03d" % n for n in range(100)]
    assert names(tree, ROOT_INODE)[2:] == [b"%03d" % n for n in range(50, 200)]


def test_a_listing_whose_snapshot_is_gone_is_stale_and_not_mixed() -> None:
    tree = shown({"x": b"1"})
    offset = next(tree.list(ROOT_INODE, 0)).next_offset
    for number in range(MAX_SHOWN):
        tree.show(Snapshot(snapshot_of({"x": b"%d" % number, "y": b""})))
    with pytest.raises(NotFound):
        list(tree.list(ROOT_INODE, offset))
