"""Taking from a process all that a mount's worker has no need of.

A worker parses what the kernel and the agent send, and is given every file that it needs as a
descriptor. So it can do without a file system, a network, capabilities, and the user that it began
as; if its code were ever turned against its node, there would be little that it could do. Each step
is taken where it is possible; what remains impossible is said, not an error.

Sources: landlock(7), capabilities(7), prctl(2), unshare(2), and `Documentation/userspace-api/
landlock.rst` of Linux for the numbers below. A seccomp filter is left out: no kept library makes
one, and what it would add to the rest is small.
"""

import contextlib
import ctypes
import os
import pwd
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)

OWN_UIDS = range(61184, 65520)
"""User ids that systemd gives to services which have none of their own (`DynamicUser=`): no person
and no file belongs to them."""

_CLONE_NEWNET = 0x40000000
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_CAP_KILL, _CAP_SETGID, _CAP_SETUID, _CAP_SETPCAP = 5, 6, 7, 8
_CAP_SYS_CHROOT, _CAP_SYS_ADMIN = 18, 21

_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_FS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Version of Landlock -> every way of using a file by its path that it can forbid."""
_LANDLOCK_TCP = {4: 0b11}
"""Listening and connecting."""
_LANDLOCK_SCOPES = {6: 0b11}
"""Abstract Unix sockets of others, and signals to others."""


class Sandbox(NamedTuple):
    """What a process was confined to."""

    taken: tuple[str, ...]
    """The steps that were taken, by name."""
    missed: tuple[str, ...]
    """The steps that were not: the process lacks the capability, or the kernel the means."""

    @property
    def sees_files(self) -> bool:
        """Whether paths still lead anywhere."""
        return not {"landlock", "chroot"} & set(self.taken)


def enter(uid: int) -> Sandbox:
    """Confine the calling process, and all that it forks. It must have one thread.

    Args:
        uid: user and group to become, where that is allowed; see `own_uid`.
    """
    capable = _capabilities()
    taken, missed = [], []
    for step in _STEPS:
        try:
            if step.needs & ~capable:
                raise PermissionError(f"{step.name} is not allowed")
            step.take(uid)
        except OSError:
            missed.append(step.name)
        else:
            taken.append(step.name)
    return Sandbox(tuple(taken), tuple(missed))


def own_uid(number: int) -> int:
    """A user id that nobody on this node has by name, the same for the same `number`."""
    size = len(OWN_UIDS)
    for offset in range(size):
        uid = OWN_UIDS[(number + offset) % size]
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid
    return OWN_UIDS[number % size]


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# --- the steps ------------------------------------------------------------------------------------


def _leave_network(_uid: int) -> None:
    """Into a network of its own, without an address or a way out."""
    _check(_libc.unshare(_CLONE_NEWNET))


def _close_root(_uid: int) -> None:
    """Make an empty directory the root, which is removed at once: nothing can be put there."""
    path = Path(tempfile.mkdtemp(prefix="meshcache-"))
    root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    here = os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        path.rmdir()
        os.fchdir(root)
        try:
            os.chroot(".")
        except OSError:
            os.fchdir(here)
            raise
    finally:
        os.close(here)
        os.close(root)


def _bound(_uid: int) -> None:
    """Nothing that it might execute could have a capability."""
    capability = 0
    with contextlib.suppress(OSError):  # EINVAL behind the last one that the kernel knows
        while True:
            _check(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
            capability += 1
    if not capability:
        raise PermissionError("no capability could be dropped")


def _change_user(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def _drop_capabilities(_uid: int) -> None:
    header = _CapHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice, for 64 of them
    _check(_libc.capset(ctypes.byref(header), none))


def _gain_nothing(_uid: int) -> None:
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def _landlock(_uid: int) -> None:
    """Forbid everything that the kernel's Landlock can forbid. Open files stay usable."""
    asked = _LANDLOCK_CREATE_RULESET_VERSION
    version = _check(_libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), asked))
    rules = _Ruleset(
        *(
            max((bits for since, bits in table.items() if since <= version), default=0)
            for table in (_LANDLOCK_FS, _LANDLOCK_TCP, _LANDLOCK_SCOPES)
        )
    )
    size = ctypes.c_size_t(ctypes.sizeof(rules))
    file = _check(_libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(rules), size, 0))
    try:
        _check(_libc.syscall(_LANDLOCK_RESTRICT_SELF, file, 0))
    finally:
        os.close(file)


def _hide_memory(_uid: int) -> None:
    """Nobody of the same user may look into it, and it leaves no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


class _Step(NamedTuple):
    name: str
    take: Callable[[int], None]
    needs: int = 0
    """Capabilities, as bits."""


_STEPS = (
    _Step("network", _leave_network, 1 << _CAP_SYS_ADMIN),
    _Step("chroot", _close_root, 1 << _CAP_SYS_CHROOT),
    _Step("bounding", _bound, 1 << _CAP_SETPCAP),
    # CAP_KILL: the keeper has what this process has now, and must be able to end it afterwards.
    _Step("user", _change_user, 1 << _CAP_SETUID | 1 << _CAP_SETGID | 1 << _CAP_KILL),
    _Step("capabilities", _drop_capabilities),
    _Step("no-new-privileges", _gain_nothing),
    _Step("landlock", _landlock),
    _Step("memory", _hide_memory),
)
"""In this order: each needs what a later one takes away."""
