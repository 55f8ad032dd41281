"""The process that goes on in the background keeps nothing of who started the command."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

GO_ON = """
import os, signal, sys
from pathlib import Path
from meshcache.agent.cli import background
went = background.go_on(Path(sys.argv[1]))
if isinstance(went, background.Waited):
    sys.exit(went.code)
print(os.getpid(), file=sys.stderr, flush=True)
os.write(went, background.READY)
os.close(went)
signal.pause()
"""


def test_a_pipe_that_was_handed_down_ends_when_the_command_has_returned(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ours, handed_down = os.pipe()
    try:
        subprocess.run(
            [sys.executable, "-P", "-c", GO_ON, str(log)],
            pass_fds=[handed_down],
            timeout=30,
            check=True,
        )
        os.close(handed_down)
        assert select.select([ours], [], [], 10)[0] == [ours]
        assert os.read(ours, 1) == b""
        os.kill(int(log.read_text()), 0)  # it goes on all the same
    finally:
        os.close(ours)
        if log.exists():
            os.kill(int(log.read_text()), signal.SIGKILL)
