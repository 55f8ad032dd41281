"""Everything that can be set on an agent: one object, each field with its unit, default and reason.

A field is a flag of `meshcache agent` (``--cache-size``), an environment variable
(``MESHCACHE_CACHE_SIZE``) and a key of the YAML file (``cache-size``), all made from its
declaration here, and so is docs/configuration.md. A flag wins over the environment, that over the
file, that over the default.

No field may be called `port`, `service...` or anything ending in `_tcp...`: for a Service named
meshcache, Kubernetes sets MESHCACHE_PORT, MESHCACHE_SERVICE_HOST and their like in every pod.
"""

import shutil
import socket as sockets
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic
from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from meshcache.agent.address import GOSSIP_PORT, HTTP_PORT, HostPort, outgoing_host
from meshcache.agent.config.kinds import (
    FilePath,
    Host,
    ListenAddress,
    Name,
    Names,
    Paths,
    Seeds,
    Size,
    Zone,
)
from meshcache.agent.paths import default_cache_dir, default_socket
from meshcache.agent.trust import guestkey
from meshcache.agent.trust.guestkey import GuestKey
from meshcache.units import GIB

ENV_PREFIX = "MESHCACHE_"
CACHE_SIZE = 10 * GIB

T = TypeVar("T")


def _default_cache_size(data: dict[str, Any]) -> int:
    """10 GiB, or half of what is free or the cache's already where that is less."""
    folder: Path | None = data.get("cache_dir")
    if folder is None:  # it was not understood itself, and is what the user hears of
        return CACHE_SIZE
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    held = 0
    for path in folder.glob("blocks/*/*"):
        try:
            held += path.stat().st_blocks * 512
        except OSError:
            continue
    return min(CACHE_SIZE, max((shutil.disk_usage(there).free + held) // 2, 1))


def _field(default: Any, about: str, *, unit: str, shown: str = "") -> Any:
    """A field of the configuration.

    Args:
        default: the value, or a function that finds it (of the fields before this one, if it
            takes an argument).
        about: what it is and why it is so; the first sentence is the flag's help.
        unit: what stands after the flag.
        shown: how a default that is found is told.
    """
    extra: dict[str, Any] = {"unit": unit, "shown": shown}
    if callable(default):
        return Field(default_factory=default, description=about, json_schema_extra=extra)
    return Field(default=default, description=about, json_schema_extra=extra)


class AgentConfig(BaseSettings):
    """How an agent runs. Made by `config_sources.load`, or of values alone."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True
    )

    name: Name = _field(
        sockets.gethostname,
        "The member's name. It is what people read in lists; two members may have the same one.",
        unit="NAME",
        shown="the host's name",
    )
    cache_dir: FilePath = _field(
        default_cache_dir,
        "The folder that keeps the blocks, and this member's place in the mesh. One agent at a "
        "time may use it; a restart finds its blocks again.",
        unit="FOLDER",
        shown="/var/cache/meshcache for root, else ~/.cache/meshcache ($XDG_CACHE_HOME)",
    )
    cache_size: Size = _field(
        _default_cache_size,
        "How much disk the blocks may take, at every moment. It is also the member's weight: one "
        "with twice the size owns twice the blocks. Half of the disk is the most that is taken "
        "unasked: a node's disk is never the cache's alone.",
        unit="SIZE",
        shown="10GiB, or half of the free disk if that is less",
    )
    listen: ListenAddress = _field(
        HostPort("127.0.0.1", HTTP_PORT),
        "Where to serve HTTP: to members, curl and Prometheus. Beyond loopback only with a mesh "
        "key file. `:7440` is every interface; port 0 is any free one.",
        unit="HOST:PORT",
    )
    gossip: ListenAddress = _field(
        HostPort("127.0.0.1", GOSSIP_PORT),
        "Where to listen for gossip. Encrypted; beyond loopback only with a mesh key file.",
        unit="HOST:PORT",
    )
    advertise: Host | None = _field(
        None,
        "The host that others reach this member at, for HTTP and gossip. Needed behind NAT, and "
        "where the interface that is chosen is not the one that the others are on.",
        unit="HOST",
        shown="the host listened on; for every interface, the address that leads to the first "
        "--join, or out",
    )
    join: Seeds = _field(
        list,
        "A member to join the mesh by; repeatable, or separated by commas. A DNS name may "
        "stand for many (a headless Service). Looked up again for as long as the agent is alone.",
        unit="HOST[:PORT]",
        shown="none: a mesh of one",
    )
    mesh_key_file: FilePath | None = _field(
        None,
        "The file with the mesh key: 32 random bytes or more, as hex, base64 or plain. Whoever "
        "has it is a member. Made by `meshcache keys generate`. Text may have several keys, one a "
        "line: the first is used, the others are accepted while the key is changed "
        "([how](cli.md#changing-the-mesh-key)).",
        unit="FILE",
        shown="a key of its own, kept in the cache folder",
    )
    guest_key: str | None = _field(
        None,
        "A guest's key for one dataset, in the place of the mesh key. Made by `meshcache keys "
        "guest`; for pods of others, who are to read that dataset and do nothing else. Best given "
        "by its variable: a flag can be seen by everyone on the machine.",
        unit="KEY",
        shown="none",
    )
    socket: FilePath = _field(
        default_socket,
        "The Unix socket for commands and mounts on this machine. Who may open it may do "
        "everything: its permissions are the access control.",
        unit="PATH",
        shown="/run/meshcache/agent.sock for root, else $XDG_RUNTIME_DIR/meshcache/agent.sock",
    )
    role: Literal["cache", "guest"] = _field(
        "cache",
        "`cache` keeps blocks for the mesh; `guest` reads and owns nothing, for pods that live "
        "shortly. Where no `cache` member is, guests own among themselves.",
        unit="cache|guest",
    )
    gossip_profile: Literal["lan", "wan", "local"] = _field(
        "lan",
        "How patient gossip is, the same for all members. `lan` is for one data center; `wan`, for "
        "members far apart, takes twice as long to hold one for dead; `local` is for one machine.",
        unit="lan|wan|local",
    )
    zone: Zone = _field(
        "",
        "The zone, rack or site this member is in. Copies of a block are put into distinct ones.",
        unit="ZONE",
        shown="none",
    )
    open_reads: bool = _field(
        False,
        "Let anyone read files over HTTP, without key or token. For networks where whoever can "
        "connect may read every dataset.",
        unit="",
    )
    metrics_token_file: FilePath | None = _field(
        None,
        "The file with the token, any text of 16 characters or more, by which a scraper sees the "
        "metrics that name datasets, as `Authorization: Bearer TOKEN`. Read anew each time. The "
        "other metrics need no token.",
        unit="FILE",
        shown="none: names for all while on loopback, with proof of the mesh key beyond",
    )
    keep_mounts: bool = _field(
        False,
        "On SIGTERM, leave the mounts of this node in place. For upgrades: reads that miss wait "
        "for the next agent.",
        unit="",
    )
    secret_root: Paths = _field(
        list,
        "A folder that `file:` secret references of datasets may name files in, and that "
        "`secret:NAME/KEY` is looked for in; repeatable. "
        "A dataset's creator writes those references, so they must not reach the whole node.",
        unit="FOLDER",
        shown="anywhere while on loopback, nowhere beyond",
    )
    secret_env: Names = _field(
        list,
        "An environment variable that `env:` secret references may name; repeatable. MESHCACHE_* "
        "variables never.",
        unit="NAME",
        shown="any while on loopback, none beyond",
    )
    file_root: Paths = _field(
        list,
        "A folder that file:// origins may name folders in; repeatable.",
        unit="FOLDER",
        shown="anywhere while on loopback, nowhere beyond",
    )
    pvc_root: FilePath | None = _field(
        None,
        "The folder that has a folder for each claim that pvc:// origins may name: pvc://data/x is "
        "the folder data/x in it.",
        unit="FOLDER",
        shown="none: no pvc:// origins",
    )
    apply: FilePath | None = _field(
        None,
        "A folder of documents that this agent applies as `meshcache apply -f` would, at its start "
        "and whenever they change. Members take turns, so all may have the same folder. What is no "
        "longer declared is not deleted; a guest applies nothing.",
        unit="FOLDER",
        shown="none",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _field(
        "info",
        "The least urgent log lines to write, to stderr: for people on a terminal, else JSON.",
        unit="debug|info|warning|error",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values alone: `config_sources` reads the rest and knows where each came from."""
        return (init_settings,)

    @pydantic.model_validator(mode="after")
    def _check(self) -> "AgentConfig":
        if self.guest_key is not None:
            if self.mesh_key_file is not None:
                raise ValueError("--guest-key stands in the place of --mesh-key-file: give one")
            if self.role != "guest" or not self.join:
                raise ValueError("--guest-key needs --role guest and a member to --join")
            self.guest()
        elif self.mesh_key_file is None:
            for flag, address in (("--listen", self.listen), ("--gossip", self.gossip)):
                if not address.loopback:
                    raise ValueError(
                        f"{flag} {address} is beyond loopback, which needs --mesh-key-file: make "
                        "the key by `meshcache keys generate FILE`, the same for all members"
                    )
            if self.join:
                raise ValueError("--join needs --mesh-key-file: the members of a mesh share a key")
        return self

    def guest(self) -> GuestKey | None:
        """The guest's key, if it is one's.

        Raises:
            InvalidInput: it cannot be read.
        """
        return guestkey.parse(self.guest_key) if self.guest_key else None

    @property
    def loopback(self) -> bool:
        """Nobody but this machine can reach the agent."""
        return self.listen.loopback and self.gossip.loopback

    @property
    def secret_roots(self) -> list[Path] | None:
        """Where `file:` references may point; None is anywhere."""
        return self._limit(self.secret_root)

    @property
    def secret_envs(self) -> list[str] | None:
        """What `env:` references may name; None is anything."""
        return self._limit(self.secret_env)

    @property
    def file_roots(self) -> list[Path] | None:
        """Where file:// origins may point; None is anywhere."""
        return self._limit(self.file_root)

    def _limit(self, given: list[T]) -> list[T] | None:
        return None if self.loopback and not given else given

    def advertised(self, bound: HostPort) -> HostPort:
        """What to tell others of an address that is listened on. May block on DNS.

        Raises:
            EnvironmentUnfit: no interface leads anywhere, and no `advertise` was given.
        """
        if self.advertise is not None:
            return HostPort(self.advertise, bound.port)
        if not bound.everywhere:
            return bound
        return HostPort(outgoing_host(self.join[0] if self.join else None), bound.port)
