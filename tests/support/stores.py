"""Stores that are made in milliseconds, and snapshots that compare folders byte for byte."""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airgap.store.source_tree import SourceFile, StableFile
from tests.support.sides import Side

CREATED = "2026-01-02T03:04:05+00:00"


def add_model(side: Side, tag: str, files: Mapping[str, bytes], *, created: str = CREATED) -> Path:
    """Put a model into a side's store as BentoML would, without importing it."""
    name, _, version = tag.partition(":")
    folder = side.bentoml / "models" / name / version
    lines = [f"name: {name}", f"version: {version}", f"creation_time: '{created}'", "module: ''"]
    lines += ["labels: {}", "options: {}", "metadata: {}", "signatures: {}", "api_version: v1"]
    lines += ["context: {framework_name: '', framework_versions: {}}"]
    write_files(folder, {"model.yaml": "\n".join(lines).encode() + b"\n", **files})
    (folder.parent / "latest").write_text(version)
    return folder


def add_bento(
    side: Side,
    tag: str,
    files: Mapping[str, bytes],
    *,
    models: Sequence[str | Mapping[str, Any]] = (),
    created: str = CREATED,
) -> Path:
    """Put a Bento into a side's store as BentoML would, without importing it.

    A model is a tag, or a whole entry of bento.yaml (as ``hugging_face_entry`` makes it).
    """
    name, _, version = tag.partition(":")
    folder = side.bentoml / "bentos" / name / version
    lines = [f"name: {name}", f"version: {version}", f"creation_time: '{created}'"]
    lines += ["service: service:Main", "services:", "- name: Main", "  service: ''"]
    lines += ["  models:" + ("" if models else " []")]
    entries = [{"tag": one} if isinstance(one, str) else one for one in models]
    lines += [f"  - {json.dumps({'creation_time': created, **entry})}" for entry in entries]
    write_files(folder, {"bento.yaml": "\n".join(lines).encode() + b"\n", **files})
    (folder.parent / "latest").write_text(version)
    return folder


def add_snapshot(side: Side, repository: str, commit: str, files: Mapping[str, bytes]) -> Path:
    """Put a snapshot into a side's cache as huggingface_hub would: blobs, and links to them."""
    top = side.hugging_face / f"models--{repository.replace('/', '--')}"
    for path, content in files.items():
        blob = top / "blobs" / hashlib.sha256(content).hexdigest()
        write_files(blob.parent, {blob.name: content})
        link = top / "snapshots" / commit / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return top / "snapshots" / commit


def hugging_face_entry(
    repository: str,
    commit: str,
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Make what bento.yaml says of a Hugging Face model: its id in lower case."""
    name = repository.lower()
    return {
        "tag": f"{name.replace('/', '--')}:{hashlib.md5(commit.encode()).hexdigest()}",  # noqa: S324  (BentoML's)
        "registry": "huggingface",
        "metadata": {
            "model_id": name,
            "revision": commit,
            "endpoint": "https://huggingface.co",
            "include": include,
            "exclude": exclude,
        },
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same at every call."""
    return hashlib.shake_128(b"airgap test noise %d" % seed).digest(size)


@contextmanager
def open_file(data: bytes) -> Iterator[StableFile]:
    """Open a file with this content to be cut, as an export opens it."""
    with tempfile.NamedTemporaryFile() as written:
        written.write(data)
        written.flush()
        status = os.fstat(written.fileno())
        times = status.st_mtime_ns, status.st_ctime_ns
        source = SourceFile("file", written.name, len(data), executable=False, times=times)
        with StableFile(source) as file:
            yield file


def snapshot(*tops: Path, without: str = "") -> dict[str, str]:
    """Everything below some folders, in order: type, mode, content or target of each path."""
    found: dict[str, str] = {}
    for top in tops:
        if top.exists() and without not in top.parts:
            _look(str(top), without, found)
    return found


def _look(path: str, without: str, found: dict[str, str]) -> None:
    """Describe what is at a path and below it. ``Path.rglob`` takes twice as long."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        found[path] = f"link to {Path(path).readlink()}"
    elif stat.S_ISREG(mode):
        found[path] = f"{mode:o} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    else:
        found[path] = f"{mode:o}"
        if stat.S_ISDIR(mode):
            for name in sorted(entry.name for entry in os.scandir(path)):
                if name != without:
                    _look(f"{path}/{name}", without, found)
