"""What workers may keep mapped: equal shares, told again when somebody comes or goes."""

from contextlib import ExitStack
from typing import cast

from meshcache.agent.mounts.allowance import MAX_BYTES, Allowance
from meshcache.fuse.door import Door
from meshcache.units import GIB


class Told:
    """A door that notes its share when it is to tell it to its worker."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self.bytes = self.blocks = 0

    def agree(self) -> None:
        self.bytes, self.blocks = self._allowance.bytes, self._allowance.blocks


def test_doors_share_alike_and_are_told_when_that_changes() -> None:
    allowance = Allowance(4 * GIB)
    one, two = Told(allowance), Told(allowance)
    with ExitStack() as served:
        served.enter_context(allowance.share(cast("Door", one)))
        assert one.bytes == 3 * GIB
        all_blocks = one.blocks
        assert all_blocks > 0
        with allowance.share(cast("Door", two)):
            assert one.bytes == two.bytes == 3 * GIB // 2
            assert one.blocks == two.blocks == all_blocks // 2
        assert one.bytes == 3 * GIB
        assert two.bytes == 3 * GIB // 2  # of one that serves no more, nobody is told


def test_a_large_store_is_not_all_mapped() -> None:
    assert Allowance(1000 * GIB).bytes == MAX_BYTES
