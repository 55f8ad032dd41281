"""Placement: the same for every member, fair, and still when members come and go.

`plain_rank` is the function of docs/wire-format.md written a second time, without numpy.
"""

import json
import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from meshcache.block import BlockId
from meshcache.placement import Candidate, Placement, block_key, block_keys, hash64

VECTORS = Path(__file__).with_name("vectors.json")
MASK = (1 << 64) - 1


def plain_mix(value: int) -> int:
    z = (value + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def plain_hash(data: bytes) -> int:
    return int.from_bytes(blake3(data).digest()[:8], "little")


def plain_block_key(id: BlockId) -> int:
    head = int.from_bytes(id.version[:8], "little")
    return head ^ plain_mix(plain_mix(id.block_size) ^ id.index)


def plain_mixed(store_id: str, key: int) -> int:
    return plain_mix(plain_hash(store_id.encode()) ^ key)


def plain_rank(candidates: list[Candidate], key: int, count: int) -> list[str]:
    def order(candidate: Candidate) -> tuple[float, str]:
        halves = 2 * (plain_mixed(candidate.store_id, key) >> 12) + 1
        return candidate.weight / math.log(halves / 2**53), candidate.store_id

    ranked = sorted((c for c in candidates if c.weight > 0), key=order)
    first: list[Candidate] = []
    for candidate in ranked:
        if candidate.zone not in {chosen.zone for chosen in first}:
            first.append(candidate)
    rest = [candidate for candidate in ranked if candidate not in first]
    return [candidate.store_id for candidate in first + rest][:count]


def block(number: int) -> BlockId:
    return BlockId(blake3(number.to_bytes(8, "little")).digest(), 4 << 20, number % 100)


def mesh(count: int, *, zones: int = 1, weight: float = 1e12) -> list[Candidate]:
    return [Candidate(f"{n:032x}", weight, f"zone-{n % zones}") for n in range(count)]


@st.composite
def meshes(draw: st.DrawFn) -> list[Candidate]:
    ids = draw(st.lists(st.integers(0, 2**128 - 1), unique=True, max_size=20))
    weights = st.one_of(st.just(0.0), st.floats(1.0, 1e15))
    return [
        Candidate(f"{n:032x}", draw(weights), draw(st.sampled_from(["", "a", "b", "c"])))
        for n in ids
    ]


def make_vectors() -> dict[str, object]:
    """What vectors.json holds; `python -m tests.placement.test_placement` writes it."""
    rng = random.Random(1)
    candidates = [
        Candidate(f"{rng.getrandbits(128):032x}", float(rng.choice([1, 2, 4]) << 40), zone)
        for zone in ("a", "a", "a", "b", "b", "", "c")
    ]
    keys: dict[str, dict[str, int]] = {
        "blocks": {str(block(n)): plain_block_key(block(n)) for n in range(12)},
        "names": {name: plain_hash(name.encode()) for name in ("", "snapshot")},
    }
    return {
        "candidates": [[c.store_id, c.weight, c.zone] for c in candidates],
        **{
            kind: {
                name: {
                    "key": f"{key:016x}",
                    "mixed": {
                        c.store_id: f"{plain_mixed(c.store_id, key):016x}" for c in candidates
                    },
                    "rank": plain_rank(candidates, key, len(candidates)),
                }
                for name, key in named.items()
            }
            for kind, named in keys.items()
        },
    }


def test_the_vectors_of_the_wire_format_hold() -> None:
    recorded = json.loads(VECTORS.read_text())
    assert recorded == json.loads(json.dumps(make_vectors()))
    placement = Placement([Candidate(*fields) for fields in recorded["candidates"]])
    for text, vector in recorded["blocks"].items():
        assert f"{block_key(BlockId.parse(text)):016x}" == vector["key"], text
        assert placement.rank(BlockId.parse(text), len(placement)) == vector["rank"], text
    for name, vector in recorded["names"].items():
        assert placement.rank_name(name.encode(), len(placement)) == vector["rank"], name


@given(candidates=meshes(), key=st.binary(max_size=80), count=st.integers(0, 25))
def test_it_agrees_with_the_plain_function(
    candidates: list[Candidate], key: bytes, count: int
) -> None:
    expected = plain_rank(candidates, plain_hash(key), count)
    assert Placement(candidates).rank_name(key, count) == expected


@given(
    candidates=meshes(), keys=st.lists(st.binary(max_size=40), max_size=5), count=st.integers(0, 25)
)
def test_many_keys_are_ranked_as_each_alone(
    candidates: list[Candidate], keys: list[bytes], count: int
) -> None:
    placement = Placement(candidates)
    hashes = np.array([hash64(key) for key in keys], dtype=np.uint64)
    ranked = placement.rank_many(hashes, count)
    names = [[placement.store_ids[number] for number in row] for row in ranked.tolist()]
    assert names == [placement.rank_name(key, count) for key in keys]


@given(candidates=meshes(), seed=st.integers(0, 1000))
def test_the_order_of_the_candidates_is_of_no_matter(
    candidates: list[Candidate], seed: int
) -> None:
    shuffled = random.Random(seed).sample(candidates, len(candidates))
    assert Placement(candidates).rank(block(1), 20) == Placement(shuffled).rank(block(1), 20)


@given(candidates=meshes(), more=st.integers(1, 20))
def test_fewer_owners_are_the_first_of_more(candidates: list[Candidate], more: int) -> None:
    placement = Placement(candidates)
    assert placement.rank(block(2), more) == placement.rank(block(2), 25)[:more]


@given(candidates=meshes(), number=st.integers(0, 1000), count=st.integers(0, 25))
def test_a_block_is_ranked_by_its_key(candidates: list[Candidate], number: int, count: int) -> None:
    expected = plain_rank(candidates, plain_block_key(block(number)), count)
    assert Placement(candidates).rank(block(number), count) == expected


@given(
    versions=st.lists(st.binary(min_size=32, max_size=32), max_size=5),
    block_size=st.integers(1, 10**14),
    index=st.integers(0, 10**11),
)
def test_keys_of_many_blocks_are_those_of_each(
    versions: list[bytes], block_size: int, index: int
) -> None:
    heads = np.array([int.from_bytes(one[:8], "little") for one in versions], dtype=np.uint64)
    indexes = np.arange(index, index + len(versions), dtype=np.uint64)
    each = [block_key(BlockId(one, block_size, index + n)) for n, one in enumerate(versions)]
    assert block_keys(heads, block_size, indexes).tolist() == each


def test_without_candidates_nobody_owns_anything() -> None:
    assert Placement([]).rank(block(1), 3) == []


@pytest.mark.parametrize("weight", [0.0, -1.0, math.inf, math.nan])
def test_a_weight_that_is_none_owns_nothing(weight: float) -> None:
    placement = Placement([*mesh(2), Candidate("f" * 32, weight)])
    assert len(placement) == 2
    assert "f" * 32 not in placement.rank(block(1), 3)


def test_two_candidates_of_one_store_id_count_as_one() -> None:
    twice = [*mesh(3), Candidate(f"{0:032x}", 5e11, "elsewhere")]
    placement = Placement(twice)
    assert len(placement) == 3
    assert placement.rank(block(1), 9) == Placement(twice[::-1]).rank(block(1), 9)


def test_equal_scores_are_ranked_by_store_id() -> None:
    # The least weight there is: most scores round to the same few values.
    light = [Candidate(f"{n:032x}", 5e-324) for n in (3, 1, 2)]
    placement = Placement(light)
    ties = 0
    for number in range(1000):
        key = str(block(number)).encode()
        scores = placement._scores(plain_hash(key)).tolist()
        if len(set(scores)) == 1:
            ties += 1
            assert placement.rank_name(key, 3) == [f"{n:032x}" for n in (1, 2, 3)]
        assert placement.rank_name(key, 3) == plain_rank(light, plain_hash(key), 3)
    assert ties > 5


def test_blocks_are_spread_evenly() -> None:
    members, blocks = 20, 20_000
    placement = Placement(mesh(members))
    counts = Counter(placement.rank(block(n), 1)[0] for n in range(blocks))
    expected = blocks / members
    chi_squared = sum((counts[c.store_id] - expected) ** 2 / expected for c in mesh(members))
    assert chi_squared < 43.8  # 19 degrees of freedom: one fair spread in a thousand is above


def test_neighbouring_blocks_of_one_file_are_spread_evenly() -> None:
    members, blocks = 10, 10_000
    placement = Placement(mesh(members))
    version = bytes(range(32))
    ids = (BlockId(version, 4 << 20, index) for index in range(blocks))
    counts = Counter(placement.rank(block_id, 1)[0] for block_id in ids)
    expected = blocks / members
    chi_squared = sum((counts[c.store_id] - expected) ** 2 / expected for c in mesh(members))
    assert chi_squared < 27.9  # 9 degrees of freedom, one in a thousand


def test_blocks_are_owned_in_proportion_to_weight() -> None:
    weights = [1.0, 2.0, 3.0, 10.0]
    candidates = [Candidate(f"{n:032x}", weight) for n, weight in enumerate(weights)]
    placement = Placement(candidates)
    counts = Counter(placement.rank(block(n), 1)[0] for n in range(16_000))
    for candidate in candidates:
        expected = 16_000 * candidate.weight / sum(weights)
        assert abs(counts[candidate.store_id] - expected) < 4 * math.sqrt(expected)


def test_a_joiner_only_takes_and_a_leaver_only_gives() -> None:
    candidates = mesh(12)
    before, after = Placement(candidates[:-1]), Placement(candidates)
    joiner = candidates[-1].store_id
    moved = 0
    for number in range(3000):
        old, new = before.rank(block(number), 11), after.rank(block(number), 12)
        assert [store_id for store_id in new if store_id != joiner] == old
        moved += new[0] == joiner
    assert abs(moved - 250) < 4 * math.sqrt(250)


def test_more_weight_only_takes() -> None:
    light = mesh(8)
    heavy = [Candidate(light[0].store_id, 2e12, light[0].zone), *light[1:]]
    before, after = Placement(light), Placement(heavy)
    for number in range(1000):
        old, new = before.rank(block(number), 1), after.rank(block(number), 1)
        assert new in (old, [light[0].store_id])


def test_owners_are_in_distinct_zones_first() -> None:
    candidates = mesh(12, zones=3)
    zone_of = {candidate.store_id: candidate.zone for candidate in candidates}
    placement = Placement(candidates)
    for number in range(200):
        ranked = placement.rank(block(number), 12)
        assert len({zone_of[store_id] for store_id in ranked[:3]}) == 3
        assert sorted(ranked) == sorted(zone_of)
        # The first owner is the one without regard to zones: zones only spread the copies.
        alone = Placement([Candidate(c.store_id, c.weight) for c in candidates])
        assert ranked[0] == alone.rank(block(number), 1)[0]


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(make_vectors(), indent=1) + "\n")
