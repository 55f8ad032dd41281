"""Patterns mean what rsync's and git's users expect."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.loads.globs import Exclusion, compile_part, is_glob, parts_of
from meshcache.errors import InvalidInput


def matches(pattern: str, name: str) -> bool:
    compiled = compile_part(pattern)
    return compiled == name if isinstance(compiled, str) else bool(compiled.fullmatch(name))


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("*.bin", ["a.bin", ".bin", ".hidden.bin"], ["a.binx", "bin"]),
        ("a?c", ["abc", "a.c"], ["ac", "abbc"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a-c]x", ["dx"], ["ax"]),
        ("[]x]", ["]", "x"], ["[", "y"]),
        (r"\*", ["*"], ["a", r"\*"]),
        ("plain", ["plain"], ["plainer"]),
        ("[[]", ["["], ["[["]),
        ("[a-c--z&&~~]", ["b", "-", "z", "&", "~"], ["d-", "\x1f"]),
        ("[b-]", ["b", "-"], ["c"]),
        ("+(x)|y", ["+(x)|y"], ["x"]),
    ],
)
def test_a_part_matches_names(pattern: str, fits: list[str], not_: list[str]) -> None:
    assert all(matches(pattern, name) for name in fits)
    assert not any(matches(pattern, name) for name in not_)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [("a[bc", "without its ]"), ("a\\", "escapes nothing"), ("[z-a]", "from 'z' down to 'a'")],
)
def test_a_pattern_that_cannot_be_says_so(pattern: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        compile_part(pattern)


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_any_text_is_a_pattern_or_a_clear_error(text: str) -> None:
    try:
        compile_part(text)
    except InvalidInput as error:
        assert "\n" not in str(error).replace(repr(text), "")


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_an_escaped_name_matches_itself_alone(name: str) -> None:
    pattern = re.sub(r"([*?\[\\])", r"\\\1", name)
    assert matches(pattern, name)
    assert not matches(pattern, name + "x")
    assert is_glob(name) == (pattern != name)


def test_slashes_and_dots_in_a_path_mean_nothing_and_going_up_is_refused() -> None:
    assert parts_of("./a//b/") == ["a", "b"]
    with pytest.raises(InvalidInput, match="from the dataset's root"):
        parts_of("a/../b")


@pytest.mark.parametrize(
    ("pattern", "left_out", "stays"),
    [
        ("*.tmp", ["a.tmp", "x/y/a.tmp"], ["a.tmpx"]),
        ("/a.tmp", ["a.tmp"], ["x/a.tmp"]),
        ("x/*.tmp", ["x/a.tmp"], ["x/y/a.tmp", "z/x/a.tmp"]),
        ("x/**/a", ["x/a", "x/y/a", "x/y/z/a"], ["a", "xx/a"]),
        ("**/a", ["a", "x/a"], ["x/ab"]),
        ("x/**", ["x/a", "x/y/a"], ["x"]),
    ],
)
def test_what_an_exclusion_leaves_out(pattern: str, left_out: list[str], stays: list[str]) -> None:
    exclusion = Exclusion.parse(pattern)

    def out(path: str) -> bool:
        return exclusion.matches(path, path.rpartition("/")[2], is_dir=False)

    assert all(map(out, left_out))
    assert not any(map(out, stays))


def test_an_exclusion_that_ends_in_a_slash_names_directories_alone() -> None:
    exclusion = Exclusion.parse("logs/")
    assert exclusion.matches("a/logs", "logs", is_dir=True)
    assert not exclusion.matches("a/logs", "logs", is_dir=False)
    with pytest.raises(InvalidInput, match="excludes everything"):
        Exclusion.parse("/")
