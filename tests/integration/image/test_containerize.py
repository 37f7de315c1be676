"""`bentoml containerize` without a network, on a base that was prepared as docs/images.md says."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.image.test_chroot import carry_bento, debian
from tests.support import stores
from tests.support.sides import Side, Site

__all__ = ["debian"]  # a fixture of this module, too

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.bentoml]

SECONDS = 600
UV_SETTINGS = """\
python-downloads = "never"
[pip]
no-index = true
find-links = ["/airgap/wheels"]
"""
BASE = "docker.io/library/python:3.11-slim"


def run(words: list[str | Path], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [*map(str, words)],
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def prepare(folder: Path, base: Path, wheels: Path) -> None:
    """Write what a base is built from: the image, and what stands for the network."""
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    assert uv is not None
    (folder / "prepared").mkdir()
    shutil.copy(uv, folder / "prepared/uv")
    shutil.copytree(wheels, folder / "prepared/wheels")
    files = {"uv.toml": UV_SETTINGS, "apt-get": "#!/bin/sh\nexit 0\n"}
    lines = (
        f"FROM oci:{base}",
        "COPY uv apt-get /usr/local/bin/",
        "COPY uv.toml /etc/uv/uv.toml",
        "COPY wheels /airgap/wheels",
    )
    files["Containerfile"] = "".join(f"{line}\n" for line in lines)
    stores.write_files(folder / "prepared", {name: text.encode() for name, text in files.items()})
    (folder / "prepared/apt-get").chmod(0o755)


@pytest.mark.usefixtures("real_index")
def test_a_prepared_base_answers_what_the_dockerfile_asks_of_the_network(
    debian: Path, connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    if shutil.which("buildah") is None:
        pytest.skip("not installed: buildah")
    carry_bento(connected, isolated, site, tmp_path)
    (wheels,) = isolated.bentoml.glob("wheelhouses/*/*/wheels")
    prepare(tmp_path, debian, wheels)
    storage = f'driver = "vfs"\ngraphroot = "{tmp_path}/storage"\nrunroot = "{tmp_path}/run"\n'
    (tmp_path / "storage.conf").write_text(f"[storage]\n{storage}")
    environment = {
        **os.environ,
        **isolated.environment,
        "BUILDAH_ISOLATION": "chroot",
        "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
    }
    run(["buildah", "build", "-t", BASE, tmp_path / "prepared"], environment)
    containerize = [sys.executable, "-m", "bentoml", "containerize", "plain:v1"]

    run(
        ["unshare", "-n", *containerize, "--backend", "buildah", "--opt", "pull-never"],
        environment,
    )

    container = run(["buildah", "from", "--pull-never", "localhost/plain:v1"], environment).strip()
    python = "import attrs, bentoml; print(bentoml.__version__)"
    told = run(
        ["unshare", "-n", "buildah", "run", container, "--", "/app/.venv/bin/python", "-c", python],
        environment,
    )
    assert told.strip().startswith("1."), told
    run(["buildah", "rm", container], environment)
