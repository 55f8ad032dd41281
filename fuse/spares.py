"""The worker that waits to take over, and the template that it was forked from.

A spare has answered FUSE_INIT. If its answer is another one than the kernel was told, it would
speak another protocol, and is refused.

For an upgrade a second template is started, of the program as it is installed now, and the next
spare comes from it. Until that has taken over, the template before is kept: if the new one is of no
use, the next spare comes from the old one again.
"""

from collections.abc import Callable

import structlog

from meshcache.errors import EnvironmentUnfit
from meshcache.fuse.kernel import Kernel
from meshcache.fuse.messages import Serve
from meshcache.fuse.poll import Poll
from meshcache.fuse.process import Template, WorkerProcess, how

log = structlog.get_logger("meshcache.fuse.keeper")

START = 60.0
"""Seconds that a worker has from its start until it could answer."""

BORN = 10.0
"""Seconds of these that it has once the template has forked it."""


class Spares:
    """Makes workers, one ahead."""

    def __init__(
        self,
        poll: Poll,
        terms: Serve,
        *,
        on_message: Callable[[WorkerProcess], None],
        on_failed: Callable[[str], None],
    ) -> None:
        """`on_message` is called when a worker has something to say, or has ended; `on_failed` when
        there will be no spare from this attempt, with the reason in words."""
        self._poll = poll
        self._terms = terms
        self._on_message = on_message
        self._on_failed = on_failed
        self._kernel: Kernel | None = None
        self._accepted = b""
        self._former: Template | None = None
        self._template = self._start()
        self._spare: WorkerProcess | None = None
        self._until = 0.0
        self._is_born = False
        self.ready = False
        """Whether another worker could take over at once."""
        self.refused = 0
        """Workers whose answer to FUSE_INIT was another one than the kernel was told."""

    def fork(self) -> WorkerProcess:
        """A worker that nobody has introduced to the kernel."""
        worker = self._template.fork()
        self._poll.add(worker.control, lambda: self._on_message(worker))
        return worker

    def begin(self, kernel: Kernel, accepted: bytes) -> None:
        """Whose first request a spare has to answer, and the answer that was given."""
        self._kernel, self._accepted = kernel, accepted

    # --- the spare --------------------------------------------------------------------------

    def make(self, now: float) -> None:
        """Begin to make one, if there is none."""
        if self._spare is None and self._kernel is not None:
            spare = self._spare = self.fork()
            self._until, self._is_born = now + START, False
            self._poll.add(
                spare.introduce(self._kernel.init, self._terms), lambda: self._compare(spare)
            )

    def check(self, now: float) -> None:
        """Give up one that does not get ready."""
        if self._spare is None or self.ready:
            return
        if self._spare.pid and not self._is_born:
            self._is_born = True
            self._until = min(self._until, now + BORN)
        if now >= self._until:
            self._until = now + START
            log.error("a worker did not get ready", pid=self._spare.pid)
            self._spare.kill()
            if not self._spare.pid:
                self._template.kill()  # it does not even fork

    def take(self) -> WorkerProcess:
        """The one that is ready; it is none any more."""
        assert self._spare is not None
        assert self.ready
        spare, self._spare, self.ready = self._spare, None, False
        return spare

    def ended(self, worker: WorkerProcess) -> None:
        """A worker has ended: if it was the spare, another one is to be made."""
        if worker is self._spare:
            self._spare, self.ready = None, False
            self._on_failed("it ended before it was ready")

    def _compare(self, spare: WorkerProcess) -> None:
        assert spare.first is not None
        self._poll.drop(spare.first)
        try:
            answer = spare.first_answer()
        except EnvironmentUnfit as error:
            self._refuse(spare, str(error))
            return
        if answer != self._accepted:
            self.refused += 1
            self._refuse(spare, "it speaks another FUSE protocol than this mount: mount anew")
            return
        self.ready = True

    def _refuse(self, spare: WorkerProcess, why: str) -> None:
        log.error("a worker is refused", pid=spare.pid, why=why)
        self._on_failed(why)
        spare.kill()

    def _drop(self) -> None:
        if self._spare is not None:
            if self._spare.first is not None:
                self._poll.drop(self._spare.first)
            self._poll.drop(self._spare.control)
            self._spare.close()
            self._spare, self.ready = None, False

    # --- templates --------------------------------------------------------------------------

    @property
    def is_renewed(self) -> bool:
        """Whether there is a template before the present one."""
        return self._former is not None

    def renew(self) -> None:
        """Make the next spare from the program as it is installed now."""
        self._drop()
        self._former, self._template = self._template, self._start()

    def go_back(self) -> None:
        """Make the next spare from the template before."""
        if self._former is not None:
            self._drop()
            failed, self._template, self._former = self._template, self._former, None
            self._close(failed, at_once=True)

    def forget_former(self) -> None:
        """The template before, and the workers from it, are not needed any more."""
        if self._former is not None:
            former, self._former = self._former, None
            self._close(former, at_once=False)

    def _start(self) -> Template:
        template = Template(_report_end)
        self._poll.add(template.control, lambda: self._hear(template))
        return template

    def _hear(self, template: Template) -> None:
        if template.hear():
            return
        self._poll.drop(template.control)
        code = template.close()
        log.error("the template of workers died", how=how(code))
        if template is self._former:
            self._former = None
            return
        if self._former is None:
            self._template = self._start()
        self._on_failed(f"its program did not start ({how(code)})")

    def _close(self, template: Template, *, at_once: bool) -> None:
        self._poll.drop(template.control)
        template.close(at_once=at_once)

    def close(self, *, at_once: bool) -> None:
        """Leave no process behind; those that still start are not waited for if `at_once`."""
        self._drop()
        self.forget_former()
        self._close(self._template, at_once=at_once)


def _report_end(pid: int, code: int) -> None:
    if code:
        log.error("a worker's process ended", pid=pid, how=how(code))
