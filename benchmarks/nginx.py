"""nginx as the yardstick of serving files: one worker, sendfile, from memory."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.mesh import guarded
from meshcache.errors import EnvironmentUnfit
from tests.support.seaweed import free_ports

_WITHIN = 10.0

_CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log; user root;
events {{ worker_connections 256; }}
http {{
  sendfile on; tcp_nopush on; access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@asynccontextmanager
async def nginx(root: Path, folder: Path) -> AsyncIterator[tuple[int, int]]:
    """(port, process id) of one that serves the files of `root`; `folder` is for its own.

    Raises:
        EnvironmentUnfit: there is none, or it does not start.
    """
    command = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(command).exists():
        raise EnvironmentUnfit("this needs nginx: apt-get install nginx-light")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_ports(1)[0]
    file = folder / "nginx.conf"
    file.write_text(_CONFIGURATION.format(folder=folder, root=root, port=port))
    process = await asyncio.create_subprocess_exec(
        *guarded(command, "-c", str(file), "-e", str(folder / "log")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await _listening(port, folder)
        yield port, process.pid
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int, folder: Path) -> None:
    try:
        async with asyncio.timeout(_WITHIN):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return
    except TimeoutError:
        said = (folder / "log").read_text(errors="replace")[-300:]
        raise EnvironmentUnfit(f"nginx did not start: {said}") from None


async def version() -> str:
    """Of what `nginx` is."""
    process = await asyncio.create_subprocess_exec(
        shutil.which("nginx") or "/usr/sbin/nginx", "-v", stderr=subprocess.PIPE
    )
    _, said = await process.communicate()
    return said.decode(errors="replace").strip().rpartition("/")[2]
