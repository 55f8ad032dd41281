"""YAML files as documents: each field knows its line, and scalars stay what stands there."""

from pathlib import Path

import pytest

from meshcache.agent.specs.documents import documents
from meshcache.agent.specs.files import read
from meshcache.errors import InvalidInput

TWO = """\
# a comment
kind: Dataset
mounts:
  - url: s3://a
    options:
      on: yes
      version: 1.10
      nothing:
---
kind: Load
"""


def test_scalars_are_the_text_that_stands_there() -> None:
    first, second = documents("file", TWO)
    assert first.data["mounts"][0]["options"] == {"on": "yes", "version": "1.10", "nothing": None}
    assert second.data == {"kind": "Load"}


def test_each_field_has_its_line() -> None:
    first, second = documents("file", TWO)
    assert first.place() == "file:2"
    assert first.place(("mounts", 0, "options", "version")) == "file:7"
    assert first.place(("mounts", 0, "nowhere", 3)) == "file:4"
    assert second.place(("kind",)) == "file:10"


@pytest.mark.parametrize(
    "text",
    [
        '[{"kind": "A"}, {"kind": "B"}]',
        "kind: List\nitems:\n- kind: A\n- kind: B\n",
        "---\n---\nkind: A\n---\n# nothing\n---\nkind: B\n",
        "- &a {kind: A}\n- {<<: *a, kind: B}\n",
    ],
)
def test_lists_and_empty_documents_count_as_what_is_in_them(text: str) -> None:
    assert [document.data["kind"] for document in documents("file", text)] == ["A", "B"]


def test_the_lines_within_a_list_are_those_of_the_file() -> None:
    _, second = documents("file", "kind: List\nitems:\n- kind: A\n- kind: B\n  name: x\n")
    assert second.place(("name",)) == "file:5"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "file:1: this is no YAML"),
        ("a: b\n c: d", "file:2: this is no YAML"),
        ("a: *nowhere", "file:1: this is no YAML"),
        ("a: !!python/object:os.system x", "file:1: this is no YAML"),
        ("a: 1\nb: 2\na: 3", "file:3: a is given twice"),
        ("m:\n  - x: 1\n    x: 2", r"file:3: m\[0\].x is given twice"),
        ("just text", "file:1: this is no object"),
        ("a: \x01", "this is no YAML"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        documents("file", text)
    assert "\n" not in str(caught.value)


def test_aliases_of_aliases_are_not_followed_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(InvalidInput, match="more than 100000 fields"):
        documents("file", "\n".join(lines))


def test_files_and_folders_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "no.txt"):
        (tmp_path / name).write_text(f'{{"kind": "{name}"}}')
    (tmp_path / "alone").write_text("kind: alone")
    found = read([str(tmp_path), str(tmp_path / "alone")])
    assert [document.data["kind"] for document in found] == ["a.yml", "b.yaml", "c.json", "alone"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "empty").mkdir()
    for name, says in (
        ("missing", "missing: No such file"),
        ("binary", "binary: this is no YAML: it is no UTF-8"),
        ("empty", "empty has no file that ends in .yaml"),
    ):
        with pytest.raises(InvalidInput, match=says):
            read([str(tmp_path / name)])
