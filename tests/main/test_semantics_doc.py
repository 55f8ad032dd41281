"""The examples of docs/semantics.md do what the page says."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from meshcache.units import MIB
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh

PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(not PAGE.exists(), reason="the pages are not beside the tests"),
]

KEYS = {
    "models/llama/config.json": b'{"layers": 32}\n',
    "models/llama/weights.bin": b"w" * (10 * MIB),
    "readme.txt": b"hello",
    "empty": b"",
    "a": b"1",
    "a/b": b"1",
}


def examples() -> list[tuple[str, list[str]]]:
    """(command, the lines it prints), in the order of the page."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


class Shell:
    """One shell for the whole page, with `replace` and `refresh` done by the test."""

    def __init__(self, mountpoint: Path) -> None:
        self._shell = subprocess.Popen(
            ["timeout", "90", "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": os.environ["PATH"], "MNT": str(mountpoint), "LC_ALL": "C"},
        )

    def run(self, command: str) -> list[str]:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{command}\necho; echo '--- done ---'\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        while (line := self._shell.stdout.readline().rstrip("\n")) != "--- done ---":
            assert self._shell.poll() is None, lines
            lines.append(line)
        return [line for line in lines if line]

    def close(self) -> None:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.close()
        self._shell.wait(10)
        self._shell.stdout.close()


def act(command: str, agent: Agent, origin: Origin) -> bool:
    """The page's two commands that are not of the shell."""
    verb, _, key = command.partition(" ")
    if verb == "replace":
        origin.put(key, b"n" * (10 * MIB))
    elif verb == "refresh":
        agent.run("dataset", "refresh", "data")
    else:
        return False
    return True


def test_every_example_of_the_page_prints_what_it_says(mesh: Mesh, origin: Origin) -> None:
    for key, data in KEYS.items():
        origin.put(key, data)
    (one,) = mesh.start("one")
    origin.create(one)
    mountpoint = mesh.mount(one, "data")
    shell = Shell(mountpoint)
    try:
        for command, expected in examples():
            if act(command, one, origin):
                continue
            printed = [line.replace(str(mountpoint), "$MNT") for line in shell.run(command)]
            assert printed == expected, command
    finally:
        shell.close()


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+)(\.py)?(?:::(\w+))?`", PAGE.read_text())
    assert len(named) > 20
    for path, suffix, name in named:
        file = PAGE.parents[1] / (path + suffix)
        assert file.exists(), path
        assert not name or re.search(rf"def {name}\(", file.read_text()), (path, name)
