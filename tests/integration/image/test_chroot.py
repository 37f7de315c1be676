"""An image that was put together answers a prediction, without a network: Debian, umoci, chroot."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from airgap.format.files import version_of
from airgap.format.inventory import File
from airgap.format.wheelhouse import (
    LOCK,
    LockedPackage,
    Wheelhouse,
    encode,
    normalize_name,
    parse_target,
    requirements_digest,
)
from tests.support import closure_items, oci_images, stores
from tests.support.closure_items import compact, descriptor
from tests.support.sides import Side

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.bentoml]

PROGRAMS = ("mmdebstrap", "umoci", "unshare", "skopeo")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SERVICE = """\
import bentoml

@bentoml.service(image=bentoml.images.Image(python_version="3.11").python_packages("attrs"))
class Plain:
    @bentoml.api
    def norm(self, x: list[float]) -> float:
        return sum(value * value for value in x) ** 0.5
"""
SECONDS = 300


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base image: Debian with Python 3.11; ``AIRGAP_TEST_BASE`` names a tar that has it."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid():
        pytest.skip(f"needs root, and: {' '.join(missing)}")
    folder = tmp_path_factory.mktemp("debian")
    tar = Path(os.environ.get("AIRGAP_TEST_BASE", folder / "base.tar"))
    if not tar.exists():
        include = "--include=python3,python3-venv,ca-certificates"
        command = ["mmdebstrap", "--variant=minbase", include, "bookworm", str(tar)]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    with tar.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rootfs = {"diff_ids": [f"sha256:{digest}"], "type": "layers"}
    run = {"Env": [f"PATH={PATH}"]}
    history = [{"created_by": "mmdebstrap"}]
    document = {"architecture": "amd64", "config": run, "history": history, "os": "linux"}
    config = compact({**document, "rootfs": rootfs})
    layer = {"digest": f"sha256:{digest}", "mediaType": closure_items.LAYER_TYPE}
    manifest = compact(
        {
            "config": descriptor(config, closure_items.CONFIG_TYPE),
            "layers": [{**layer, "size": tar.stat().st_size}],
            "mediaType": closure_items.MANIFEST_TYPE,
            "schemaVersion": 2,
        }
    )
    item = closure_items.image_of(manifest, [manifest, config], "debian:12")
    layout = oci_images.write_layout(folder / "layout", item)
    shutil.copy(tar, layout / "blobs/sha256" / digest)
    return layout


def make_bento(side: Side, project: Path) -> None:
    """Build a Bento with the real bentoml, and lay its wheelhouse beside it."""
    stores.write_files(project, {"service.py": SERVICE.encode()})
    environment = {**os.environ, **side.environment}
    command = [sys.executable, "-m", "bentoml", "build", "--version", "v1", "service:Plain"]
    subprocess.run(
        command, cwd=project, env=environment, check=True, capture_output=True, timeout=600
    )
    bento = side.bentoml / "bentos/plain/v1"
    wheels = project / "wheels"
    fetch = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--no-deps"]
    fetch += ["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    fetch += ["--platform", "manylinux2014_x86_64", "-d", str(wheels)]
    fetch += ["-r", str(bento / "env/python/requirements.txt")]
    subprocess.run(fetch, check=True, capture_output=True, timeout=600)
    files = [
        File(f"env/python/{path.name}", False, 0, hashlib.sha256(path.read_bytes()).digest(), ())  # noqa: FBT003
        for path in (bento / "env/python").iterdir()
    ]
    target = parse_target(closure_items.TARGET)
    assert target is not None
    packages = sorted(map(lock, wheels.iterdir()), key=lambda package: package.name)
    raw = encode(Wheelhouse(target, requirements_digest(files), tuple(packages)))
    folder = side.bentoml / "wheelhouses" / str(target) / version_of(raw)
    stores.write_files(folder, {LOCK: raw})
    shutil.copytree(wheels, folder / "wheels")


def lock(wheel: Path) -> LockedPackage:
    """Describe a wheel."""
    name, version = wheel.name.split("-")[:2]
    data = wheel.read_bytes()
    digest = hashlib.sha256(data).digest()
    return LockedPackage(normalize_name(name), version, wheel.name, len(data), digest)


def test_it_serves_in_a_namespace(debian: Path, isolated: Side, tmp_path: Path) -> None:
    make_bento(isolated, tmp_path / "project")
    built = isolated.run("image", "build", "plain:v1", "--base", debian, "--json")
    assert built.code == 0, built.err
    layout = tmp_path / "saved"
    assert isolated.run("image", "save", "plain", layout, "--reference", "plain").code == 0
    said = subprocess.run(
        ["skopeo", "inspect", f"oci:{layout}:plain"], check=True, capture_output=True, timeout=600
    )
    assert json.loads(said.stdout)["Digest"] == built.json["digest"]
    bundle = tmp_path / "bundle"
    command = ["umoci", "unpack", "--image", f"{layout}:plain", str(bundle)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)

    inside = ["unshare", "-nmp", "--fork", "--mount-proc", sys.executable, __file__, str(bundle)]
    served = subprocess.run(inside, check=False, capture_output=True, text=True, timeout=600)

    assert "5.0" in served.stdout.splitlines(), served.stdout + served.stderr


def serve(bundle: Path) -> None:
    """Run the image as its configuration says, in a namespace without a network, and ask it."""
    process = json.loads((bundle / "config.json").read_text())["process"]
    root = bundle / "rootfs"
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=600)
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True, timeout=600)
    subprocess.run(["mount", "--bind", "/dev", root / "dev"], check=True, timeout=600)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")  # as runtimes do
    user = process["user"]
    start = f"cd {process['cwd']} && exec {' '.join(process['args'])} serve --port 3333"
    command = ["chroot", f"--userspec={user['uid']}:{user['gid']}", str(root), "/usr/bin/env", "-i"]
    running = subprocess.Popen([*command, *process["env"], "/bin/sh", "-c", start])
    request = Request(
        "http://127.0.0.1:3333/norm", b'{"x":[3,4]}', {"Content-Type": "application/json"}
    )
    end = time.monotonic() + SECONDS
    try:
        while True:
            try:
                with urlopen(request, timeout=20) as answer:  # noqa: S310  (this machine)
                    sys.stdout.write(answer.read().decode() + "\n")
                break
            except (URLError, OSError):
                if time.monotonic() > end or running.poll() is not None:
                    raise
                time.sleep(1)
    finally:
        running.terminate()
        running.wait(60)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
