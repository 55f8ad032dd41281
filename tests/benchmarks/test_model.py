"""The made-up model is one that loaders would take."""

import json
import math
from pathlib import Path

import pytest
from blake3 import blake3

from benchmarks.model import generate, upload
from meshcache.units import KIB, MIB
from tests.support.seaweed import Seaweed

_WIDTH = {"BF16": 2, "U8": 1}


def test_each_shard_is_a_safetensors_file_without_gaps(tmp_path: Path) -> None:
    size = 40 * MIB + 12_345
    manifest = generate(tmp_path, size)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = [name for name in manifest if name.endswith(".safetensors")]
    assert sum(manifest[name][0] for name in shards) == size
    assert set(index["weight_map"].values()) == set(shards)
    for name in shards:
        data = (tmp_path / name).read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        del header["__metadata__"]
        end = 0
        for tensor, entry in header.items():
            assert index["weight_map"][tensor] == name
            start, stop = entry["data_offsets"]
            assert start == end
            assert stop - start == math.prod(entry["shape"]) * _WIDTH[entry["dtype"]]
            end = stop
        assert 8 + length + end == len(data)
        assert length % 8 == 0


def test_the_manifest_tells_the_files_sizes_and_hashes(tmp_path: Path) -> None:
    manifest = generate(tmp_path, 3 * MIB, shard_size=MIB)
    assert {path.name for path in tmp_path.iterdir()} == manifest.keys()
    for name, (size, digest) in manifest.items():
        data = (tmp_path / name).read_bytes()
        assert (len(data), blake3(data).hexdigest()) == (size, digest)


def test_seed_and_size_decide_every_byte(tmp_path: Path) -> None:
    one, two, other = (
        generate(tmp_path / str(number), MIB, seed=seed) for number, seed in enumerate((1, 1, 2))
    )
    assert one == two != other


def test_a_shard_that_would_be_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="64 KiB"):
        generate(tmp_path, 100 * KIB)


async def test_an_uploaded_model_has_the_same_bytes(
    tmp_path: Path, seaweed: Seaweed, bucket: str
) -> None:
    manifest = generate(tmp_path, 36 * MIB, shard_size=36 * MIB)
    seen: list[int] = []
    await upload(
        tmp_path,
        list(manifest),
        endpoint=seaweed.endpoint,
        access_key=seaweed.access_key,
        secret_key=seaweed.secret_key,
        bucket=bucket,
        prefix="models/x/",
        progress=seen.append,
    )
    assert sum(seen) == sum(size for size, _ in manifest.values())
    for name, (_, digest) in manifest.items():
        assert blake3(seaweed.get(bucket, "models/x/" + name)).hexdigest() == digest
