"""The FUSE device in the keeper's hands: what it does there without libfuse.

A request that a worker had read when it died is in no queue any more. Since Linux 6.9 the kernel
puts all such requests back at a word (FUSE_NOTIFY_RESEND), for the next worker to read; every
worker then reads from the keeper's own open file. Before 6.9 a worker gets an open file of its own
(FUSE_DEV_IOC_CLONE): when it dies, the kernel fails what it had read, with ECONNABORTED, and
nothing else; on the keeper's own file it would wait for ever.

Sources: linux/fuse.h (FUSE_HAS_RESEND, fuse_notify_code, struct fuse_in_header, fuse_out_header);
fs/fuse/dev.c (fuse_resend, fuse_dev_release, fuse_device_clone).
"""

import errno
import fcntl
import os
import select
import struct

from meshcache.errors import EnvironmentUnfit
from meshcache.fuse.handshake import READ_BUFFER, is_init, resends
from meshcache.fuse.rawrequest import RawRequest, failure, parse

_NOTIFY_RESEND = 7
_NOTIFY = struct.Struct("=IiQ")
_CLONE = 0x8004E500
"""FUSE_DEV_IOC_CLONE: _IOR(229, 0, uint32_t)."""

_DEVICE = "/dev/fuse"


class Kernel:
    """The kernel's end of one mount."""

    def __init__(self, device: int, *, resend: bool = True) -> None:
        """Take over a mounted device that nothing was read from yet, and read FUSE_INIT.

        Args:
            resend: False makes no use of FUSE_NOTIFY_RESEND, as if the kernel had none.

        Raises:
            EnvironmentUnfit: the device is not mounted, or somebody has read from it.
        """
        self.device = device
        self._poll = select.poll()
        self._poll.register(device, 0)
        # Between poll and read a request may be taken back, for its asker was killed. Whoever
        # reads then must not wait for the next one: there may be none.
        os.set_blocking(device, False)
        self.init = self._first_request()
        self.resends = resend and resends(self.init)
        """Whether what a dead worker had read comes again."""

    def _first_request(self) -> bytes:
        try:
            request = os.read(self.device, READ_BUFFER)
        except BlockingIOError:
            request = b""  # FUSE_INIT waits from the mount's first moment
        except OSError as error:
            # EPERM: it was opened and not mounted. ENODEV: it was unmounted meanwhile.
            raise EnvironmentUnfit(f"the device is not mounted: {error.strerror}") from error
        if is_init(request):
            return request
        if request and (parsed := parse(request)).wants_answer:
            self.fail(parsed.unique, errno.EIO)
        raise EnvironmentUnfit(
            "the device was served before: the kernel begins with FUSE_INIT once, so mount anew"
        )

    @property
    def ended(self) -> bool:
        """Whether the file system was unmounted, or the connection aborted."""
        return bool(self._poll.poll(0))

    def answer_init(self, answer: bytes) -> None:
        """Answer FUSE_INIT; from then on the kernel sends requests."""
        os.write(self.device, answer)

    def open_for_worker(self) -> int:
        """A descriptor of the device for a worker, which the caller closes.

        Raises:
            OSError: a worker needs an open file of its own, and there is no way to one.
        """
        if self.resends:
            return os.dup(self.device)
        own = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.ioctl(own, _CLONE, struct.pack("=I", self.device))
        except OSError:
            os.close(own)
            raise
        return own

    def resend(self) -> None:
        """Have the kernel put back what was read and not answered, if it can. To be called when no
        worker reads: what a living one has read comes again, too."""
        if self.resends:
            self._write(_NOTIFY.pack(_NOTIFY.size, _NOTIFY_RESEND, 0))

    def take(self) -> list[RawRequest]:
        """Read all requests that wait."""
        requests: list[RawRequest] = []
        buffer = memoryview(bytearray(READ_BUFFER))
        while True:
            try:
                length = os.readv(self.device, [buffer])
            except (BlockingIOError, InterruptedError):
                return requests
            except OSError as error:
                if error.errno == errno.ENOENT:
                    continue  # it was taken back while it was read
                if error.errno == errno.ENODEV:
                    return requests  # unmounted
                raise
            requests.append(parse(buffer[:length]))

    def fail(self, unique: int, number: int) -> bool:
        """Answer a request that was read, by whomever, with this errno. False if it is in nobody's
        hands: answered, not read yet, or its asker was killed."""
        return self._write(failure(unique, number))

    def _write(self, data: bytes) -> bool:
        try:
            os.write(self.device, data)
        except OSError as error:
            # ENODEV: all was unmounted, and nobody waits any more.
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            return False
        return True

    def close(self) -> None:
        """Let the device go. The last one to do so has the kernel fail all that still waits."""
        os.close(self.device)
