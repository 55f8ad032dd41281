"""Datasets in tables: the columns of a list, the lines of one."""

import time
from collections.abc import Mapping
from typing import Any

from meshcache.agent.cli.cached import READS, percentage, reads_line, saved_line, size
from meshcache.agent.cli.output import Column
from meshcache.units import format_age, format_size


def _cached_share(dataset: Mapping[str, Any]) -> str:
    return percentage(dataset["cached_percentage"])


def _age(dataset: Mapping[str, Any]) -> str:
    return format_age(time.time() - dataset["created"])


def _mounts(dataset: Mapping[str, Any]) -> list[str]:
    return [
        mount["url"] if mount["path"] == "/" else f"{mount['path']}={mount['url']}"
        for mount in dataset["mounts"]
    ]


def _pairs(values: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in values.items()) or "-"


def _ago(then: float) -> str:
    return f"{format_age(time.time() - then)} ago" if then else "never"


COLUMNS = (
    # Fluid's, in its order: `kubectl get dataset` looks the same.
    Column("NAME", lambda dataset: dataset["name"]),
    Column("UFS TOTAL SIZE", lambda dataset: size(dataset["ufs_total"])),
    Column("CACHED", lambda dataset: size(dataset["cached"])),
    Column("CACHE CAPACITY", lambda dataset: format_size(dataset["cache_capacity"])),
    Column("CACHED PERCENTAGE", lambda dataset: percentage(dataset["cached_percentage"])),
    Column("PHASE", lambda dataset: dataset["phase"]),
    Column("AGE", _age),
    Column("TOTAL FILES", lambda dataset: str(dataset["files"]), wide=True),
    *READS,
    Column("BLOCK SIZE", lambda dataset: format_size(dataset["block_size"]), wide=True),
    Column("REPLICAS", lambda dataset: str(dataset["replicas"]), wide=True),
    Column("MOUNTS", lambda dataset: ",".join(_mounts(dataset)), wide=True),
    Column("SNAPSHOT", lambda dataset: dataset["snapshot"][:12] or "-", wide=True),
)

NOTHING = "no datasets: make one by `meshcache dataset create NAME URL`"

SKIPPED = (
    Column("KEY", lambda key: key["key"]),
    Column("REASON", lambda key: key["reason"]),
)

LINES = (
    Column("Name", lambda dataset: dataset["name"]),
    Column("Phase", lambda dataset: dataset["phase"]),
    Column("Mounts", lambda dataset: "\n".join(_mounts(dataset))),
    Column("Options", lambda dataset: _pairs(dataset["options"])),
    Column("Secret options", lambda dataset: _pairs(dataset["secret_options"])),
    Column("Total size", lambda dataset: size(dataset["ufs_total"])),
    Column("Files", lambda dataset: str(dataset["files"])),
    Column("Skipped keys", lambda dataset: str(dataset["skipped"])),
    Column("Cached", lambda dataset: f"{size(dataset['cached'])} ({_cached_share(dataset)})"),
    Column("Cache capacity", lambda dataset: format_size(dataset["cache_capacity"])),
    Column("Read", reads_line),
    Column("Bytes saved", saved_line),
    Column("Block size", lambda dataset: format_size(dataset["block_size"])),
    Column("Replicas", lambda dataset: str(dataset["replicas"])),
    Column("Snapshot", lambda dataset: dataset["snapshot"] or "-"),
    Column("Listed", lambda dataset: _ago(dataset["listed"])),
    Column("Age", _age),
)

VERSION_COLUMNS = (
    Column("VERSION", lambda version: version["id"][:12]),
    Column("HEAD", lambda version: "*" if version["head"] else ""),
    Column("LISTED", lambda version: _ago(version["listed"])),
    Column("FILES", lambda version: str(version["files"])),
    Column("SIZE", lambda version: format_size(version["bytes"])),
    Column("LISTED BY", lambda version: version["lister"], wide=True),
)
