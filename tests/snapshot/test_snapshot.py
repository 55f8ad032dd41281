"""A snapshot shows exactly what was listed, and the same listing has the same name."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.block import FileVersion
from meshcache.errors import InvalidInput, NotADirectory, NotAFile, PathNotFound
from meshcache.origin.base import Listed
from meshcache.snapshot import (
    ROOT_INODE,
    ROOT_ROW,
    Builder,
    Changes,
    Snapshot,
)

ORIGIN = "s3+http://127.0.0.1:1/models"


def listed(path: str, *, tag: str = "t", size: int = 10, prefix: str = "base/") -> Listed:
    return Listed(key=prefix + path, path=path, size=size, mtime_ns=5, tag=tag)


def built(*files: Listed, mounts: list[tuple[str, str]] | None = None) -> Snapshot:
    builder = Builder(mounts or [("/", ORIGIN)])
    for file in files:
        builder.add(0, file)
    return Snapshot(builder.build())


names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


@given(st.dictionaries(paths, st.integers(0, 1 << 40), max_size=30), st.randoms())
def test_every_listed_file_is_found_again_with_its_version(
    sizes: dict[str, int], order: random.Random
) -> None:
    files = [listed(path, size=size, tag=f"tag {size}") for path, size in sizes.items()]
    builder = Builder([("/", ORIGIN)])
    order.shuffle(files)
    for file in files:
        builder.add(0, file)
    snapshot = Snapshot(builder.build())
    shown = {snapshot.path(row): snapshot.file(row) for row in snapshot.walk()}
    hidden = {path for path in sizes if any(other.startswith(path + "/") for other in sizes)}
    assert set(shown) == set(sizes) - hidden
    assert builder.skipped.count == len(hidden)
    for path, version in shown.items():
        assert version == FileVersion(ORIGIN, "base/" + path, f"tag {sizes[path]}", sizes[path])
        row = snapshot.resolve(path)
        assert snapshot.row_of(snapshot.entry(row).inode) == row
    assert snapshot.files == len(shown)
    assert snapshot.bytes == sum(sizes[path] for path in shown)


@given(st.sets(paths, max_size=20), st.randoms())
def test_the_order_of_the_listing_does_not_change_the_id(
    some: set[str], order: random.Random
) -> None:
    safe = [listed(p) for p in some if not any(o.startswith(p + "/") for o in some)]
    shuffled = list(safe)
    order.shuffle(shuffled)
    assert built(*safe).id == built(*shuffled).id


def test_children_are_sorted_by_name_and_know_their_parent() -> None:
    snapshot = built(listed("b/2"), listed("a"), listed("b/1"), listed("c/d/e"))
    rows = snapshot.children(ROOT_ROW)
    assert [snapshot.name(row) for row in rows] == [b"a", b"b", b"c"]
    b = snapshot.resolve("/b/")
    assert [snapshot.entry(row).name for row in snapshot.children(b)] == [b"1", b"2"]
    assert {snapshot.entry(row).parent for row in snapshot.children(b)} == {b}
    assert snapshot.entry(ROOT_ROW).inode == ROOT_INODE


def test_a_path_that_is_not_there_is_named_in_the_error() -> None:
    snapshot = built(listed("a/b"))
    with pytest.raises(PathNotFound, match="'a/c'"):
        snapshot.resolve("a/c")
    with pytest.raises(NotADirectory, match="'a/b'"):
        snapshot.resolve("a/b/c")
    with pytest.raises(NotAFile):
        snapshot.file(snapshot.resolve("a"))


def inode(snapshot: Snapshot, path: str) -> int:
    return snapshot.entry(snapshot.resolve(path)).inode


def test_an_unchanged_file_keeps_its_inode_and_a_changed_one_does_not() -> None:
    old = built(listed("same"), listed("changed", tag="1"), listed("gone"))
    new = built(listed("same"), listed("changed", tag="2"), listed("added"))
    assert inode(old, "same") == inode(new, "same")
    assert inode(old, "changed") != inode(new, "changed")
    assert set(Changes(old, new).names()) == {
        (ROOT_INODE, b"changed"),
        (ROOT_INODE, b"gone"),
        (ROOT_INODE, b"added"),
    }


def test_a_directory_that_went_is_one_change() -> None:
    old = built(listed("d/x"), listed("d/y"), listed("k/x"))
    new = built(listed("k/x"), listed("k/z"))
    k = new.entry(new.resolve("k")).inode
    assert sorted(Changes(old, new).names()) == sorted([(ROOT_INODE, b"d"), (k, b"z")])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a//b", "empty path part"),
        ("/a", "empty path part"),
        ("a/../b", "'.' or '..' in path"),
        ("./a", "'.' or '..' in path"),
        ("a/", "directory marker"),
        ("x" * 256, "name too long"),
        ("/".join(["x" * 200] * 21), "path too long"),
        ("a\0b", "NUL in path"),
    ],
)
def test_a_key_that_is_no_path_is_skipped_and_counted(path: str, reason: str) -> None:
    builder = Builder([("/", ORIGIN)])
    builder.add(0, listed(path))
    assert Snapshot(builder.build()).files == 0
    assert builder.skipped.reasons == {reason: 1}


@pytest.mark.parametrize("order", [("a", "a/b"), ("a/b", "a")])
def test_a_directory_hides_an_object_of_the_same_name(order: tuple[str, str]) -> None:
    builder = Builder([("/", ORIGIN)])
    for path in order:
        builder.add(0, listed(path))
    snapshot = Snapshot(builder.build())
    assert [snapshot.path(row) for row in snapshot.walk()] == ["a/b"]
    assert builder.skipped.count == 1


def test_several_mounts_are_one_tree_and_a_deeper_mount_hides_what_is_at_its_place() -> None:
    builder = Builder([("/", ORIGIN), ("/data/images", "file:///images")])
    builder.add(0, listed("data/labels.csv"))
    builder.add(0, listed("data/images/hidden"))
    builder.add(1, listed("cat.jpg", prefix=""))
    snapshot = Snapshot(builder.build())
    files = {snapshot.path(row): snapshot.file(row) for row in snapshot.walk()}
    assert set(files) == {"data/labels.csv", "data/images/cat.jpg"}
    assert files["data/images/cat.jpg"].origin == "file:///images"
    assert files["data/images/cat.jpg"].key == "cat.jpg"
    assert builder.skipped.reasons == {"hidden by another mount": 1}


def test_an_odd_key_is_kept_as_it_is() -> None:
    odd = Listed(key="other%20name", path="other name", size=1, mtime_ns=0, tag="t")
    snapshot = built(listed("a"), odd)
    assert snapshot.file(snapshot.resolve("other name")).key == "other%20name"


def test_odd_keys_do_not_depend_on_which_file_came_first() -> None:
    odd = Listed(key="other%20name", path="other name", size=1, mtime_ns=0, tag="t")
    files = [odd, listed("a"), listed("b/c")]
    assert built(*files).id == built(*reversed(files)).id
    assert built(*files).file(1) == built(listed("a")).file(1)


def test_of_two_objects_at_one_path_the_lesser_key_is_shown_whichever_came_first() -> None:
    one = Listed(key="x%61", path="xa", size=1, mtime_ns=0, tag="t")
    two = Listed(key="xa", path="xa", size=2, mtime_ns=0, tag="t")
    for files in ([one, two], [two, one]):
        builder = Builder([("/", ORIGIN)])
        for file in files:
            builder.add(0, file)
        snapshot = Snapshot(builder.build())
        assert snapshot.file(snapshot.resolve("xa")).key == "x%61"
        assert snapshot.skipped() == [("xa", "two objects at one path")]


def test_files_whose_inodes_clash_get_others_and_are_found_by_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("meshcache.snapshot.rows.INODE_MASK", 63)
    snapshot = built(*(listed(f"d/{number:02}") for number in range(50)))
    inodes = [snapshot.entry(row).inode for row in range(snapshot.rows)]
    assert len(set(inodes)) == 52
    assert inodes[ROOT_ROW] == ROOT_INODE
    assert 0 not in inodes
    assert [snapshot.row_of(inode) for inode in inodes] == list(range(52))
    assert snapshot.row_of(0) is None


def test_a_row_is_found_by_its_file_version() -> None:
    snapshot = built(*(listed(f"d/{number}") for number in range(20)))
    for row in snapshot.walk():
        assert snapshot.row_of_version(snapshot.file(row).id) == row
    assert snapshot.row_of_version(bytes(32)) is None


def test_a_run_of_entries_is_what_they_are_alone() -> None:
    snapshot = built(*(listed(f"{number:04}", size=number) for number in range(700)))
    rows = range(snapshot.rows)
    assert list(snapshot.entries(rows)) == [snapshot.entry(row) for row in rows]
    assert list(snapshot.entries(range(3, 3))) == []


def shown_pairs(old: Snapshot, new: Snapshot) -> set[tuple[int, bytes]]:
    """What `changed_names` has to give, directory by directory."""
    changed = set()
    pairs = [(ROOT_ROW, ROOT_ROW)]
    while pairs:
        before, after = (
            {snapshot.name(row): row for row in snapshot.children(directory)}
            for snapshot, directory in zip((old, new), pairs.pop(), strict=True)
        )
        for name in before.keys() | after.keys():
            was, is_now = before.get(name), after.get(name)
            row = after[name] if was is None else before[name]
            snapshot = new if was is None else old
            if was is None or is_now is None or old.inode[was] != new.inode[is_now]:
                changed.add((int(snapshot.inode[snapshot.parent[row]]), name))
            elif new.is_dir(is_now):
                pairs.append((was, is_now))
    return changed


versions = st.dictionaries(paths, st.sampled_from("123"), max_size=20)


@given(versions, versions)
def test_changed_names_are_those_a_walk_of_both_trees_finds(
    before: dict[str, str], after: dict[str, str]
) -> None:
    old, new = (
        built(*(listed(path, tag=tag) for path, tag in files.items())) for files in (before, after)
    )
    names = list(Changes(old, new).names())
    assert len(set(names)) == len(names) <= len(Changes(old, new)) <= 2 * len(names)
    assert Changes(old, new).directories() == sorted({parent for parent, _ in names})
    assert set(names) == shown_pairs(old, new)


def test_an_empty_dataset_has_a_root_and_nothing_else() -> None:
    snapshot = built()
    assert (snapshot.rows, snapshot.files, list(snapshot.walk())) == (1, 0, [])


@given(st.integers(0, 400), st.binary(max_size=3))
def test_bytes_that_are_no_snapshot_are_refused_with_one_clear_error(
    place: int, junk: bytes
) -> None:
    data = Builder([("/", ORIGIN)]).build()
    broken = data[:place] + junk + data[place + len(junk) :]
    for bytes_ in (broken, data[:place]):
        try:
            Snapshot(bytes_).children(ROOT_ROW)
        except InvalidInput as error:
            assert "\n" not in str(error)


def test_blocks_are_numbered_alike_on_every_member() -> None:
    snapshot = built(listed("a", size=10), listed("b", size=0), listed("c", size=25))
    starts = snapshot.block_starts(10)
    assert starts.tolist() == [0, 0, 1, 1, 4]


ELSEWHERE = [("a/b/x", "a/b", "deep/x"), ("a/b/c/y", "a/b", "deep/c/y"), ("z", "", "z")]


@pytest.mark.parametrize("order", [1, -1])
def test_what_another_origin_has_keeps_that_origins_identity_and_key(order: int) -> None:
    builder = Builder([("/", ORIGIN), ("/shared", "dataset://other")])
    builder.add(0, listed("own"))
    for path, at, key in ELSEWHERE[::order]:
        builder.add(
            1, Listed(key=key, path=path, size=3, mtime_ns=5, tag="t", origin=f"http://{at}", at=at)
        )
    snapshot = Snapshot(builder.build())
    shown = {snapshot.path(row): snapshot.file(row) for row in snapshot.walk()}
    assert shown == {
        "own": FileVersion(ORIGIN, "base/own", "t", 10),
        "shared/a/b/x": FileVersion("http://a/b", "deep/x", "t", 3),
        "shared/a/b/c/y": FileVersion("http://a/b", "deep/c/y", "t", 3),
        "shared/z": FileVersion("http://", "z", "t", 3),
    }
    # In either order; and other bytes for the same listing need another magic.
    assert snapshot.id[:16] == "b2fea2f3cfb5a656"


@given(st.sets(paths, max_size=20), st.randoms())
def test_the_skipped_keys_are_named_in_the_snapshot_whatever_the_order(
    some: set[str], order: random.Random
) -> None:
    files = [listed(path + "//x") for path in some]
    order.shuffle(files)
    expected = [(f"base/{path}//x", "empty path part") for path in some]
    assert built(*files).skipped() == sorted(expected)


def test_of_very_many_skipped_keys_the_first_are_named_and_all_counted() -> None:
    builder = Builder([("/", ORIGIN)])
    for number in reversed(range(25_000)):
        builder.add(0, listed(f"{number:05}/../x"))
    snapshot = Snapshot(builder.build())
    assert builder.skipped.count == 25_000
    assert snapshot.skipped_by_reason == {"'.' or '..' in path": 25_000}
    assert [key for key, _ in snapshot.skipped()] == [f"base/{n:05}/../x" for n in range(10_000)]
