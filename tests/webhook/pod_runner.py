"""Runs a pod's containers by runc, in the kubelet's order: an emulation, not Kubernetes.

To be started in a mount namespace of its own (`unshare --mount`): ``pod_runner FOLDER`` reads
``FOLDER/pod.json`` and writes what containers print to ``FOLDER/NAME.log``. Init containers run in
order; one with restartPolicy Always is a native sidecar: it is kept running (started again when it
dies), and holds the next one back until its startupProbe succeeds. When the pod's other containers
have ended the sidecars get SIGTERM, in the opposite order. The exit code is the worst of theirs.

All containers see the machine's own root, read-only, and its network.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROBES_WITHIN = 60.0
ENDS_WITHIN = 10.0
_PROPAGATION = {"Bidirectional": "rshared", "HostToContainer": "rslave", "None": "rprivate"}


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30)


class Container:
    """One container of the pod."""

    def __init__(self, spec: dict[str, Any], pod: "Pod") -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self._pod = pod
        self._id = f"mc-{os.getpid()}-{self.name}"
        self._bundle = pod.folder
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # A new root each time, as a container runtime makes it: mounts of a dead container went
        # into its root, too.
        self._starts += 1
        self._bundle = self._pod.folder / "bundles" / f"{self.name}-{self._starts}"
        (self._bundle / "rootfs").mkdir(parents=True)
        run("mount", "--rbind", "/", str(self._bundle / "rootfs"))
        run("mount", "--make-rslave", str(self._bundle / "rootfs"))
        (self._bundle / "config.json").write_text(json.dumps(self._config()))
        with (self._pod.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["runc", "run", "--bundle", str(self._bundle), self._id], stdout=log, stderr=log
            )

    def _config(self) -> dict[str, Any]:
        spec, pod = self.spec, self._pod
        security = pod.spec.get("securityContext", {}) | spec.get("securityContext", {})
        subprocess.run(["runc", "spec"], cwd=self._bundle, check=True)
        config: dict[str, Any] = json.loads((self._bundle / "config.json").read_text())
        config.pop("hostname", None)  # it takes a namespace of its own
        process = config["process"]
        process["terminal"] = False
        process["args"] = [*spec.get("command", pod.entrypoint), *spec.get("args", [])]
        process["env"] = [f"PATH={os.environ['PATH']}", "TMPDIR=/run", *self._environment()]
        process["cwd"] = str(Path.cwd())
        user = security.get("runAsUser", 0)
        process["user"] = {"uid": user, "gid": security.get("runAsGroup", user)}
        for left_out in ("rlimits", "oomScoreAdj"):  # they take CAP_SYS_RESOURCE
            process.pop(left_out, None)
        config["root"] = {"path": "rootfs", "readonly": True}
        privileged = security.get("privileged", False)
        capabilities = _all_capabilities() if privileged else []
        process["capabilities"] = dict.fromkeys(
            ("bounding", "effective", "permitted"), capabilities
        )
        process["noNewPrivileges"] = not privileged
        linux = config["linux"]
        linux["namespaces"] = [pod.pids, {"type": "ipc"}, {"type": "mount"}]
        linux["resources"] = {"devices": [{"allow": privileged, "access": "rwm"}]}
        linux["maskedPaths"] = linux["readonlyPaths"] = []
        if privileged:
            linux["rootfsPropagation"] = "rshared"
            linux["devices"] = [
                {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}
            ]
        config["mounts"] = [
            *(one for one in config["mounts"] if one["type"] not in ("cgroup", "sysfs")),
            {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["rw"]},
            *self._mounts(),
        ]
        return config

    def _environment(self) -> list[str]:
        given = [one for one in self.spec.get("env", ()) if "value" in one]
        return [f"{one['name']}={one['value']}" for one in given]

    def _mounts(self) -> list[dict[str, Any]]:
        return [
            {
                "destination": mount["mountPath"],
                "type": "bind",
                "source": str(self._pod.volumes / mount["name"]),
                "options": [
                    "rbind",
                    _PROPAGATION[mount.get("mountPropagation", "None")],
                    "ro" if mount.get("readOnly") else "rw",
                ],
            }
            for mount in self.spec.get("volumeMounts", ())
            if (self._pod.volumes / mount["name"]).exists()
        ]

    def is_ready(self) -> bool:
        """Whether its startupProbe succeeds now."""
        command = self.spec["startupProbe"]["exec"]["command"]
        probe = ["runc", "exec", self._id, *command]
        return subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode == 0

    def poll(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    def wait(self, within: float) -> int:
        assert self._process is not None
        return self._process.wait(within)

    def signal(self, name: str) -> None:
        subprocess.run(["runc", "kill", self._id, name], check=False, capture_output=True)

    def clear(self) -> None:
        subprocess.run(["runc", "delete", "--force", self._id], check=False, capture_output=True)


class Pod:
    """All of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec: dict[str, Any] = json.loads((folder / "pod.json").read_text())["spec"]
        self.entrypoint = json.loads((folder / "entrypoint.json").read_text())
        self.volumes = folder / "volumes"
        self.volumes.mkdir()
        run("mount", "-t", "tmpfs", "volumes", str(self.volumes))
        run("mount", "--make-rshared", str(self.volumes))
        for volume in self.spec["volumes"]:
            if "emptyDir" in volume:
                folder = self.volumes / volume["name"]
                folder.mkdir()
                if volume["emptyDir"].get("medium") == "Memory":
                    run("mount", "-t", "tmpfs", "memory", str(folder))
                folder.chmod(0o777)
        self.pids = {"type": "pid"}
        self._pause: subprocess.Popen[bytes] | None = None
        if self.spec.get("shareProcessNamespace"):
            self._pause = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--kill-child", "sleep", "infinity"]
            )
            pause = Path(f"/proc/{self._pause.pid}")
            while not (pause / f"task/{self._pause.pid}/children").read_text():
                time.sleep(0.01)
            self.pids |= {"path": str(pause / "ns/pid_for_children")}
        self.sidecars: list[Container] = []
        self.restarts = 3

    def run(self) -> int:
        apps = [Container(spec, self) for spec in self.spec["containers"]]
        try:
            for spec in self.spec.get("initContainers", ()):
                self._init(Container(spec, self))
            for app in apps:
                app.start()
            while any(app.poll() is None for app in apps):
                self._keep()
                time.sleep(0.05)
            return max(app.wait(1) for app in apps)
        finally:
            for app in apps:
                app.clear()
            self._end()
            if self._pause is not None:
                self._pause.kill()  # by which its child ends, too
                self._pause.wait()

    def _init(self, container: Container) -> None:
        container.start()
        if container.spec.get("restartPolicy") != "Always":
            code = container.wait(PROBES_WITHIN)
            container.clear()
            if code:
                raise SystemExit(f"init container {container.name} ended with {code}")
            return
        self.sidecars.append(container)
        deadline = time.monotonic() + PROBES_WITHIN
        while not container.is_ready():
            if time.monotonic() > deadline:
                raise SystemExit(f"sidecar {container.name} did not get ready")
            self._keep()
            time.sleep(0.1)

    def _keep(self) -> None:
        """Start what died again, as the kubelet does; and kill what the test wants dead."""
        for sidecar in self.sidecars:
            order = self.folder / f"kill-{sidecar.name}"
            if order.exists():
                order.unlink()
                sidecar.signal("KILL")
                sidecar.wait(ENDS_WITHIN)
            if sidecar.poll() is not None:
                if not self.restarts:
                    raise SystemExit(f"sidecar {sidecar.name} dies again and again")
                self.restarts -= 1
                sidecar.clear()
                sidecar.start()

    def _end(self) -> None:
        ends = {}
        for sidecar in reversed(self.sidecars):
            began = time.monotonic()
            sidecar.signal("TERM")
            try:
                code = sidecar.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                code = -1
            ends[sidecar.name] = {"code": code, "seconds": time.monotonic() - began}
            sidecar.clear()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        below = [line for line in mounts if f" {self.volumes}/" in line]
        left = [line for line in below if not line.endswith(" - tmpfs memory rw")]
        (self.folder / "end.json").write_text(json.dumps({"sidecars": ends, "mounts": left}))


def _all_capabilities() -> list[str]:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    text = Path("/proc/self/status").read_text()
    bounding = int(next(x for x in text.splitlines() if x.startswith("CapBnd")).split()[1], 16)
    return [name for bit, name in enumerate(_CAPABILITIES[: last + 1]) if bounding >> bit & 1]


_CAPABILITIES = [
    f"CAP_{name}"
    for line in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP",
        "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER",
        "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE",
        "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP",
        "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF",
        "CHECKPOINT_RESTORE",
    )
    for name in line.split()
]
"""By bit, as linux/capability.h numbers them."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    sys.exit(Pod(Path(sys.argv[1])).run())
