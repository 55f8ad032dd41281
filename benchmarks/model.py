"""A model as model hubs have them, made up: sharded safetensors, their index, config, tokenizer.

The headers are real (https://github.com/huggingface/safetensors, "Format"): 8 bytes of length,
little-endian, JSON that names each tensor's dtype, shape and place, and the tensors' bytes without
a gap. Those are random and cannot be compressed; size and seed decide every byte. Run as
``python -m benchmarks.model FOLDER --size 1.16GiB``.
"""

import argparse
import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from meshcache.units import KIB, MIB, format_size, parse_size

Manifest = dict[str, tuple[int, str]]
"""File name -> (bytes, blake3 in hex)."""

_HIDDEN = 2048
_ROW = 2 * _HIDDEN
"""Bytes of one row of a tensor."""
_TENSOR = 32 * MIB
_WRITE = 8 * MIB
_PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")


def generate(
    folder: Path,
    size: int,
    *,
    shard_size: int | None = None,
    seed: int = 20260,
    dtype: str = "BF16",
) -> Manifest:
    """Write a model into `folder`.

    Args:
        folder: is made if it is not there.
        size: bytes of all shards together, at least 64 KiB each; the small files come on top.
        shard_size: the most bytes of a shard; by default there are four.
        seed: another one gives other bytes.
        dtype: of the tensors, one of two bytes; numpy knows F16 only.

    Returns:
        What was written, by file name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 4 if shard_size is None else -(-size // shard_size)
    names = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    sizes = [size * (i + 1) // count - size * i // count for i in range(count)]
    if min(sizes) < 64 * KIB:
        raise ValueError("a shard has at least 64 KiB: choose a larger size or fewer shards")
    seeds = np.random.SeedSequence(seed).spawn(count)
    with ThreadPoolExecutor(2) as threads:
        shards = list(
            threads.map(
                lambda i: _write_shard(folder / names[i], i, sizes[i], seeds[i], dtype),
                range(count),
            )
        )
    manifest = {
        name: (size_, digest) for name, size_, (_, digest) in zip(names, sizes, shards, strict=True)
    }
    weight_map = {
        tensor: name for name, (tensors, _) in zip(names, shards, strict=True) for tensor in tensors
    }
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    for name, content in _small_files(index).items():
        data = json.dumps(content, indent=2).encode()
        (folder / name).write_bytes(data)
        manifest[name] = (len(data), blake3(data).hexdigest())
    return manifest


def _write_shard(
    path: Path, number: int, size: int, seed: np.random.SeedSequence, dtype: str
) -> tuple[list[str], str]:
    """One shard; its tensors' names and its blake3."""
    tensors, header = _header(number, size, dtype)
    digest = blake3(max_threads=blake3.AUTO)
    random = np.random.PCG64(seed)
    with path.open("wb") as file:
        file.write(header)
        digest.update(header)
        left = size - len(header)
        while left:
            data = random.random_raw(-(-min(left, _WRITE) // 8)).view(np.uint8).data[:left]
            file.write(data)
            digest.update(data)
            left -= len(data)
    return tensors, digest.hexdigest()


def _header(number: int, size: int, dtype: str) -> tuple[list[str], bytes]:
    """The names of a shard's tensors, and its header with the length before it."""
    room = -(-(1 * KIB + size // _TENSOR * 160) // 8) * 8  # the JSON, and spaces behind it
    tensors: dict[str, Any] = {}
    data = size - 8 - room
    at = 0
    while at < data:
        layer, part = divmod(len(tensors), len(_PARTS))
        name = f"model.layers.{number * 100 + layer}.{_PARTS[part]}"
        rows = min(_TENSOR, data - at) // _ROW
        if rows:
            entry = {"dtype": dtype, "shape": [rows, _HIDDEN]}
            end = at + rows * _ROW
        else:  # what makes no whole row
            entry = {"dtype": "U8", "shape": [data - at]}
            end = data
        kind = "weight" if rows else "scale"
        tensors[f"{name}.{kind}"] = {**entry, "data_offsets": [at, end]}
        at = end
    text = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    return list(tensors), room.to_bytes(8, "little") + text.ljust(room)


def _small_files(index: dict[str, Any]) -> dict[str, dict[str, Any]]:
    vocabulary = {f"token{number}": number for number in range(20_000)}
    return {
        "model.safetensors.index.json": index,
        "config.json": {
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": _HIDDEN,
            "model_type": "llama",
            "torch_dtype": "bfloat16",
            "vocab_size": len(vocabulary),
        },
        "tokenizer.json": {"version": "1.0", "model": {"type": "BPE", "vocab": vocabulary}},
    }


async def upload(
    folder: Path,
    names: list[str],
    *,
    endpoint: str,
    access_key: str,
    secret_key: str,
    bucket: str,
    prefix: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Put files into a bucket, large ones in parts, three requests at a time.

    Args:
        folder: where they lie.
        names: of the files.
        endpoint: ``http://host:port`` of the S3 server.
        access_key: of its credentials.
        secret_key: of its credentials.
        bucket: is there.
        prefix: before each name: empty, or ending in ``/``.
        progress: called with the bytes that each request has brought there.
    """
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    part_size = 16 * MIB
    turns = asyncio.Semaphore(3)
    config = AioConfig(
        s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
    )
    async with get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    ) as s3:

        async def part(path: Path, place: dict[str, str], number: int) -> dict[str, Any]:
            async with turns:
                data = await asyncio.to_thread(_slice, path, (number - 1) * part_size, part_size)
                answer = await s3.upload_part(**place, PartNumber=number, Body=data)
                progress(len(data))
            return {"ETag": answer["ETag"], "PartNumber": number}

        for name in names:
            path, place = folder / name, {"Bucket": bucket, "Key": prefix + name}
            size = path.stat().st_size
            if size <= part_size:
                await s3.put_object(**place, Body=path.read_bytes())
                progress(size)
                continue
            started = await s3.create_multipart_upload(**place)
            whole = {**place, "UploadId": started["UploadId"]}
            numbers = range(1, -(-size // part_size) + 1)
            parts = await asyncio.gather(*(part(path, whole, number) for number in numbers))
            await s3.complete_multipart_upload(**whole, MultipartUpload={"Parts": list(parts)})


def _slice(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def main() -> None:
    """Write a model and print its manifest."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=parse_size, default=parse_size("1.16GiB"))
    parser.add_argument("--shard-size", type=parse_size, default=None)
    parser.add_argument("--seed", type=int, default=20260)
    given = parser.parse_args()
    manifest = generate(given.folder, given.size, shard_size=given.shard_size, seed=given.seed)
    for name, (size, digest) in manifest.items():
        print(f"{digest}  {format_size(size):>10}  {name}")


if __name__ == "__main__":
    main()
