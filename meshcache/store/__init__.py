"""The blocks a node keeps on disk.

The folder is the index: each block is one file that carries its own name and checksums, so there
is no database that could disagree with it. What keeps the invariants:

- A block is written as a draft under ``tmp/``, hashed, and published by one rename: whatever
  moment a kill -9 comes, ``blocks/`` has whole blocks only. After a power cut it may not, so a
  block that this process did not write is read and checked before it is lent the first time.
- Space is made before the first byte is written. A block is filled in memory and written in one go,
  unless it is longer than most (`drafts`): a mapping's pages would cost more than all else is done.
  `ledger` counts every byte until nothing refers to it: drafts, listed blocks, and blocks that are
  gone from the folder while somebody still has their descriptor or their mapping.
- No file is ever truncated or written again once it is published, so a mapping never gives SIGBUS
  and never changes, and evicting a block (unlink) harms no reader.

A `Store`, its drafts and its loans belong to one event loop's thread; only `Store.open` is
blocking. Between two awaits the folder and the ledger agree.
"""

from meshcache.store.draft import Draft
from meshcache.store.held import Held, Pin
from meshcache.store.memory import memory_draft
from meshcache.store.store import Store

__all__ = ["Draft", "Held", "Pin", "Store", "memory_draft"]
