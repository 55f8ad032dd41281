"""A real S3 server for tests and benchmarks: SeaweedFS, from PyPI, on free loopback ports.

What was seen of SeaweedFS 4.48: it is up in about 2.2 s with ``-master.peers=none`` (3.2 s without,
for it waits to be elected); If-Match and Range are right, alone and together; a missing bucket is
404 NoSuchBucket and wrong keys 403. It is no plain key space: keys are paths, so ``//d`` becomes
``d``, ``q//r`` becomes ``q/r``, and a key with a ``..`` part is refused. A first write to a bucket
makes volumes; ``COPY_1=1`` makes one for it instead of seven.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_WITHIN = 60.0
"""Seconds. Two busy cores and a cold page cache are slow; a healthy start takes 2 to 3."""

_PORTS = ("master", "volume", "filer", "s3")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Seaweed:
    """One server in a process group of its own, with its data in a folder that `stop` removes.

    Its methods block. A context manager: started on entry, stopped on exit.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Prepare; `folder` holds data and log and is removed by `stop` (default: a new one)."""
        self.access_key = "test-access-key"
        self.secret_key = "test-secret-key-" + secrets.token_hex(8)
        self.folder = folder or Path(tempfile.mkdtemp(prefix="seaweed-"))
        self.log = self.folder / "weed.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._s3: Any = None
        self._port = 0
        self._ports: list[int] = []

    @property
    def endpoint(self) -> str:
        """``http://127.0.0.1:PORT`` of the S3 API; known once started."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def filer(self) -> str:
        """``host:port.grpc_port`` of the filer, as ``weed mount`` takes it; known once started."""
        place = _PORTS.index("filer")
        return f"127.0.0.1:{self._ports[place]}.{self._ports[place + len(_PORTS)]}"

    def start(self) -> None:
        """Start, and wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in a minute; with the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self._command()
        environment = {
            "HOME": str(self.folder),
            "PATH": os.environ.get("PATH", ""),
            "TMPDIR": str(self.folder),
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
            self._s3 = self._client()
        except BaseException:
            self.stop(keep=True)
            raise

    def _command(self) -> list[str]:
        # A grpc port of its own for each: the default is port + 10000, which may be taken.
        self._ports = ports = free_ports(2 * len(_PORTS))
        self._port = ports[_PORTS.index("s3")]
        flags = [
            f"-{name}.port{suffix}={port}"
            for (name, suffix), port in zip(
                [(name, suffix) for suffix in ("", ".grpc") for name in _PORTS], ports, strict=True
            )
        ]
        identity = {
            "name": "test",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        public = {"name": "anonymous", "actions": ["Read:public", "List:public"]}
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity, public]}))
        weed = Path(sys.executable).with_name("weed")
        # Should this process be killed, the kernel ends the server with it.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        return [
            *guard,
            str(weed) if weed.exists() else "weed",
            f"-logdir={self.folder}",
            "server",
            f"-dir={self.folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *flags,
            "-filer",
            "-s3",
            f"-s3.config={config}",
            f"-s3.localSocket={self.folder}/s3.sock",
            f"-filer.localSocket={self.folder}/filer.sock",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.peers=none",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=256",
            "-volume.max=1000",
            "-volume.preStopSeconds=0",
        ]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_WITHIN
        while True:
            assert self._process is not None
            if (code := self._process.poll()) is not None:
                raise RuntimeError(f"SeaweedFS ended with {code}: {self._log_end()}")
            try:
                urllib.request.urlopen(self.endpoint, timeout=2).close()
                return
            except urllib.error.HTTPError as answer:  # 403: it wants a signature, so it is up
                answer.close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"SeaweedFS is not up: {self._log_end()}") from None
                time.sleep(0.05)

    def _log_end(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def _client(self) -> Any:
        import botocore.session
        from botocore.config import Config

        return botocore.session.Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )

    def stop(self, *, keep: bool = False) -> None:
        """Kill the process group and remove the folder, unless `keep`. Idempotent."""
        if self._s3 is not None:
            self._s3.close()
            self._s3 = None
        if self._process is not None:
            # Nothing in it is to be kept, so it need not end gently (that takes 10 s and more).
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        for port in self._ports:  # it puts sockets there whatever its flags and TMPDIR say
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def pause(self) -> None:
        """SIGSTOP: the server takes connections and answers nothing, until `resume`."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def make_bucket(self, name: str | None = None) -> str:
        """Make a bucket and say its name; a new random name by default.

        Everybody may read and list the bucket ``public`` without keys.
        """
        bucket = name or f"b-{secrets.token_hex(6)}"
        self._s3.create_bucket(Bucket=bucket)
        return bucket

    def delete_bucket(self, name: str) -> None:
        """Delete a bucket and all that is in it (SeaweedFS does)."""
        self._s3.delete_bucket(Bucket=name)

    def put(self, bucket: str, key: str, data: bytes | bytearray | memoryview) -> str:
        """Write an object, and give its ETag without quotes."""
        answer = self._s3.put_object(Bucket=bucket, Key=key, Body=bytes(data))
        return str(answer["ETag"]).strip('"')

    def put_multipart(self, bucket: str, key: str, data: bytes, part_size: int = 8 << 20) -> str:
        """Write an object in parts, as large uploads are; its ETag is no MD5 of the whole."""
        place = {"Bucket": bucket, "Key": key}
        upload = {**place, "UploadId": self._s3.create_multipart_upload(**place)["UploadId"]}
        parts = []
        for number, start in enumerate(range(0, len(data), part_size), 1):
            part = self._s3.upload_part(
                **upload, PartNumber=number, Body=data[start : start + part_size]
            )
            parts.append({"ETag": part["ETag"], "PartNumber": number})
        answer = self._s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        return str(answer["ETag"]).strip('"')

    def get(self, bucket: str, key: str) -> bytes:
        """A whole object."""
        body = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
        with body:
            return bytes(body.read())

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that is not there is none the less deleted."""
        self._s3.delete_object(Bucket=bucket, Key=key)

    def keys(self, bucket: str) -> Iterator[str]:
        """All keys of a bucket."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", ()):
                yield item["Key"]
