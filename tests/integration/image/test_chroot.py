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

from tests.support import closure_items, oci_images, stores
from tests.support.closure_items import compact, descriptor
from tests.support.sides import Side, Site

pytestmark = [pytest.mark.servers, pytest.mark.bentoml]

PROGRAMS = ("umoci", "unshare", "skopeo", "mount", "ip")
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
def debian(debian_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base image: Debian with its Python."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"not installed: {' '.join(missing)}")
    folder, tar = tmp_path_factory.mktemp("debian"), debian_tar
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


def carry_bento(connected: Side, isolated: Side, site: Site, folder: Path) -> None:
    """Build a Bento with the real bentoml, and carry it with its packages to the other side."""
    stores.write_files(folder / "project", {"service.py": SERVICE.encode()})
    environment = {**os.environ, **connected.environment}
    command = [sys.executable, "-m", "bentoml", "build", "--version", "v1", "service:Plain"]
    subprocess.run(
        command,
        cwd=folder / "project",
        env=environment,
        check=True,
        capture_output=True,
        timeout=600,
    )
    words = ("--with-env", "-o", folder / "medium", "--key", site.key())
    for ran in (
        connected.run("export", "plain:v1", *words),
        isolated.run("import", folder / "medium"),
    ):
        assert ran.code == 0, ran.err


@pytest.mark.usefixtures("real_index")
def test_it_serves_in_a_namespace(
    debian: Path, connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    carry_bento(connected, isolated, site, tmp_path)
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
