"""A mesh of real agents on this machine for benchmarks: processes, caches, mounts, all removed."""

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from meshcache.errors import EnvironmentUnfit
from tests.support.seaweed import Seaweed

COMMAND = (sys.executable, "-m", "meshcache.agent.cli")
"""What `meshcache` is, whatever the PATH."""

_READY = re.compile(r"is ready: http (\S+), gossip (\S+), ")
_READY_WITHIN = 30.0
_LEAVE_WITHIN = 8.0
_COMMAND_WITHIN = 120.0


class CommandFailed(Exception):
    """A command ended with another code than 0. The message has what it said."""


def guarded(*command: str) -> list[str]:
    """The command, ended by the kernel should this process be killed (where setpriv is)."""
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return [*guard, *command]


async def run(*command: str, within: float = _COMMAND_WITHIN) -> str:
    """What a command says on its standard output.

    Raises:
        CommandFailed: it failed, or was not done in `within` seconds and was killed.
    """
    process = await asyncio.create_subprocess_exec(
        *guarded(*command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us, who clean up in order
    )
    shown = " ".join(command).removeprefix(" ".join(COMMAND))
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate()
    except TimeoutError:
        raise CommandFailed(f"meshcache{shown} was not done in {within:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = (err or out).decode(errors="replace").strip()
        raise CommandFailed(f"meshcache{shown} ended with {process.returncode}: {said}")
    return out.decode()


def private(path: Path, text: str) -> Path:
    """A file with that text that only we may read."""
    path.write_text(text)
    path.chmod(0o600)
    return path


class Node:
    """One agent, as one machine would have it, and where it mounts."""

    def __init__(self, folder: Path, name: str, *flags: str) -> None:
        """`flags` are further ones for its agent."""
        self.name = name
        self.flags = flags
        self.folder = folder
        self.socket = folder / "agent.sock"
        self.mountpoint = folder / "mnt"
        self.host = "127.0.0.1"
        """What its agent listens on."""
        self.enter: Sequence[str] = ()
        """What to put before its commands, to run them elsewhere (in a network namespace)."""
        self.log = folder / "agent.log"
        self.http = self.gossip = ""
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, key: Path, cache_size: int, join: str) -> None:
        """Start the agent and wait for its ready line."""
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        command = [
            *(*COMMAND, "agent", "--name", self.name),
            *("--cache-dir", str(self.folder / "cache"), "--cache-size", str(cache_size)),
            *("--listen", f"{self.host}:0", "--gossip", f"{self.host}:0"),
            *("--socket", str(self.socket)),
            *("--mesh-key-file", str(key)),
            *(("--join", join) if join else ()),
            *self.flags,
        ]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *guarded(*self.enter, *command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={k: v for k, v in os.environ.items() if not k.startswith("MESHCACHE_")},
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = b""
        with suppress(TimeoutError):
            line = await asyncio.wait_for(self._process.stdout.readline(), _READY_WITHIN)
        match = _READY.search(line.decode(errors="replace"))
        if match is None:
            said = self.log.read_text(errors="replace")[-500:]
            raise EnvironmentUnfit(f"the agent of {self.name} did not get ready: {line!r} {said}")
        self.http, self.gossip = match[1], match[2]

    async def kill(self) -> None:
        """SIGKILL the agent. It may be started again."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def cli(self, *arguments: str) -> str:
        """A `meshcache` command that talks to this agent."""
        return await run(*COMMAND, *arguments, "--socket", str(self.socket))

    async def create(self, dataset: str, server: Seaweed, endpoint: str) -> None:
        """Make a dataset of the server's bucket of that name, read from this endpoint."""
        secrets_ = {"access_key": server.access_key, "secret_key": server.secret_key}
        references = [
            f"{option}=file:{private(self.folder / option, secret)}"
            for option, secret in secrets_.items()
        ]
        await self.cli(
            *("dataset", "create", dataset, f"s3://{dataset}", "--option", f"endpoint={endpoint}"),
            *("--option", "addressing=path"),
            *(word for reference in references for word in ("--secret-option", reference)),
        )

    async def mount(self, dataset: str) -> None:
        """Mount a dataset; it answers when this returns."""
        log = self.folder / "mount.log"
        await self.cli("mount", dataset, str(self.mountpoint), "--daemon", "--log-file", str(log))

    @property
    def pid(self) -> int:
        """The agent's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def mounted(self) -> bool:
        """Whether something is mounted there. Never asks the file system itself: it may hang."""
        mounts = Path("/proc/self/mountinfo").read_text()
        return any(line.split()[4] == str(self.mountpoint) for line in mounts.splitlines())

    async def umount(self) -> None:
        """Unmount; by force, then behind the back of its users, if need be."""
        for command in (
            [*COMMAND, "umount", str(self.mountpoint)],
            [*COMMAND, "umount", "--force", str(self.mountpoint)],
            ["fusermount3", "-u", "-z", str(self.mountpoint)],
        ):
            if not self.mounted:
                return
            with suppress(CommandFailed):
                await run(*command, within=20)

    async def stop(self) -> None:
        """Unmount and end the agent; kill it if it does not end. Idempotent."""
        await self.umount()
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _LEAVE_WITHIN)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


class Mesh:
    """Several nodes with a key of their own. A context manager: all of it is gone at the end."""

    def __init__(self, folder: Path, names: Sequence[str], cache_size: int) -> None:
        """Prepare; `folder` takes keys, caches, sockets and mounts, and is the caller's."""
        self.nodes = [Node(folder / name, name) for name in names]
        self._key = folder / "mesh.key"
        self._cache_size = cache_size

    async def start(self) -> None:
        """Start the agents, the first alone, and wait until each sees all.

        Raises:
            EnvironmentUnfit: an agent did not get ready.
        """
        self._key.write_text(secrets.token_hex(32))
        self._key.chmod(0o600)
        first, *others = self.nodes
        await first.start(self._key, self._cache_size, "")
        await asyncio.gather(
            *(node.start(self._key, self._cache_size, first.gossip) for node in others)
        )
        try:
            async with asyncio.timeout(_READY_WITHIN):
                for node in self.nodes:
                    await self._sees_all(node)
        except TimeoutError:
            raise EnvironmentUnfit("the agents did not find each other") from None

    async def _sees_all(self, node: Node) -> None:
        while True:
            members = json.loads(await node.cli("members", "-o", "json"))
            if sum(member["state"] == "alive" for member in members) == len(self.nodes):
                return
            await asyncio.sleep(0.1)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Unmount everything and end all agents. Idempotent."""
        await asyncio.gather(*(node.stop() for node in self.nodes))
        # A mount that was on its way when its agent ended.
        await asyncio.gather(*(node.umount() for node in self.nodes))
