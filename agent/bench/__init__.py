"""What `meshcache bench` does: reads a dataset's files through an agent and through a mount.

`choice` picks the files, `passes` reads them and tells how fast that was and where the bytes came
from.
"""
