"""The limit of open files: libzmq spins or aborts when they run out (pyzmq issues 234, 1642)."""

import resource

from meshcache.gossip.errors import DescriptorsTooFew

LINKS = 64
"""Links that a member may have at the same time in trouble; about ten in quiet. Leaves come on
top, and are limited by the host itself."""
NEEDED = 4 * LINKS
WANTED = 4096


def check_descriptors() -> None:
    """Raise the soft limit of open files if it is low.

    Raises:
        DescriptorsTooFew: fewer than 256, and the hard limit does not allow more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < WANTED:
        more = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
        if more > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    if soft != resource.RLIM_INFINITY and soft < NEEDED:
        raise DescriptorsTooFew(
            f"this process may open {soft} files and gossip needs {NEEDED}: raise `ulimit -n`"
        )
