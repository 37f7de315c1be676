"""What `airgap image build` needs, written by hand: a base, a Bento, and its wheelhouse."""

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from airgap.format import canonical
from tests.support import closure_items, oci_images, stores
from tests.support.closure_items import compact, descriptor
from tests.support.sides import Side

ROOT = {
    "bin/bash": b"#!",
    "usr/local/bin/python3.11": b"\x7fELF",
    "etc/passwd": b"root:x:0:0:root:/root:/bin/bash\n",
    "etc/group": b"root:x:0:\n",
}
REQUIREMENTS = {"env/python/requirements.txt": b"tiny==1.0\n"}
BENTO = {
    "env/docker/entrypoint.sh": b"#!/usr/bin/env bash\n",
    "src/service.py": b"class Main: ...\n",
    "src/__pycache__/service.pyc": b"cache",
    **REQUIREMENTS,
}


DEFAULT = (
    "apt-get update && apt-get install -q -y --no-install-recommends --allow-remove-essential"
    " ca-certificates gnupg2 bash build-essential git"
)
IMAGE = f"""\
image:
  base_image: python:3.11-slim
  python_version: '3.11'
  commands: ['{DEFAULT}', '{DEFAULT}']
  post_commands: []
envs:
- {{name: COLOR, value: red}}
- {{name: SECRET, value: ''}}
- {{name: LATER, value: x, stage: runtime}}
"""


def base_layout(
    folder: Path,
    root: Mapping[str, bytes] | None = None,
    *more: bytes,
    packed: bool = False,
    architecture: str = "amd64",
    history: list[dict[str, str]] | None = None,
) -> Path:
    """A base image: one layer, and further ones."""
    plain = [oci_images.tar_of(ROOT if root is None else root), *more]
    layers = [gzip.compress(layer, mtime=0) if packed else layer for layer in plain]
    config = json.loads(oci_images.config_of(*plain, architecture=architecture))
    config["config"] = {"Env": ["PATH=/usr/local/bin:/bin", "BASE=yes"], "Cmd": ["python3"]}
    if history is not None:
        config["history"] = history
    raw = compact(config)
    suffix = "+gzip" if packed else ""
    manifest = compact(
        {
            "config": descriptor(raw, closure_items.CONFIG_TYPE),
            "layers": [descriptor(layer, closure_items.LAYER_TYPE + suffix) for layer in layers],
            "mediaType": closure_items.MANIFEST_TYPE,
            "schemaVersion": 2,
        }
    )
    item = closure_items.image_of(manifest, [raw, manifest, *layers], "example.org/python:3.11")
    return oci_images.write_layout(folder, item)


def install_wheelhouse(side: Side, target: str = closure_items.TARGET) -> None:
    """Lay the Bento's wheelhouse where an import would have installed it."""
    digests = {path: hashlib.sha256(data).digest() for path, data in REQUIREMENTS.items()}
    requirements = hashlib.sha256(canonical.encode(digests)).digest()
    item = closure_items.wheelhouse(target=target, requirements_digest=requirements)
    folder = side.bentoml / "wheelhouses" / item.name / item.version
    contents = {path: data for path, data in item.entries.items() if isinstance(data, bytes)}
    stores.write_files(folder, contents)


def add_bento(side: Side, extra: str = "", tag: str = "shop:v1") -> Path:
    """A Bento that a container can start, and its model; ``extra`` is the end of its bento.yaml."""
    stores.add_model(side, "weights:w1", {"weights.bin": b"12345"})
    folder = stores.add_bento(side, tag, BENTO, models=["weights:w1"])
    with (folder / "bento.yaml").open("a") as file:
        file.write(extra or IMAGE)
    return folder
