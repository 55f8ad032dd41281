"""Which files a load is about: paths, globs, lists, less what is excluded."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.loads.globs import ANY_DEPTH, parts_of
from meshcache.agent.loads.selection import Selection, select
from meshcache.agent.loads.spec import NewLoad, Target
from meshcache.errors import InvalidInput, MeshcacheError, NotADirectory, PathNotFound
from tests.loads.snapshots import snapshot_of

TREE = {
    "readme.md": 1,
    "a/x.bin": 10,
    "a/x.json": 20,
    "a/deep/er/y.bin": 30,
    "b/x.bin": 40,
    "b/[odd]*.bin": 50,
    "empty": 0,
}


def chosen(
    *paths: str, exclude: tuple[str, ...] = (), files: tuple[str, ...] | None = None
) -> set[str]:
    snapshot = snapshot_of(TREE)
    new = NewLoad(dataset="d", paths=paths, exclude=exclude, files=files)
    selected = select(snapshot, Selection.of(new))
    found = {snapshot.path(int(row)) for row in selected.rows}
    assert len(found) == len(selected.rows)
    assert selected.size == sum(TREE[path] for path in found)
    return found


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        ([], set(TREE)),
        (["/"], set(TREE)),
        (["a"], {"a/x.bin", "a/x.json", "a/deep/er/y.bin"}),
        (["/a/", "readme.md"], {"a/x.bin", "a/x.json", "a/deep/er/y.bin", "readme.md"}),
        (["*.md"], {"readme.md"}),
        (["*/x.bin"], {"a/x.bin", "b/x.bin"}),
        (["**/*.bin"], {"a/x.bin", "a/deep/er/y.bin", "b/x.bin", "b/[odd]*.bin"}),
        (["a/**/y.bin"], {"a/deep/er/y.bin"}),
        (["a/**/x.bin"], {"a/x.bin"}),
        (["a/**"], {"a/x.bin", "a/x.json", "a/deep/er/y.bin"}),
        (["**"], set(TREE)),
        (["**/deep"], {"a/deep/er/y.bin"}),
        (["b/[odd]*.bin"], {"b/[odd]*.bin"}),
        (["b/\\[odd\\]*"], {"b/[odd]*.bin"}),
        (["a", "a/x.bin"], {"a/x.bin", "a/x.json", "a/deep/er/y.bin"}),
    ],
)
def test_patterns_name_files_and_all_below_directories(
    patterns: list[str], files: set[str]
) -> None:
    assert chosen(*patterns) == files


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (("*.bin",), {"readme.md", "a/x.json", "empty"}),
        (("deep",), set(TREE) - {"a/deep/er/y.bin"}),
        (("deep/",), set(TREE) - {"a/deep/er/y.bin"}),
        (("x.bin/",), set(TREE)),
        (("/a/x.*", "empty"), set(TREE) - {"a/x.bin", "a/x.json", "empty"}),
    ],
)
def test_what_is_excluded_is_left_out(exclude: tuple[str, ...], left: set[str]) -> None:
    assert chosen(exclude=exclude) == left


def test_what_is_below_an_excluded_directory_is_left_out_whoever_names_it() -> None:
    assert chosen("a/deep/er", "readme.md", exclude=("deep",)) == {"readme.md"}
    assert chosen(files=("a/deep/er/y.bin", "empty"), exclude=("a/deep",)) == {"empty"}
    with pytest.raises(PathNotFound, match="nothing is left"):
        chosen("a/deep", exclude=("*.bin",))


def test_a_list_has_exact_paths() -> None:
    assert chosen(files=("./a/x.bin", "b/[odd]*.bin")) == {"a/x.bin", "b/[odd]*.bin"}
    with pytest.raises(PathNotFound, match=r"no 'b/\*' and 1 more of the list"):
        chosen(files=("a/x.bin", "b/*", "none"))
    assert chosen(files=()) == set()


@pytest.mark.parametrize(
    ("pattern", "error", "says"),
    [
        ("none", PathNotFound, "no 'none'"),
        ("readme.md/x", NotADirectory, "is a file"),
        ("*.none", PathNotFound, "nothing in the dataset matches '*.none'"),
        ("readme.md/*", PathNotFound, "matches"),
        ("a/[", InvalidInput, "without its ]"),
        ("../up", InvalidInput, "from the dataset's root"),
    ],
)
def test_a_pattern_that_names_nothing_says_so(
    pattern: str, error: type[MeshcacheError], says: str
) -> None:
    with pytest.raises(error, match=re.escape(says)):
        chosen(pattern)


def test_targets_have_replicas_of_their_own_and_the_most_counts() -> None:
    snapshot = snapshot_of(TREE)
    targets = (Target("a", 2), Target("a/x.bin", 3), Target("**/x.bin", 1), Target("empty"))
    selected = select(snapshot, Selection(targets))
    found = {
        snapshot.path(row): count
        for row, count in zip(selected.rows.tolist(), selected.replicas.tolist(), strict=True)
    }
    assert found == {
        "a/x.bin": 3,
        "a/x.json": 2,
        "a/deep/er/y.bin": 2,
        "b/x.bin": 1,
        "empty": 0,
    }


# Few letters, so that patterns and paths meet.
names = st.text("ab", min_size=1, max_size=2)
trees = st.sets(st.lists(names, min_size=1, max_size=4).map("/".join), min_size=1, max_size=12)
patterns = st.lists(
    st.one_of(names, st.sampled_from(["*", "**", "?", "[ab]", "a*"])), min_size=1, max_size=4
).map("/".join)


def plainly(pattern: str, path: str) -> bool:
    """Whether the pattern matches the path or a directory above it, by its definition."""

    def match(parts: list[str], names: list[str]) -> bool:
        if not parts:
            return True  # the rest of the path lies below what is matched
        if parts[0] == ANY_DEPTH:
            if all(part == ANY_DEPTH for part in parts):
                return bool(names)
            return any(match(parts[1:], names[n:]) for n in range(len(names)))
        if not names:
            return False
        expression = parts[0].replace("*", ".*").replace("?", ".")
        return bool(re.fullmatch(expression, names[0])) and match(parts[1:], names[1:])

    return match(parts_of(pattern), path.split("/"))


@given(trees, patterns)
def test_a_glob_selects_what_its_definition_says(tree: set[str], pattern: str) -> None:
    files = {p for p in tree if not any(other.startswith(p + "/") for other in tree)}
    snapshot = snapshot_of(dict.fromkeys(files, 1))
    try:
        selected = select(snapshot, Selection((Target(pattern),)))
        found = {snapshot.path(int(row)) for row in selected.rows}
    except (PathNotFound, NotADirectory):
        found = set()
    assert found == {path for path in files if plainly(pattern, path)}
