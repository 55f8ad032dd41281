"""What stands in the snapshot is what a mount shows and reads, byte for byte."""

import random

import pytest

from meshcache.units import MIB
from tests.fuse.conftest import Mount
from tests.fuse.mounts import outside

pytestmark = pytest.mark.fuse

HASH = """
import hashlib
for path in sys.argv[1:]:
    with open(path, 'rb') as file:
        print(hashlib.sha256(file.read()).hexdigest())
"""


def test_files_read_as_they_are(mount: Mount) -> None:
    rng = random.Random(1)
    sizes = (0, 1, 4096, MIB - 1, MIB, MIB + 1, 5 * MIB + 7)
    files = {f"dir/{size}.bin": rng.randbytes(size) for size in sizes}
    _, keeping = mount(files)
    for path, data in files.items():
        code = "data = open(sys.argv[1], 'rb').read(); import hashlib; print(len(data), hashlib.sha256(data).hexdigest())"
        import hashlib

        read = outside(code, keeping.mountpoint / path)
        assert read == f"{len(data)} {hashlib.sha256(data).hexdigest()}"
