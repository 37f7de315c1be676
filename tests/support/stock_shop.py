"""A store that the real bentoml accepts, made by hand: ``shop:v1`` with all a Bento may have."""

from pathlib import Path
from typing import Final

from tests.support import stores
from tests.support.sides import Side

COMMIT: Final = "c0ffee" + "0" * 34
BENTO_YAML: Final = f"""\
service: service:Shop
name: shop
version: v1
bentoml_version: 1.4.39
creation_time: '{stores.CREATED}'
labels: {{}}
models:
- tag: ranker:v1
  module: ''
  creation_time: '{stores.CREATED}'
- tag: acme--tiny:{COMMIT}
  module: ''
  creation_time: '{stores.CREATED}'
  registry: huggingface
  metadata: {{model_id: acme/tiny, revision: {COMMIT}, endpoint: 'https://huggingface.co'}}
services: []
envs: []
schema: {{}}
args: {{}}
spec: 1
runners: []
entry_service: Shop
apis: []
docker: {{distro: debian, python_version: '3.11'}}
python: {{}}
conda: {{}}
"""
MODEL_YAML: Final = f"""\
name: ranker
version: v1
module: ''
labels: {{}}
options: {{}}
metadata: {{}}
context: {{framework_name: '', framework_versions: {{}}, bentoml_version: 1.4.39}}
signatures: {{}}
api_version: v1
creation_time: '{stores.CREATED}'
"""


def make_shop(side: Side) -> None:
    """Put a Bento, its model and its Hugging Face snapshot into a side's stores."""
    model = side.bentoml / "models" / "ranker" / "v1"
    weights = stores.noise(300_000)
    stores.write_files(model, {"model.yaml": MODEL_YAML.encode(), "weights.bin": weights})
    bento = side.bentoml / "bentos" / "shop" / "v1"
    long = "/".join(["a" * 60, "b" * 60, "c" * 60])
    files = {"bento.yaml": BENTO_YAML.encode(), "src/service.py": b"1\n", "été/naïve.txt": b"x"}
    stores.write_files(bento, {**files, long: b"long", "none": b"", "run.sh": b"#!/bin/sh\n"})
    (bento / "run.sh").chmod(0o755)
    (bento / "src" / "link").symlink_to("../run.sh")
    (bento / "folder-link").symlink_to("src")
    (bento / "nowhere").symlink_to("not-there")
    (bento / "data").mkdir()
    snapshot = side.hugging_face / "models--acme--tiny" / "snapshots" / COMMIT
    stores.write_files(snapshot, {"config.json": b"{}", "same.json": b"{}", "w.bin": weights[:999]})


def tree(folder: Path) -> dict[str, str]:
    """Everything below a folder, by path within it."""
    return {str(Path(p).relative_to(folder)): is_ for p, is_ in stores.snapshot(folder).items()}


def contents(folder: Path) -> dict[str, bytes | None]:
    """The files below a folder, also through links, and None for everything else."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }
